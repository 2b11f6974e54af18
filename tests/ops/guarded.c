#include "guarded.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MARGIN = 64 };
static const float GUARD = -12345.678f;

int backend_set_up(void **state) {
    Backend *backend;
    Status status = backend_open(&(BackendOptions){.device = DEVICE_CPU, .threads = 3}, &backend);
    *state = backend;
    return status_failed(&status);
}

int backend_tear_down(void **state) {
    backend_close(*state);
    return 0;
}

void near(double got, double expected, double tolerance, const char *what) {
    if (!(fabs(got - expected) <= tolerance)) fail_msg("%s: %.9g instead of %.9g", what, got, expected);
}

static int64_t memory_count(const Guarded *g) { return g->rows * g->stride + 2 * MARGIN; }

Guarded guarded_new(int64_t rows, int64_t columns, int64_t stride) {
    return guarded_fill(rows, columns, stride, GUARD);
}

Guarded guarded_fill(int64_t rows, int64_t columns, int64_t stride, float value) {
    Guarded g = {.rows = rows, .columns = columns, .stride = stride};
    assert_true(stride >= columns);
    g.memory = malloc((size_t)memory_count(&g) * sizeof(float));
    g.at = g.memory + MARGIN;
    for (int64_t i = 0; i < memory_count(&g); i++) g.memory[i] = GUARD;
    for (int64_t row = 0; row < rows; row++)
        for (int64_t column = 0; column < columns; column++) g.at[row * stride + column] = value;
    return g;
}

Guarded guarded_random(int64_t rows, int64_t columns, int64_t stride, Dice *dice) {
    Guarded g = guarded_new(rows, columns, stride);
    for (int64_t row = 0; row < rows; row++)
        for (int64_t column = 0; column < columns; column++) g.at[row * stride + column] = (float)dice_signed(dice);
    return g;
}

void guarded_close(Guarded *g, const char *name) {
    for (int64_t i = 0; i < memory_count(g); i++) {
        const int64_t at = i - MARGIN;
        const bool element = at >= 0 && at < g->rows * g->stride && at % g->stride < g->columns;
        if (element == (g->memory[i] == GUARD))
            fail_msg("%s (%d x %d, stride %d): element %d was %s", name, (int)g->rows, (int)g->columns, (int)g->stride,
                     (int)at, element ? "not written" : "written");
    }
    free(g->memory);
    *g = (Guarded){0};
}
