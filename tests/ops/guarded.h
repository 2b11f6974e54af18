/* What tests of single kernels share: a backend, and guarded matrices, in which every float around and between the rows
 * holds a guard value that no kernel may change. Must not know which kernels there are. Nothing here is collective. */
#ifndef RAM_TESTS_GUARDED_H
#define RAM_TESTS_GUARDED_H

#include "backend/backend.h"
#include "random_case.h"

/* *state: a CPU backend of three threads. */
int backend_set_up(void **state);
int backend_tear_down(void **state);

/* Fails the test unless |got - expected| <= tolerance. */
void near(double got, double expected, double tolerance, const char *what);

typedef struct {
    float *memory;
    float *at; /* element (0, 0) */
    int64_t rows, columns, stride;
} Guarded;

/* Everything, the elements too, holds the guard value. */
Guarded guarded_new(int64_t rows, int64_t columns, int64_t stride);

/* Elements uniform in [-1, 1). */
Guarded guarded_random(int64_t rows, int64_t columns, int64_t stride, Dice *dice);
Guarded guarded_fill(int64_t rows, int64_t columns, int64_t stride, float value);

static inline Matrix guarded_matrix(const Guarded *g) { return matrix((DevFloats){g->at}, g->stride); }
static inline DevFloats guarded_floats(const Guarded *g) { return (DevFloats){g->at}; }
static inline Weight guarded_weight(const Guarded *g) { return (Weight){.plain = {g->at}}; }
static inline double guarded_value(const Guarded *g, int64_t row, int64_t column) {
    return (double)g->at[row * g->stride + column];
}

/* Fails the test when a guard has changed, or when an element still holds the guard value; frees the memory. */
void guarded_close(Guarded *g, const char *name);

#endif
