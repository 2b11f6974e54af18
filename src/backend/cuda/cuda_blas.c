#include "backend/cuda/cuda_blas.h"
#include "backend/cuda/cuda_parts.h"
#include "base/memory.h"

#include <cublas_v2.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_OF(number) #number
#define LIBRARY(major)  "libcublas.so." TEXT_OF(major)

enum { WHY = 300 };

struct CudaBlas {
    void *library;
    cublasHandle_t handle;
    cublasComputeType_t compute;
    __typeof__(cublasCreate_v2) *create;
    __typeof__(cublasDestroy_v2) *destroy;
    __typeof__(cublasGetVersion_v2) *get_version;
    __typeof__(cublasSetStream_v2) *set_stream;
    __typeof__(cublasSetWorkspace_v2) *set_workspace;
    __typeof__(cublasGemmEx) *gemm;
    __typeof__(cublasGetStatusString) *text;
};

#define CUBLAS_TRY(blas, call)                                                                                         \
    do {                                                                                                               \
        const cublasStatus_t cublas_try = (blas)->call;                                                                \
        if (cublas_try != CUBLAS_STATUS_SUCCESS)                                                                       \
            cuda_failed(__FILE__, __LINE__, "cuBLAS " #call, (blas)->text(cublas_try));                                \
    } while (0)

/* Where the system looks, else where the toolkit lay that the program was built with; else another version: the calls
 * used here are the same in 11.4 to 13. why: of the first place. */
static void *open_library(char why[WHY]) {
    static const char *const PLACES[] = {LIBRARY(CUBLAS_VER_MAJOR), RAM_CUDA_LIBRARIES "/" LIBRARY(CUBLAS_VER_MAJOR),
                                         LIBRARY(13), LIBRARY(12), LIBRARY(11)};
    void *library = NULL;
    why[0] = '\0';
    for (size_t i = 0; i < sizeof PLACES / sizeof *PLACES && !library; i++) {
        library = dlopen(PLACES[i], RTLD_NOW | RTLD_LOCAL);
        const char *text = library ? NULL : dlerror();
        if (text && !why[0]) snprintf(why, WHY, "%s", text);
    }
    return library;
}

/* Sets *function; false when the library lacks it. */
static bool find(void *library, const char *name, void *function) {
    void *symbol = dlsym(library, name);
    *(void **)function = symbol;
    return symbol != NULL;
}

static bool find_all(CudaBlas *blas) {
    return find(blas->library, "cublasCreate_v2", &blas->create) &&
           find(blas->library, "cublasDestroy_v2", &blas->destroy) &&
           find(blas->library, "cublasGetVersion_v2", &blas->get_version) &&
           find(blas->library, "cublasSetStream_v2", &blas->set_stream) &&
           find(blas->library, "cublasSetWorkspace_v2", &blas->set_workspace) &&
           find(blas->library, "cublasGemmEx", &blas->gemm) &&
           find(blas->library, "cublasGetStatusString", &blas->text);
}

Status cuda_blas_open(Precision precision, CudaBlas **blas) {
    static const cublasComputeType_t COMPUTE[] = {[PRECISION_FP32] = CUBLAS_COMPUTE_32F,
                                                  [PRECISION_TF32] = CUBLAS_COMPUTE_32F_FAST_TF32,
                                                  [PRECISION_BF16] = CUBLAS_COMPUTE_32F_FAST_16BF};
    char why[WHY];
    *blas = memory_new(1, sizeof **blas);
    (*blas)->compute = COMPUTE[precision];
    (*blas)->library = open_library(why);
    if ((*blas)->library && find_all(*blas)) return status_ok();
    cuda_blas_close(*blas);
    *blas = NULL;
    return status_error(RAM_UNAVAILABLE,
                        "device cuda: the library %s cannot be used (%s): install cuBLAS or set LD_LIBRARY_PATH to "
                        "its folder, or use --device cpu",
                        LIBRARY(CUBLAS_VER_MAJOR), why[0] ? why : "it lacks a function");
}

void cuda_blas_start(CudaBlas *blas, cudaStream_t stream, void *workspace, size_t workspace_bytes) {
    CUBLAS_TRY(blas, create(&blas->handle));
    CUBLAS_TRY(blas, set_stream(blas->handle, stream)); /* before the workspace, which it would take away */
    CUBLAS_TRY(blas, set_workspace(blas->handle, workspace, workspace_bytes));
}

void cuda_blas_close(CudaBlas *blas) {
    if (!blas) return;
    if (blas->handle) CUBLAS_TRY(blas, destroy(blas->handle));
    /* the library stays: others of CUDA's that it has brought may still have something to do at exit */
    free(blas);
}

int cuda_blas_version(const CudaBlas *blas) {
    int version = 0;
    CUBLAS_TRY(blas, get_version(blas->handle, &version));
    return version;
}

void cuda_blas_product(CudaBlas *blas, bool exact, bool trans_b, int m, int n, int k, const float *a, int64_t lda,
                       const float *b, int64_t ldb, bool accumulate, float *c, int64_t ldc) {
    const float alpha = 1.0f, beta = accumulate ? 1.0f : 0.0f;
    CUBLAS_TRY(blas, gemm(blas->handle, CUBLAS_OP_N, trans_b ? CUBLAS_OP_T : CUBLAS_OP_N, m, n, k, &alpha, a,
                          CUDA_R_32F, (int)lda, b, CUDA_R_32F, (int)ldb, &beta, c, CUDA_R_32F, (int)ldc,
                          exact ? CUBLAS_COMPUTE_32F : blas->compute, CUBLAS_GEMM_DEFAULT));
}
