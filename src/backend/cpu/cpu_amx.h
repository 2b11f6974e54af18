/* The product of bf16 operands in the tiles of AMX (Sapphire Rapids and later): a step's products take a third of the
 * time of float32's there, where AVX512_BF16 takes one and a half times as long. Owns nothing. Must not know layers.
 * Nothing is collective. */
#ifndef RAM_BACKEND_CPU_AMX_H
#define RAM_BACKEND_CPU_AMX_H

#include "backend/cpu/cpu_bf16.h"

/* Asks the kernel for AMX; whether CPU and kernel give it (Linux from 5.16 on does, unless it is forbidden). */
bool cpu_amx_request(void);

/* Bits of a sum do not depend on m and n. */
extern const Bf16Form BF16_AMX;

#endif
