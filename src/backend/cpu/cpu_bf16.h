/* Products of the CPU backend with bf16 operands, float32 sums and results (train.precision: bf16), where the CPU has
 * AVX512_BF16, by AMX where it has that too. Owns the packed form of weights. Must not know who asks for a precision.
 * Nothing is collective. */
#ifndef RAM_BACKEND_CPU_BF16_H
#define RAM_BACKEND_CPU_BF16_H

#include "backend/backend.h"

/* Two bf16 (upper halves of float32), the first in the lower half. */
typedef uint32_t Bf16Pair;

/* RAM_UNAVAILABLE where the CPU or LIBXSMM's target lacks bf16 products. */
Status cpu_bf16_check(void);

enum { BF16_TILE = 16 };

/* C = A B [+ C]: row-major c (n, m) from a, k rows of pairs in the form that is the product's, and b, n rows of k
 * pairs, stride_b apart. a has `columns` columns, and m of them are multiplied, from the one that `a` points at: a
 * multiple of BF16_TILE, as their end is, or the last. None of m, n and k is 0. */
typedef void (*Bf16Product)(int m, int n, int k, const Bf16Pair *a, int64_t columns, const Bf16Pair *b,
                            int64_t stride_b, bool accumulate, float *c, int64_t stride_c);

/* What multiplies, and how it wants a. */
typedef struct {
    const char *name;
    Bf16Product product;
    /* Writes a's rows [first_pair, last_pair): pair p of column c is (from[2 p][c], from[2 p + 1][c]), zeros where
     * those lie beyond `rows`. */
    void (*pair_rows)(int64_t first_pair, int64_t last_pair, int64_t rows, int64_t columns, const float *from,
                      int64_t from_stride, Bf16Pair *to);
    int column_step; /* pairs from one of a's columns to the next, at multiples of BF16_TILE */
    int pairs_step;  /* k, of a and b, is completed by zeros to a multiple of this */
} Bf16Form;

extern const Bf16Form BF16_LIBXSMM; /* AVX512_BF16 */

/* Replaces the products of `kernels`, those of the CPU backend `backend`, by those of bf16 and makes it pack weights.
 * Returns what computes them, in words. */
const char *cpu_bf16_install(Backend *backend, Kernels *kernels);

/* --- conversions: rounded to the nearest, ties to even; NaN stays NaN; below 2^-126 becomes zero (VCVTNEPS2BF16). */

/* The pairs that `count` elements fill, the last one completed by a zero. */
static inline int64_t bf16_pairs(int64_t count) { return (count + 1) / 2; }

/* Pair p of to[r] is (from[r][2 p], from[r][2 p + 1]): rows in bf16, each of `pairs` pairs, the last ones zeros. */
void bf16_convert_rows(int64_t rows, int64_t columns, const float *from, int64_t from_stride, Bf16Pair *to,
                       int64_t pairs);
/* A Bf16Form's a row-major: LIBXSMM's VNNI format. */
void bf16_pair_rows(int64_t first_pair, int64_t last_pair, int64_t rows, int64_t columns, const float *from,
                    int64_t from_stride, Bf16Pair *to);
/* The same in tiles of up to BF16_TILE columns and always BF16_TILE pairs, each in one piece, row-major, its rows as
 * long as it has columns: first those of the first BF16_TILE pairs. */
void bf16_pair_tiles(int64_t first_pair, int64_t last_pair, int64_t rows, int64_t columns, const float *from,
                     int64_t from_stride, Bf16Pair *to);
/* Pair p of to[c] is (from[2 p][c], from[2 p + 1][c]): the transpose in bf16, its rows `pairs` pairs, the last ones
 * zeros. */
void bf16_transpose(int64_t rows, int64_t columns, const float *from, int64_t from_stride, Bf16Pair *to, int64_t pairs);

#endif
