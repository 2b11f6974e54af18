/* Products with a narrow result, inside of a kernel: what follows them needs no launch of its own. Device code only. */
#ifndef RAM_BACKEND_CUDA_NARROW_H
#define RAM_BACKEND_CUDA_NARROW_H

#include "backend/cuda/cuda_parts.h"

/* A block has (NARROW_LANES, NARROW_ROWS) threads. */
enum { NARROW_LANES = 32, NARROW_ROWS = 8 };

static inline unsigned narrow_blocks(int64_t rows) { return (unsigned)((rows + NARROW_ROWS - 1) / NARROW_ROWS); }

/* A thread's number in its block. */
static __device__ inline int narrow_thread(void) { return (int)(threadIdx.y * NARROW_LANES + threadIdx.x); }

/* Multiplies the NARROW_ROWS rows of the block, x (rows, in), by weight (in, out), out < PRODUCT_NARROW. Thread r * out
 * + o of the block gets result o of its row r, where there are such, others 0. The threads of a row add every
 * NARROW_LANES-th term, one of them their sums in a fixed order, so that a row's bits do not depend on the others. All
 * threads of a block call it, once. */
static __device__ inline float narrow_product(int64_t rows, int in, int out, const float *x, int64_t stride,
                                              const float *weight) {
    __shared__ float part[NARROW_ROWS * PRODUCT_NARROW][NARROW_LANES + 1];
    const int64_t row = (int64_t)blockIdx.x * NARROW_ROWS + threadIdx.y;
    float sum[PRODUCT_NARROW];
    for (int o = 0; o < PRODUCT_NARROW; o++) sum[o] = 0.0f;
    if (row < rows)
        for (int i = (int)threadIdx.x; i < in; i += NARROW_LANES) {
            const float value = x[row * stride + i];
            for (int o = 0; o < PRODUCT_NARROW; o++)
                if (o < out) sum[o] += value * weight[(int64_t)i * out + o];
        }
    for (int o = 0; o < PRODUCT_NARROW; o++)
        if (o < out) part[(int)threadIdx.y * out + o][threadIdx.x] = sum[o];
    __syncthreads();
    float total = 0.0f;
    if (narrow_thread() < NARROW_ROWS * out)
        for (int lane = 0; lane < NARROW_LANES; lane++) total += part[narrow_thread()][lane];
    return total;
}

#endif
