/* What the conformance tests share: arrays that two backends hold at once, the CPU's and the one under test, with
 * guards around and between their rows. Must not know which kernels there are. Nothing here is collective. */
#ifndef RAM_TESTS_TWIN_H
#define RAM_TESTS_TWIN_H

#include "backend/backend.h"
#include "random_case.h"

enum { EXPECTED, TESTED, SIDES };

typedef struct {
    Backend *backend[SIDES]; /* the CPU's, the one under test */
    Dice dice;
} Twins;

/* (rows, columns), its rows `stride` apart. */
typedef struct {
    int64_t rows, columns, stride;
    DevFloats memory[SIDES], at[SIDES]; /* with its guards; element (0, 0) */
} Twin;

/* Elements uniform in [-1, 1), the same on both; with `nans`, one in eleven a NaN. */
Twin twin_random(Twins *twins, int64_t rows, int64_t columns, int64_t stride, bool nans);
Twin twin_fill(Twins *twins, int64_t rows, int64_t columns, int64_t stride, float value);

static inline Matrix twin_matrix(const Twin *twin, int side) { return matrix(twin->at[side], twin->stride); }

/* Fails the test unless all elements agree within `tolerance` of 1 or of their size (a NaN with a NaN) and no guard has
 * changed; releases the memory. */
void twin_close(Twins *twins, Twin *twin, double tolerance, const char *what);

/* Bytes of the host's on both. */
void twin_bytes(Twins *twins, const void *host, size_t bytes, void *memory[SIDES]);
void twin_bytes_close(Twins *twins, void *memory[SIDES]);

#endif
