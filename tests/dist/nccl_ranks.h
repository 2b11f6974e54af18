/* What the fakes of NCCL and CUDA ask of the program that runs on them, tests/dist/nccl_ranks.c. */
#ifndef RAM_TESTS_NCCL_RANKS_H
#define RAM_TESTS_NCCL_RANKS_H

#include <stddef.h>
#include <stdint.h>

/* The memory of the fake GPU is that of the backend cpu-check: the host's, at addresses that lead nowhere before this
 * (src/backend/checked.c) is taken off. So what is not there is not taken for it. */
#define NCCL_RANKS_DEVICE ((uintptr_t)1 << 54)

static inline int nccl_ranks_on_device(const void *address) { return (uintptr_t)address >= NCCL_RANKS_DEVICE; }
static inline void *nccl_ranks_host(const void *device) { return (void *)((uintptr_t)device - NCCL_RANKS_DEVICE); }
static inline void *nccl_ranks_device(const void *host) { return (void *)((uintptr_t)host + NCCL_RANKS_DEVICE); }

/* floats (count), on the host, becomes the sum over the ranks. @collective */
void nccl_ranks_sum(float *floats, size_t count);

/* Whether a stream is under capture; then this puts the sum of floats (count), on the host, into the graph. */
int nccl_ranks_is_capturing(void);
void nccl_ranks_capture(float *floats, size_t count);

/* Between the two calls a stream is under a capture that CUDA has given up. */
void nccl_ranks_give_up_capture(int begin);
int nccl_ranks_capture_is_given_up(void);

/* Whether CUDA remembers an error, for which the next launch of a kernel would be blamed. */
int nccl_ranks_is_blamed(void);

/* No event is reached from now on, or each ends in an error. */
void nccl_ranks_stick(void);
void nccl_ranks_break(void);

/* Whether the calling thread has chosen a GPU. */
int nccl_ranks_gpu_is_chosen(void);

#endif
