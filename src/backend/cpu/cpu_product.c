#include "backend/cpu/cpu.h"
#include "base/log.h"

#include <libxsmm.h>
#include <string.h>

void cpu_plain_product(bool trans_b, int m, int n, int k, const float *a, int64_t lda, const float *b, int64_t ldb,
                       bool accumulate, float *c, int64_t ldc) {
    const int64_t next_p = trans_b ? ldb : 1, next_j = trans_b ? 1 : ldb;
    for (int j = 0; j < n; j++) {
        float *column = c + j * ldc;
        if (!accumulate) memset(column, 0, (size_t)m * sizeof *column);
        for (int p = 0; p < k; p++) {
            const float *operand = a + p * lda, factor = b[p * next_p + j * next_j];
            for (int i = 0; i < m; i++) column[i] += operand[i] * factor;
        }
    }
}

void cpu_product(bool trans_b, int m, int n, int k, const float *a, int64_t lda, const float *b, int64_t ldb,
                 bool accumulate, float *c, int64_t ldc) {
    const float alpha = 1.0f, beta = accumulate ? 1.0f : 0.0f;
    const int flags = trans_b ? LIBXSMM_GEMM_FLAG_TRANS_B : LIBXSMM_GEMM_FLAG_NONE;
    const int stride_a = (int)lda, stride_b = (int)ldb, stride_c = (int)ldc;
    libxsmm_smmfunction kernel =
        libxsmm_smmdispatch(m, n, k, &stride_a, &stride_b, &stride_c, &alpha, &beta, &flags, NULL);
    if (kernel)
        kernel(a, b, c);
    else
        cpu_plain_product(trans_b, m, n, k, a, lda, b, ldb, accumulate, c, ldc);
}

/* LIBXSMM names four functions of BLAS, in wrappers that are not used here. A BLAS brings threads of its own, one per
 * core in every rank, which start before main() and never do anything; where memory is limited, they keep a process
 * from ending. So here are the four. */
#define NEVER_CALLED(name)                                                                                             \
    void name(void);                                                                                                   \
    void name(void) { fatal("LIBXSMM calls " #name " of BLAS, which this program does not have"); }
NEVER_CALLED(sgemm_)
NEVER_CALLED(dgemm_)
NEVER_CALLED(sgemv_)
NEVER_CALLED(dgemv_)
