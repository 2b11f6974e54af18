/* In place of cuBLASLt, as cuda_blas.c finds it. Every call checks what the real library demands, and what its choice
 * of an algorithm was promised; a promise that is broken ends the program. Products are the CPU backend's plain loops
 * in float32, whatever the precision asked for, when the emulated stream gets there: now, or whenever a graph is played
 * that has captured them. The variable EMULATED_CUBLAS is the name of the library's file, libcublasLt.so.13 where it is
 * not set: no other is found. With EMULATED_CUBLAS_FAULT it does not start. Fewer bits than float32's it multiplies
 * only where all matrices are aligned to more than one number. */
#include "backend/cpu/cpu.h"
#include "base/log.h"
#include "base/memory.h"

#include <cublasLt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MATRICES = 4 /* A, B, C, D */, WORKSPACE_ALIGNMENT = 256, DEFAULT_ALIGNMENT = 256 };

#define DEMAND(condition, rule)                                                                                        \
    do {                                                                                                               \
        if (!(condition)) fatal("cuBLASLt demands: %s", rule);                                                         \
    } while (0)

/* --- what is created: known by a number that is never given again, so that the use of what is gone is noticed */

struct EmulatedHandle {
    uint64_t id; /* 0: destroyed */
};

struct EmulatedOperation {
    uint64_t id;
    cublasComputeType_t compute;
    cublasOperation_t trans_b;
};

struct EmulatedLayout {
    uint64_t id;
    int64_t rows, columns, ld;
};

struct EmulatedPreference {
    uint64_t id;
    uint64_t workspace_bytes;
    uint32_t reduction, alignment[MATRICES]; /* bytes */
};

static int living;

static uint64_t new_id(void) {
    static uint64_t last;
    return ++last;
}

/* What ended in a state that cannot be has not cleaned up. */
static void check_all_destroyed(int code, void *unused) {
    (void)unused;
    if (code == RAM_INTERNAL || living == 0) return;
    fflush(stdout);
    fprintf(stderr, "cuBLASLt demands: all that was created is destroyed, %d are left\n", living);
    _exit(RAM_INTERNAL);
}

static uint64_t created(void) {
    static bool registered;
    if (!registered) on_exit(check_all_destroyed, NULL);
    registered = true;
    living++;
    return new_id();
}

#define LIVES(object) DEMAND((object) && (object)->id, "what is used has been created, and not destroyed")

/* The memory stays, so that whoever uses it afterwards is told. */
static cublasStatus_t destroyed(uint64_t *id) {
    *id = 0;
    living--;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) {
    if (getenv("EMULATED_CUBLAS_FAULT")) return CUBLAS_STATUS_NOT_INITIALIZED;
    *handle = memory_new(1, sizeof **handle);
    (*handle)->id = created();
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
    LIVES(handle);
    return destroyed(&handle->id);
}

size_t cublasLtGetVersion(void) { return (size_t)CUBLAS_VER_MAJOR * 10000; }

const char *cublasLtGetStatusString(cublasStatus_t status) {
    return status == CUBLAS_STATUS_SUCCESS ? "no error" : "an emulated error";
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *operation, cublasComputeType_t compute,
                                        cudaDataType scale) {
    DEMAND(compute == CUBLAS_COMPUTE_32F || compute == CUBLAS_COMPUTE_32F_FAST_16BF ||
               compute == CUBLAS_COMPUTE_32F_FAST_TF32,
           "float32 is computed in one of its precisions");
    DEMAND(scale == CUDA_R_32F, "alpha and beta are float32");
    *operation = memory_new(1, sizeof **operation);
    **operation = (struct EmulatedOperation){created(), compute, CUBLAS_OP_N};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t operation) {
    LIVES(operation);
    return destroyed(&operation->id);
}

/* Another operation from then on: no algorithm was chosen for it. */
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t bytes) {
    LIVES(operation);
    DEMAND(attribute == CUBLASLT_MATMUL_DESC_TRANSB && bytes == sizeof operation->trans_b,
           "an operation's attribute is B's transposition, of its size");
    memcpy(&operation->trans_b, value, bytes);
    DEMAND(operation->trans_b == CUBLAS_OP_N || operation->trans_b == CUBLAS_OP_T, "B is transposed or not");
    operation->id = new_id();
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t ld) {
    DEMAND(type == CUDA_R_32F, "matrices are float32");
    DEMAND(rows > 0 && rows <= INT_MAX && columns > 0 && columns <= INT_MAX, "a matrix has rows and columns");
    DEMAND(ld >= (int64_t)rows, "a column is no longer than the distance of columns");
    *layout = memory_new(1, sizeof **layout);
    **layout = (struct EmulatedLayout){created(), (int64_t)rows, (int64_t)columns, ld};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
    LIVES(layout);
    return destroyed(&layout->id);
}

