#include "backend/cuda/cuda_blas.h"
#include "backend/cuda/cuda_parts.h"
#include "base/log.h"
#include "base/memory.h"

#include <cublasLt.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_OF(number) #number
#define LIBRARY(major)  "libcublasLt.so." TEXT_OF(major)

enum { WHY = 300, ALIGNMENT_MOST = 16 /* bytes: the widest access of a kernel */ };

/* All that the library's choice of an algorithm may depend on. Numbers of one kind, so that no padding is compared. */
typedef struct {
    int64_t exact, trans_b, accumulate, m, n, k, lda, ldb, ldc, align_a, align_b, align_c;
} Shape;

/* The algorithm of a shape, chosen at its first product. */
typedef struct Plan Plan;
struct Plan {
    Shape shape;
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulAlgo_t algorithm;
    Plan *next;
};

struct CudaBlas {
    cublasLtHandle_t handle; /* NULL: not started */
    cudaStream_t stream;
    void *workspace; /* borrowed */
    size_t workspace_bytes;
    cublasComputeType_t compute;
    bool lacks_precision; /* told once */
    Plan *plans;
    __typeof__(cublasLtCreate) *create;
    __typeof__(cublasLtDestroy) *destroy;
    __typeof__(cublasLtGetVersion) *get_version;
    __typeof__(cublasLtGetStatusString) *text;
    __typeof__(cublasLtMatmulDescCreate) *desc_create;
    __typeof__(cublasLtMatmulDescDestroy) *desc_destroy;
    __typeof__(cublasLtMatmulDescSetAttribute) *desc_set;
    __typeof__(cublasLtMatrixLayoutCreate) *layout_create;
    __typeof__(cublasLtMatrixLayoutDestroy) *layout_destroy;
    __typeof__(cublasLtMatmulPreferenceCreate) *preference_create;
    __typeof__(cublasLtMatmulPreferenceDestroy) *preference_destroy;
    __typeof__(cublasLtMatmulPreferenceSetAttribute) *preference_set;
    __typeof__(cublasLtMatmulAlgoGetHeuristic) *choose;
    __typeof__(cublasLtMatmul) *multiply;
};

#define CUBLAS_TRY(blas, call)                                                                                         \
    do {                                                                                                               \
        const cublasStatus_t cublas_try = (blas)->call;                                                                \
        if (cublas_try != CUBLAS_STATUS_SUCCESS)                                                                       \
            cuda_failed(__FILE__, __LINE__, "cuBLAS " #call, (blas)->text(cublas_try));                                \
    } while (0)

/* Sets *function; false when the library lacks it. */
static bool find(void *library, const char *name, void *function) {
    void *symbol = dlsym(library, name);
    *(void **)function = symbol;
    return symbol != NULL;
}

static bool find_all(CudaBlas *blas, void *library) {
    return find(library, "cublasLtCreate", &blas->create) && find(library, "cublasLtDestroy", &blas->destroy) &&
           find(library, "cublasLtGetVersion", &blas->get_version) &&
           find(library, "cublasLtGetStatusString", &blas->text) &&
           find(library, "cublasLtMatmulDescCreate", &blas->desc_create) &&
           find(library, "cublasLtMatmulDescDestroy", &blas->desc_destroy) &&
           find(library, "cublasLtMatmulDescSetAttribute", &blas->desc_set) &&
           find(library, "cublasLtMatrixLayoutCreate", &blas->layout_create) &&
           find(library, "cublasLtMatrixLayoutDestroy", &blas->layout_destroy) &&
           find(library, "cublasLtMatmulPreferenceCreate", &blas->preference_create) &&
           find(library, "cublasLtMatmulPreferenceDestroy", &blas->preference_destroy) &&
           find(library, "cublasLtMatmulPreferenceSetAttribute", &blas->preference_set) &&
           find(library, "cublasLtMatmulAlgoGetHeuristic", &blas->choose) &&
           find(library, "cublasLtMatmul", &blas->multiply);
}

/* Loads the library `name` and starts it on the calling thread's GPU, for which it may be too new or too old. why: it
 * cannot. What was loaded stays: others of CUDA's that it has brought may still have something to do at exit. */
static bool start(CudaBlas *blas, const char *name, char why[WHY]) {
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *text = dlerror();
        snprintf(why, WHY, "%s", text ? text : name);
        return false;
    }
    if (!find_all(blas, library)) {
        snprintf(why, WHY, "%s lacks a function", name);
        return false;
    }
    const cublasStatus_t status = blas->create(&blas->handle);
    if (status == CUBLAS_STATUS_SUCCESS) return true;
    snprintf(why, WHY, "%s does not start: %s", name, blas->text(status));
    blas->handle = NULL;
    return false;
}

