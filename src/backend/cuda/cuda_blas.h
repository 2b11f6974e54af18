/* Products by cuBLASLt, loaded when a GPU is to be used and not before: it is large, and a program that knows CUDA
 * shall start where it is not. Products of one shape are computed by one algorithm, so their bits don't depend on where
 * the matrices lie. Owns the handle and what describes the shapes. Must not know layers. Nothing is collective. */
#ifndef RAM_BACKEND_CUDA_BLAS_H
#define RAM_BACKEND_CUDA_BLAS_H

#include "base/status.h"
#include "base/terms.h"

#include <cuda_runtime_api.h>
#include <stdint.h>

typedef struct CudaBlas CudaBlas;

/* For the calling thread's GPU. RAM_UNAVAILABLE where the library is missing or does not start. */
Status cuda_blas_open(Precision precision, CudaBlas **blas);
/* Products on `stream`. `workspace` (workspace_bytes) is device memory, borrowed, aligned to 256 bytes: cuBLASLt takes
 * no other. */
void cuda_blas_use(CudaBlas *blas, cudaStream_t stream, void *workspace, size_t workspace_bytes);
void cuda_blas_close(CudaBlas *blas); /* NULL is allowed */

int cuda_blas_version(const CudaBlas *blas);

/* C (m x n) = A (m x k) B (k x n) [+ C], column-major; B transposed where `trans_b`, float32 operands whatever the
 * precision where `exact` (and where the library has no other product for the shape). C is only read with `accumulate`.
 * Returns why the stream did not take it, NULL: it did. */
const char *cuda_blas_product(CudaBlas *blas, bool exact, bool trans_b, int m, int n, int k, const float *a,
                              int64_t lda, const float *b, int64_t ldb, bool accumulate, float *c, int64_t ldc);

#endif
