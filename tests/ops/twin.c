#include "twin.h"
#include "base/memory.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MARGIN = 64 };
static const float GUARD = -12345.678f;

static int64_t memory_count(const Twin *twin) { return twin->rows * twin->stride + 2 * MARGIN; }

static bool is_element(const Twin *twin, int64_t i) {
    const int64_t at = i - MARGIN;
    return at >= 0 && at < twin->rows * twin->stride && at % twin->stride < twin->columns;
}

static Twin twin_new(Twins *twins, int64_t rows, int64_t columns, int64_t stride, float *host) {
    Twin twin = {.rows = rows, .columns = columns, .stride = stride};
    const size_t bytes = (size_t)memory_count(&twin) * sizeof *host;
    for (int side = 0; side < SIDES; side++) {
        Backend *backend = twins->backend[side];
        twin.memory[side].address = backend->kernels->allocate(backend, bytes);
        twin.at[side] = dev_floats_at(twin.memory[side], MARGIN);
        backend->kernels->upload(backend, twin.memory[side].address, host, bytes);
    }
    free(host);
    return twin;
}

Twin twin_random(Twins *twins, int64_t rows, int64_t columns, int64_t stride, bool nans) {
    const Twin shape = {.rows = rows, .columns = columns, .stride = stride};
    float *host = memory_new((size_t)memory_count(&shape), sizeof *host);
    for (int64_t i = 0; i < memory_count(&shape); i++) {
        host[i] = is_element(&shape, i) ? (float)dice_signed(&twins->dice) : GUARD;
        if (nans && is_element(&shape, i) && dice_bits(&twins->dice) % 11 == 0) host[i] = NAN;
    }
    return twin_new(twins, rows, columns, stride, host);
}

Twin twin_fill(Twins *twins, int64_t rows, int64_t columns, int64_t stride, float value) {
    const Twin shape = {.rows = rows, .columns = columns, .stride = stride};
    float *host = memory_new((size_t)memory_count(&shape), sizeof *host);
    for (int64_t i = 0; i < memory_count(&shape); i++) host[i] = is_element(&shape, i) ? value : GUARD;
    return twin_new(twins, rows, columns, stride, host);
}

void twin_close(Twins *twins, Twin *twin, double tolerance, const char *what) {
    float *host[SIDES];
    for (int side = 0; side < SIDES; side++) {
        Backend *backend = twins->backend[side];
        host[side] = memory_new((size_t)memory_count(twin), sizeof(float));
        backend->kernels->download(backend, host[side], twin->memory[side].address,
                                   (size_t)memory_count(twin) * sizeof(float));
        backend->kernels->release(backend, twin->memory[side].address);
    }
    for (int64_t i = 0; i < memory_count(twin); i++) {
        const double expected = (double)host[EXPECTED][i], tested = (double)host[TESTED][i];
        const bool equal = host[EXPECTED][i] == host[TESTED][i] || (isnan(expected) && isnan(tested)) ||
                           fabs(tested - expected) <= tolerance * fmax(1, fabs(expected));
        if (!equal || (!is_element(twin, i) && host[TESTED][i] != GUARD))
            fail_msg("%s (%d x %d, stride %d): %s %d is %.9g, the CPU's %.9g", what, (int)twin->rows,
                     (int)twin->columns, (int)twin->stride, is_element(twin, i) ? "element" : "guard",
                     (int)(i - MARGIN), tested, expected);
    }
    for (int side = 0; side < SIDES; side++) free(host[side]);
}

void twin_bytes(Twins *twins, const void *host, size_t bytes, void *memory[SIDES]) {
    for (int side = 0; side < SIDES; side++) {
        Backend *backend = twins->backend[side];
        memory[side] = backend->kernels->allocate(backend, bytes);
        backend->kernels->upload(backend, memory[side], host, bytes);
    }
}

void twin_bytes_close(Twins *twins, void *memory[SIDES]) {
    for (int side = 0; side < SIDES; side++) twins->backend[side]->kernels->release(twins->backend[side], memory[side]);
}
