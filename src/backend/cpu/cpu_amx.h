/* The product of bf16 operands in the tiles of AMX (Sapphire Rapids and later), where it is some ten times as fast as
 * AVX512_BF16, which such CPUs run at half the speed of float32. Owns nothing. Must not know layers. Nothing is
 * collective. */
#ifndef RAM_BACKEND_CPU_AMX_H
#define RAM_BACKEND_CPU_AMX_H

#include "backend/cpu/cpu_bf16.h"

/* Whether CPU and kernel have AMX for this process. */
bool cpu_amx_is_here(void);

/* A Bf16Product. An element's sum is made in the order of k, whatever m and n are. */
void cpu_amx_product(int m, int n, int k, const Bf16Pair *a, int64_t stride_a, const Bf16Pair *b, int64_t stride_b,
                     bool accumulate, float *c, int64_t stride_c);

#endif
