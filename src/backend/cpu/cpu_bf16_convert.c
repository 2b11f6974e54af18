/* float32 to bf16 in the three arrangements that the products read. Built for AVX512_BF16 whatever the program's
 * baseline is: nothing here runs unless cpu_bf16_check found it. Each reads its floats once, 16 or 32 at a time. */
#include "backend/cpu/cpu_bf16.h"

#include <immintrin.h>

#define AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512bf16")))

enum { WIDE = 16 }; /* floats, or pairs, in a register */

/* Bits of the first `count` of WIDE elements. */
static inline __mmask16 first_of(int64_t count) {
    return count >= WIDE ? (__mmask16)0xffff : count > 0 ? (__mmask16)((1u << count) - 1) : 0;
}

AVX512_BF16 static inline __m512i widened(__m512 values) {
    return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(values));
}

/* The pairs of two rows' elements. */
AVX512_BF16 static inline __m512i paired(__m512 lower, __m512 upper) {
    return _mm512_or_si512(widened(lower), _mm512_slli_epi32(widened(upper), 16));
}

/* Row r of `from`, its elements from c on; zeros outside. */
AVX512_BF16 static inline __m512 load(const float *from, int64_t stride, int64_t rows, int64_t columns, int64_t r,
                                      int64_t c) {
    return r < rows ? _mm512_maskz_loadu_ps(first_of(columns - c), from + r * stride + c) : _mm512_setzero_ps();
}

AVX512_BF16 void bf16_convert_rows(int64_t rows, int64_t columns, const float *from, int64_t from_stride, Bf16Pair *to,
                                   int64_t pairs) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t pair = 0; pair < pairs; pair += WIDE) {
            const __m512 lower = load(from, from_stride, rows, columns, r, 2 * pair);
            const __m512 upper = load(from, from_stride, rows, columns, r, 2 * pair + WIDE);
            _mm512_mask_storeu_epi32(to + r * pairs + pair, first_of(pairs - pair),
                                     (__m512i)_mm512_cvtne2ps_pbh(upper, lower));
        }
}

AVX512_BF16 static inline __m512i load_pairs(const float *from, int64_t stride, int64_t rows, int64_t columns,
                                             int64_t pair, int64_t c) {
    return paired(load(from, stride, rows, columns, 2 * pair, c), load(from, stride, rows, columns, 2 * pair + 1, c));
}

AVX512_BF16 void bf16_pair_rows(int64_t first_pair, int64_t last_pair, int64_t rows, int64_t columns, const float *from,
                                int64_t from_stride, Bf16Pair *to) {
    for (int64_t pair = first_pair; pair < last_pair; pair++)
        for (int64_t c = 0; c < columns; c += WIDE)
            _mm512_mask_storeu_epi32(to + pair * columns + c, first_of(columns - c),
                                     load_pairs(from, from_stride, rows, columns, pair, c));
}

AVX512_BF16 void bf16_pair_tiles(int64_t first_pair, int64_t last_pair, int64_t rows, int64_t columns,
                                 const float *from, int64_t from_stride, Bf16Pair *to) {
    for (int64_t pair = first_pair; pair < last_pair; pair++)
        for (int64_t c = 0; c < columns; c += BF16_TILE) {
            const int64_t width = columns - c < BF16_TILE ? columns - c : BF16_TILE, row = pair % BF16_TILE;
            Bf16Pair *tile = to + (pair - row) * columns + c * BF16_TILE;
            _mm512_mask_storeu_epi32(tile + row * width, first_of(width),
                                     load_pairs(from, from_stride, rows, columns, pair, c));
        }
}

/* Transposes 16 x 16 elements of 32 bits: first 4 x 4 within the quarters of the registers, then the quarters. */
AVX512_BF16 static inline void transpose_tile(__m512i tile[WIDE]) {
    __m512i half[WIDE];
    for (int i = 0; i < WIDE; i += 2) {
        half[i] = _mm512_unpacklo_epi32(tile[i], tile[i + 1]);
        half[i + 1] = _mm512_unpackhi_epi32(tile[i], tile[i + 1]);
    }
    for (int i = 0; i < WIDE; i += 4) {
        tile[i] = _mm512_unpacklo_epi64(half[i], half[i + 2]);
        tile[i + 1] = _mm512_unpackhi_epi64(half[i], half[i + 2]);
        tile[i + 2] = _mm512_unpacklo_epi64(half[i + 1], half[i + 3]);
        tile[i + 3] = _mm512_unpackhi_epi64(half[i + 1], half[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        enum { EVEN = 0x88, ODD = 0xdd }; /* quarters 0 and 2, 1 and 3 of both */
        const __m512i upper_even = _mm512_shuffle_i32x4(tile[i], tile[4 + i], EVEN);
        const __m512i upper_odd = _mm512_shuffle_i32x4(tile[i], tile[4 + i], ODD);
        const __m512i lower_even = _mm512_shuffle_i32x4(tile[8 + i], tile[12 + i], EVEN);
        const __m512i lower_odd = _mm512_shuffle_i32x4(tile[8 + i], tile[12 + i], ODD);
        half[i] = _mm512_shuffle_i32x4(upper_even, lower_even, EVEN);
        half[4 + i] = _mm512_shuffle_i32x4(upper_odd, lower_odd, EVEN);
        half[8 + i] = _mm512_shuffle_i32x4(upper_even, lower_even, ODD);
        half[12 + i] = _mm512_shuffle_i32x4(upper_odd, lower_odd, ODD);
    }
    for (int i = 0; i < WIDE; i++) tile[i] = half[i];
}

AVX512_BF16 void bf16_transpose(int64_t rows, int64_t columns, const float *from, int64_t from_stride, Bf16Pair *to,
                                int64_t pairs) {
    for (int64_t pair = 0; pair < pairs; pair += WIDE)
        for (int64_t c = 0; c < columns; c += WIDE) {
            __m512i tile[WIDE];
            for (int i = 0; i < WIDE; i++) tile[i] = load_pairs(from, from_stride, rows, columns, pair + i, c);
            transpose_tile(tile);
            for (int i = 0; i < WIDE && c + i < columns; i++)
                _mm512_mask_storeu_epi32(to + (c + i) * pairs + pair, first_of(pairs - pair), tile[i]);
        }
}
