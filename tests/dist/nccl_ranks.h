/* What the fakes of NCCL and CUDA ask of the program that runs on them, tests/dist/nccl_ranks.c. */
#ifndef RAM_TESTS_NCCL_RANKS_H
#define RAM_TESTS_NCCL_RANKS_H

#include <stddef.h>

/* floats (count) becomes the sum over the ranks. @collective */
void nccl_ranks_sum(float *floats, size_t count);

/* No event is reached from now on. */
void nccl_ranks_stick(void);

#endif