/* What holds of a preference unless another is set. */
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference) {
    *preference = memory_new(1, sizeof **preference);
    (*preference)->id = created();
    (*preference)->reduction = CUBLASLT_REDUCTION_SCHEME_MASK;
    for (int i = 0; i < MATRICES; i++) (*preference)->alignment[i] = DEFAULT_ALIGNMENT;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
    LIVES(preference);
    return destroyed(&preference->id);
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void *value,
                                                    size_t bytes) {
    LIVES(preference);
    void *target = NULL;
    size_t size = sizeof(uint32_t);
    switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
        target = &preference->workspace_bytes;
        size = sizeof preference->workspace_bytes;
        break;
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
        target = &preference->reduction;
        break;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
        target = &preference->alignment[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES];
        break;
    }
    DEMAND(target && bytes == size, "a preference's attribute has its size");
    memcpy(target, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

/* --- the choice of an algorithm: kept is what was promised when it was made */

typedef struct {
    uint64_t handle, operation, a, b, c, workspace_bytes;
    uint32_t alignment[MATRICES];
} Promise;
_Static_assert(sizeof(Promise) <= sizeof(cublasLtMatmulAlgo_t), "it takes the place of an algorithm");

static void check_shapes(cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                         cublasLtMatrixLayout_t c) {
    const bool trans = operation->trans_b == CUBLAS_OP_T;
    DEMAND(a->columns == (trans ? b->columns : b->rows), "A has as many columns as B, as it is multiplied, has rows");
    DEMAND(c->rows == a->rows, "C has as many rows as A");
    DEMAND(c->columns == (trans ? b->rows : b->columns), "C has as many columns as B, as it is multiplied");
}

static void check_preference(cublasLtMatmulPreference_t preference) {
    for (int i = 0; i < MATRICES; i++) {
        const uint32_t bytes = preference->alignment[i];
        DEMAND(bytes >= sizeof(float) && (bytes & (bytes - 1)) == 0,
               "an alignment is a power of two, a float's or more");
    }
    DEMAND(!(preference->reduction & CUBLASLT_REDUCTION_SCHEME_INPLACE), "parts of a sum have a place of their own");
}

/* As tensor cores may ask for it. */
static bool is_aligned(cublasLtMatmulPreference_t preference) {
    uint32_t least = DEFAULT_ALIGNMENT;
    for (int i = 0; i < MATRICES; i++)
        if (preference->alignment[i] < least) least = preference->alignment[i];
    return least > sizeof(float);
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int asked,
                                              cublasLtMatmulHeuristicResult_t *best, int *found) {
    DEMAND(!emulate_is_capturing(), "algorithms are chosen before a stream is captured");
    LIVES(handle);
    LIVES(operation);
    LIVES(a);
    LIVES(b);
    LIVES(c);
    LIVES(preference);
    DEMAND(c == d, "D has the layout of C, in whose place it is");
    DEMAND(asked == 1, "one algorithm is asked for");
    check_shapes(operation, a, b, c);
    check_preference(preference);
    *found = 0;
    if (operation->compute != CUBLAS_COMPUTE_32F && !is_aligned(preference)) return CUBLAS_STATUS_NOT_SUPPORTED;
    Promise promise = {handle->id, operation->id, a->id, b->id, c->id, preference->workspace_bytes, {0}};
    memcpy(promise.alignment, preference->alignment, sizeof promise.alignment);
    *best = (cublasLtMatmulHeuristicResult_t){.workspaceSize = preference->workspace_bytes, .wavesCount = 1};
    memcpy(&best->algo, &promise, sizeof promise);
    *found = 1;
    return CUBLAS_STATUS_SUCCESS;
}

/* --- products */

typedef struct {
    bool trans_b, accumulate;
    struct EmulatedLayout a, b, c;
    const float *from_a, *from_b;
    float *to;
    const void *workspace;
    size_t workspace_bytes;
} Product;

static size_t bytes_of(const struct EmulatedLayout *matrix) {
    return (size_t)((matrix->columns - 1) * matrix->ld + matrix->rows) * sizeof(float);
}

/* When it runs: a graph may be played when what it knows is gone. */
static void multiply(const void *argument) {
    const Product *p = argument;
    DEMAND(emulate_is_device(p->from_a, bytes_of(&p->a)) && emulate_is_device(p->from_b, bytes_of(&p->b)) &&
               emulate_is_device(p->to, bytes_of(&p->c)),
           "matrices lie in the GPU's memory");
    DEMAND(emulate_is_device(p->workspace, p->workspace_bytes), "the workspace lies in the GPU's memory");
    cpu_plain_product(p->trans_b, (int)p->c.rows, (int)p->c.columns, (int)p->a.columns, p->from_a, p->a.ld, p->from_b,
                      p->b.ld, p->accumulate, p->to, p->c.ld);
}

static void check_use(const Promise *promise, cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                      cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c) {
    LIVES(handle);
    LIVES(operation);
    LIVES(a);
    LIVES(b);
    LIVES(c);
    DEMAND(promise->handle == handle->id && promise->operation == operation->id && promise->a == a->id &&
               promise->b == b->id && promise->c == c->id,
           "an algorithm is used for what it was chosen for");
}

static void check_alignment(const void *matrix, cublasLtMatrixLayout_t layout, uint32_t promised) {
    DEMAND((uintptr_t)matrix % promised == 0, "a matrix is aligned as it was promised");
    DEMAND((uint64_t)layout->ld * sizeof(float) % promised == 0, "columns are aligned as it was promised");
}

static float scalar(const void *address) {
    float value;
    DEMAND(!emulate_is_device(address, sizeof value), "alpha and beta lie in the host's memory");
    memcpy(&value, address, sizeof value);
    return value;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation, const void *alpha, const void *a,
                              cublasLtMatrixLayout_t a_layout, const void *b, cublasLtMatrixLayout_t b_layout,
                              const void *beta, const void *c, cublasLtMatrixLayout_t c_layout, void *d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algorithm, void *workspace,
                              size_t workspace_bytes, cudaStream_t stream) {
    Promise promise;
    memcpy(&promise, algorithm, sizeof promise);
    check_use(&promise, handle, operation, a_layout, b_layout, c_layout);
    DEMAND(c == d && c_layout == d_layout, "D takes the place of C");
    check_alignment(a, a_layout, promise.alignment[0]);
    check_alignment(b, b_layout, promise.alignment[1]);
    check_alignment(c, c_layout, promise.alignment[2]);
    check_alignment(d, d_layout, promise.alignment[3]);
    DEMAND(workspace_bytes >= promise.workspace_bytes, "the workspace is as large as it was promised");
    DEMAND((uintptr_t)workspace % WORKSPACE_ALIGNMENT == 0, "the workspace is aligned");
    DEMAND(emulate_is_stream(stream), "a product goes to the stream");
    const bool accumulate = scalar(beta) != 0;
    DEMAND(scalar(alpha) == 1 && scalar(beta) == (float)accumulate,
           "alpha is 1 and beta 0 or 1: the emulation has no other");
    const Product product = {operation->trans_b == CUBLAS_OP_T,
                             accumulate,
                             *a_layout,
                             *b_layout,
                             *c_layout,
                             a,
                             b,
                             d,
                             workspace,
                             workspace_bytes};
    emulate_call(multiply, &product, sizeof product);
    return CUBLAS_STATUS_SUCCESS;
}

/* --- how it is found */

static const char *library_file(void) {
    const char *name = getenv("EMULATED_CUBLAS");
    return name ? name : "libcublasLt.so.13";
}

static char missing[200]; /* what was asked for in vain; "": nothing */

void *emulated_dlopen(const char *file, int mode) {
    static char library;
    (void)mode;
    if (strcmp(file, library_file()) == 0) return &library;
    snprintf(missing, sizeof missing, "%s: no such file is emulated", file);
    return NULL;
}

char *emulated_dlerror(void) { return missing[0] ? missing : NULL; }

void *emulated_dlsym(void *library, const char *name) {
    typedef void (*Function)(void);
#define FUNCTION(name)                                                                                                 \
    { #name, (Function)name }
    static const struct {
        const char *name;
        Function function;
    } FUNCTIONS[] = {
        FUNCTION(cublasLtCreate),
        FUNCTION(cublasLtDestroy),
        FUNCTION(cublasLtGetVersion),
        FUNCTION(cublasLtGetStatusString),
        FUNCTION(cublasLtMatmulDescCreate),
        FUNCTION(cublasLtMatmulDescDestroy),
        FUNCTION(cublasLtMatmulDescSetAttribute),
        FUNCTION(cublasLtMatrixLayoutCreate),
        FUNCTION(cublasLtMatrixLayoutDestroy),
        FUNCTION(cublasLtMatmulPreferenceCreate),
        FUNCTION(cublasLtMatmulPreferenceDestroy),
        FUNCTION(cublasLtMatmulPreferenceSetAttribute),
        FUNCTION(cublasLtMatmulAlgoGetHeuristic),
        FUNCTION(cublasLtMatmul),
    };
#undef FUNCTION
    void *symbol = NULL;
    require(library);
    for (size_t i = 0; i < sizeof FUNCTIONS / sizeof *FUNCTIONS; i++)
        if (strcmp(name, FUNCTIONS[i].name) == 0) memcpy(&symbol, &FUNCTIONS[i].function, sizeof symbol);
    return symbol;
}