/* Where the system looks, else where the toolkit lay that the program was built with; else another version: the calls
 * used here are the same in 11.8 to 13. Of these 12 comes first, which knows V100 and Hopper. */
Status cuda_blas_open(Precision precision, CudaBlas **blas) {
    static const char *const PLACES[] = {LIBRARY(CUBLAS_VER_MAJOR), RAM_CUDA_LIBRARIES "/" LIBRARY(CUBLAS_VER_MAJOR),
                                         LIBRARY(12), LIBRARY(13), LIBRARY(11)};
    static const cublasComputeType_t COMPUTE[] = {[PRECISION_FP32] = CUBLAS_COMPUTE_32F,
                                                  [PRECISION_TF32] = CUBLAS_COMPUTE_32F_FAST_TF32,
                                                  [PRECISION_BF16] = CUBLAS_COMPUTE_32F_FAST_16BF};
    char why[WHY], first[WHY] = "";
    *blas = memory_new(1, sizeof **blas);
    (*blas)->compute = COMPUTE[precision];
    for (size_t i = 0; i < sizeof PLACES / sizeof *PLACES; i++) {
        if (start(*blas, PLACES[i], why)) return status_ok();
        if (!first[0]) memcpy(first, why, sizeof first);
    }
    cuda_blas_close(*blas);
    *blas = NULL;
    return status_error(RAM_UNAVAILABLE,
                        "device cuda: the library %s cannot be used (%s): install cuBLAS or set LD_LIBRARY_PATH to "
                        "its folder, or use --device cpu",
                        LIBRARY(CUBLAS_VER_MAJOR), first);
}

void cuda_blas_use(CudaBlas *blas, cudaStream_t stream, void *workspace, size_t workspace_bytes) {
    blas->stream = stream;
    blas->workspace = workspace;
    blas->workspace_bytes = workspace_bytes;
}

void cuda_blas_close(CudaBlas *blas) {
    if (!blas) return;
    while (blas->plans) {
        Plan *plan = blas->plans;
        blas->plans = plan->next;
        CUBLAS_TRY(blas, layout_destroy(plan->a));
        CUBLAS_TRY(blas, layout_destroy(plan->b));
        CUBLAS_TRY(blas, layout_destroy(plan->c));
        CUBLAS_TRY(blas, desc_destroy(plan->product));
        free(plan);
    }
    if (blas->handle) CUBLAS_TRY(blas, destroy(blas->handle));
    free(blas);
}

int cuda_blas_version(const CudaBlas *blas) { return (int)blas->get_version(); }

/* The largest power of two, up to ALIGNMENT_MOST, that a matrix's address and its columns' distance are multiples of.
 * So every run of columns of one matrix has the same, and a lane's product the same algorithm wherever the lane lies.
 */
static uint32_t alignment(const float *matrix, int64_t ld) {
    const uintptr_t bits = (uintptr_t)matrix | (uintptr_t)ld * sizeof *matrix | ALIGNMENT_MOST;
    return (uint32_t)(bits & -bits);
}

static void describe_product(CudaBlas *blas, Plan *plan, cublasComputeType_t compute) {
    const cublasOperation_t op_b = plan->shape.trans_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    CUBLAS_TRY(blas, desc_create(&plan->product, compute, CUDA_R_32F));
    CUBLAS_TRY(blas, desc_set(plan->product, CUBLASLT_MATMUL_DESC_TRANSB, &op_b, sizeof op_b));
}

static void describe_matrices(CudaBlas *blas, Plan *plan) {
    const Shape *s = &plan->shape;
    const uint64_t m = (uint64_t)s->m, n = (uint64_t)s->n, k = (uint64_t)s->k;
    CUBLAS_TRY(blas, layout_create(&plan->a, CUDA_R_32F, m, k, s->lda));
    CUBLAS_TRY(blas, layout_create(&plan->b, CUDA_R_32F, s->trans_b ? n : k, s->trans_b ? k : n, s->ldb));
    CUBLAS_TRY(blas, layout_create(&plan->c, CUDA_R_32F, m, n, s->ldc));
}

