/* The product of bf16 operands in the tiles of AMX (Sapphire Rapids and later), where it is some ten times as fast as
 * AVX512_BF16, which such CPUs run at half the speed of float32. Owns nothing. Must not know layers. Nothing is
 * collective. */
#ifndef RAM_BACKEND_CPU_AMX_H
#define RAM_BACKEND_CPU_AMX_H

#include "backend/cpu/cpu_bf16.h"

/* Whether CPU and kernel have AMX for this process. */
bool cpu_amx_is_here(void);

/* Bits of a sum do not depend on m and n. */
extern const Bf16Form BF16_AMX;

#endif
