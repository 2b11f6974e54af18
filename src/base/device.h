/* What makes a function of a header one for host and device: written once, compiled by the C compiler for the CPU and
 * by nvcc for both. Owns nothing; must not know a toolkit's headers. Nothing here is collective. */
#ifndef RAM_BASE_DEVICE_H
#define RAM_BASE_DEVICE_H

#ifdef __CUDACC__
#define RAM_DEVICE static inline __host__ __device__
#else
#define RAM_DEVICE static inline
#endif

#endif