/* Algorithms that split k are allowed where the parts are summed by a kernel of their own: in a fixed order. */
static cublasLtMatmulPreference_t preference_new(CudaBlas *blas, const Shape *shape) {
    const uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    const uint32_t a = (uint32_t)shape->align_a, b = (uint32_t)shape->align_b, c = (uint32_t)shape->align_c;
    const struct {
        cublasLtMatmulPreferenceAttributes_t name;
        const void *value;
        size_t bytes;
    } set[] = {
        {CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &blas->workspace_bytes, sizeof(uint64_t)},
        {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reduction, sizeof reduction},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &a, sizeof a},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &b, sizeof b},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &c, sizeof c},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &c, sizeof c},
    };
    cublasLtMatmulPreference_t preference;
    CUBLAS_TRY(blas, preference_create(&preference));
    for (size_t i = 0; i < sizeof set / sizeof *set; i++)
        CUBLAS_TRY(blas, preference_set(preference, set[i].name, set[i].value, set[i].bytes));
    return preference;
}

/* By rules of the library, without a trial: the same on every GPU of one model. false: it has none for the shape. */
static bool find_algorithm(CudaBlas *blas, Plan *plan) {
    cublasLtMatmulPreference_t preference = preference_new(blas, &plan->shape);
    cublasLtMatmulHeuristicResult_t best = {0};
    int found = 0;
    const cublasStatus_t status =
        blas->choose(blas->handle, plan->product, plan->a, plan->b, plan->c, plan->c, preference, 1, &best, &found);
    CUBLAS_TRY(blas, preference_destroy(preference));
    plan->algorithm = best.algo;
    return status == CUBLAS_STATUS_SUCCESS && found == 1 && best.state == CUBLAS_STATUS_SUCCESS;
}

static bool is_aligned(const Shape *shape) {
    return shape->align_a == ALIGNMENT_MOST && shape->align_b == ALIGNMENT_MOST && shape->align_c == ALIGNMENT_MOST;
}

/* A shape that tensor cores cannot read (columns that are not aligned) keeps float32 operands. Where they could, the
 * log tells: train.precision is less than it says then. */
static void choose_algorithm(CudaBlas *blas, Plan *plan) {
    const Shape *s = &plan->shape;
    describe_product(blas, plan, s->exact ? CUBLAS_COMPUTE_32F : blas->compute);
    if (find_algorithm(blas, plan)) return;
    if (!s->exact && blas->compute != CUBLAS_COMPUTE_32F && is_aligned(s) && !blas->lacks_precision) {
        blas->lacks_precision = true;
        log_warning("cuBLAS has no product of %lld x %lld x %lld in train.precision: such are computed in fp32",
                    (long long)s->m, (long long)s->k, (long long)s->n);
    }
    CUBLAS_TRY(blas, desc_destroy(plan->product));
    describe_product(blas, plan, CUBLAS_COMPUTE_32F);
    if (!find_algorithm(blas, plan))
        fatal("cuBLAS has no product %lld x %lld x %lld (columns %lld, %lld, %lld apart, aligned to %lld, %lld, %lld)",
              (long long)s->m, (long long)s->k, (long long)s->n, (long long)s->lda, (long long)s->ldb,
              (long long)s->ldc, (long long)s->align_a, (long long)s->align_b, (long long)s->align_c);
}

static const Plan *plan_of(CudaBlas *blas, const Shape *shape) {
    for (Plan *plan = blas->plans; plan; plan = plan->next)
        if (memcmp(&plan->shape, shape, sizeof *shape) == 0) return plan;
    Plan *plan = memory_new(1, sizeof *plan);
    *plan = (Plan){.shape = *shape, .next = blas->plans};
    describe_matrices(blas, plan);
    choose_algorithm(blas, plan);
    blas->plans = plan;
    return plan;
}

const char *cuda_blas_product(CudaBlas *blas, bool exact, bool trans_b, int m, int n, int k, const float *a,
                              int64_t lda, const float *b, int64_t ldb, bool accumulate, float *c, int64_t ldc) {
    const float alpha = 1.0f, beta = accumulate ? 1.0f : 0.0f;
    const Shape shape = {.exact = exact,
                         .trans_b = trans_b,
                         .accumulate = accumulate,
                         .m = m,
                         .n = n,
                         .k = k,
                         .lda = lda,
                         .ldb = ldb,
                         .ldc = ldc,
                         .align_a = alignment(a, lda),
                         .align_b = alignment(b, ldb),
                         .align_c = alignment(c, ldc)};
    const Plan *plan = plan_of(blas, &shape);
    const cublasStatus_t status =
        blas->multiply(blas->handle, plan->product, &alpha, a, plan->a, b, plan->b, &beta, c, plan->c, c, plan->c,
                       &plan->algorithm, blas->workspace, blas->workspace_bytes, blas->stream);
    return status == CUBLAS_STATUS_SUCCESS ? NULL : blas->text(status);
}
