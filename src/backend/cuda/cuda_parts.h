/* What the files of the CUDA backend share: the state, checks of every call, and the kernels' declarations (shapes in
 * backend.h). Read by C and by CUDA C++. All work of a backend goes to its one stream, so it is done in the order in
 * which it is asked for; sums have a fixed order, without atomics, so a run repeats its bits. Nothing is collective. */
#ifndef RAM_BACKEND_CUDA_PARTS_H
#define RAM_BACKEND_CUDA_PARTS_H

#include "backend/backend.h"
#include "backend/cpu/cpu_pool.h"

#include <cuda_runtime_api.h>

typedef struct CudaTable CudaTable;
typedef struct CudaHost CudaHost;

enum { SCRATCHES = 48 /* each is at least twice the one before */ };

typedef struct {
    Backend base;
    cudaStream_t stream;
    struct CudaBlas *blas;
    void *workspace;  /* of `blas` */
    uint8_t *staging; /* pinned host memory that copies pass through */
    size_t staged;    /* bytes of it that the stream may still have to read */
    void *scratch;    /* of the kernel that runs, cuda_scratch */
    size_t scratch_bytes;
    size_t lacking;            /* bytes asked for in vain; 0: there was room */
    size_t free_then, memory;  /* when that began, and all of the GPU's */
    void *outgrown[SCRATCHES]; /* (outgrown_count): scratch memory of before, which records may know */
    int outgrown_count;
    bool recording;              /* what is asked for goes into a graph: kernels alone */
    char unrecordable[200];      /* why there can be no graph; "": there can */
    CudaTable *tables;           /* cuda_table's */
    CudaHost *host;              /* cuda_allocate_host's */
    CpuPool *pool;               /* of run_threads; NULL before */
    char library[32], note[120]; /* base.library, base.note */
} CudaBackend;

enum { CUDA_THREADS = 256 /* of a block where each thread has one element */ };

/* Blocks of CUDA_THREADS threads for `count` elements. */
static inline unsigned cuda_blocks(int64_t count) { return (unsigned)((count + CUDA_THREADS - 1) / CUDA_THREADS); }

#ifdef __cplusplus
extern "C" {
#endif

/* fatal() for the place where a call failed. */
void cuda_failed(const char *file, int line, const char *call, const char *reason);
#define CUDA_TRY(call)                                                                                                 \
    do {                                                                                                               \
        const cudaError_t cuda_try = (call);                                                                           \
        if (cuda_try != cudaSuccess) cuda_failed(__FILE__, __LINE__, #call, cudaGetErrorString(cuda_try));             \
    } while (0)
/* Work that the backend's stream refused to take for `reason` (NULL: it took it): while it is being recorded, no record
 * can be made of it (cuda_graph.c); else fatal(). */
void cuda_asked(CudaBackend *cuda, const char *file, int line, const char *work, const char *reason);
#define CUDA_ASKED(cuda, work, reason) cuda_asked(cuda, __FILE__, __LINE__, work, reason)
/* As such a reason. */
static inline const char *cuda_reason(cudaError_t error) {
    return error == cudaSuccess ? NULL : cudaGetErrorString(error);
}
/* Every launch, on the backend's stream; errors of the kernel itself come at the next wait. Tests that run the kernels
 * without a GPU bring a launch of their own (tests/emulation). */
#ifndef CUDA_LAUNCH
#define CUDA_LAUNCH(kernel, blocks, threads, cuda, ...)                                                                \
    do {                                                                                                               \
        kernel<<<blocks, threads, 0, (cuda)->stream>>>(__VA_ARGS__);                                                   \
        CUDA_ASKED(cuda, #kernel, cuda_reason(cudaGetLastError()));                                                    \
    } while (0)
#endif

/* Pinned host memory, zeros, and whether (bytes) from `host` on lie in it. */
void *cuda_allocate_host(Backend *backend, size_t bytes);
void cuda_release_host(Backend *backend, void *memory); /* NULL is allowed */
bool cuda_is_pinned(const CudaBackend *cuda, const void *host, size_t bytes);

/* Memory of the GPU, which there must be. */
void *cuda_memory(size_t bytes);

/* Memory of the kernel that asks, until the next one asks: undefined contents, aligned to 256 bytes. It grows to the
 * most that was asked for, so that a step allocates nothing once the first is done; what it was before stays, for the
 * records that know its address. */
void *cuda_scratch(CudaBackend *cuda, size_t bytes);

/* Tables that kernels read, in the GPU's memory until the backend is closed. One of the same bytes is found again and
 * not uploaded, so that a record may know its address. */
const void *cuda_table(CudaBackend *cuda, const void *table, size_t bytes);
void cuda_tables_free(CudaBackend *cuda);

/* Asks the GPU for one of this program's kernels: cudaErrorNoKernelImageForDevice, cudaErrorInvalidDeviceFunction where
 * it has no code for that GPU. */
cudaError_t cuda_find_code(void);

/* Kernels that sum over the rows of a lane: a block of CUDA_SUM_THREADS threads takes CUDA_SUM_CHUNK elements. A lane
 * of few rows is one block. */
enum { CUDA_SUM_THREADS = 512, CUDA_SUM_CHUNK = 8 * CUDA_SUM_THREADS, CUDA_SUMS_MOST = 4 };

static inline unsigned cuda_sum_blocks(int64_t count) {
    return (unsigned)((count + CUDA_SUM_CHUNK - 1) / CUDA_SUM_CHUNK);
}
/* Which of a lane's sums such a kernel has, and where its blocks leave them. */
typedef struct {
    int count;
    Sum sum[CUDA_SUMS_MOST];
    double *sums;    /* the lane's (SUMS) */
    double *partial; /* (blocks, count), in scratch memory; not used by one block alone */
} CudaSums;
CudaSums cuda_sums_begin(CudaBackend *cuda, unsigned blocks, DevDoubles sums, int count, const Sum *sum);
/* Adds what the blocks of the kernel left, in their order. */
void cuda_sums_end(CudaBackend *cuda, unsigned blocks, const CudaSums *sums);

/* A linear layer with fewer inputs or outputs than PRODUCT_NARROW; arguments as cuda_linear's. */
void cuda_narrow_linear(CudaBackend *cuda, int64_t rows, int in, int out, Matrix x, DevFloats weight, DevFloats bias,
                        Activation activation, Matrix y);

/* y = activation(y + bias), rows of y `stride` apart. */
void cuda_finish_linear(CudaBackend *cuda, int64_t rows, int columns, DevFloats bias, Activation activation, Matrix y);

/* A layer of those whose columns are summed together, and its matrix in one lane. */
enum { CUDA_TILE = 32 /* columns of a block */ };
typedef struct {
    int columns, first_tile; /* tiles and columns are counted over all layers, one after the other */
    int64_t first_column;
    float *sum, *same; /* (columns): the sums, and where they are wanted again (NULL: nowhere) */
} CudaColumns;
typedef struct {
    const float *at;
    int64_t stride, rows;
} CudaColumnLane;
/* layer (layers + 1; the last one tells where those before it end) and matrix (layers, lanes): in the GPU's memory.
 * tiles, columns: of all layers. Of `lanes` lanes (a power of two), each of at most `rows` rows. */
void cuda_sum_columns(CudaBackend *cuda, int lanes, int64_t rows, int tiles, int64_t columns, const CudaColumns *layer,
                      const CudaColumnLane *matrix);

/* out (count) = the sum of the vectors of `lanes` lanes (a power of two) in the order of the lane tree; vector i at
 * from + i * stride. */
void cuda_sum_lanes(CudaBackend *cuda, int lanes, int64_t count, const float *from, int64_t stride, float *out);

void cuda_run(Backend *, Span lanes, int lanes_most, SpanWork work, void *context);
void cuda_run_recorded(Backend *, BackendRecord **record, Span lanes, RecordedWork work, RecordAgreed agreed,
                       void *context);
void cuda_forget(Backend *, BackendRecord *record);

void cuda_upload(Backend *, void *device, const void *host, size_t bytes);
void cuda_download(Backend *, void *host, const void *device, size_t bytes);

void cuda_range(Backend *, const char *name);

void cuda_choose(Backend *, const Choice *, int64_t images, const Pictures *chosen);
void cuda_draw(Backend *, const Span *, const Draws *, const Pictures *, int glimpses, DevFloats location,
               DevFloats noise);
void cuda_retina(Backend *, const Span *, const Retina *, const Pictures *, DevFloats location, DevFloats glimpse);
void cuda_linear(Backend *, const Span *, int glimpses, int in, int out, Matrix x, Weight weight, DevFloats bias,
                 Activation, Matrix y);
void cuda_linear_backward_data(Backend *, const Span *, int glimpses, int in, int out, Matrix dy, Weight weight,
                               bool accumulate, Matrix dx);
void cuda_linear_backward_weight(Backend *, const Span *, int glimpses, int in, int out, const Matrix *x,
                                 const Matrix *dy, DevFloats dweight);
void cuda_linear_backward_bias(Backend *, const Span *, int count, const BiasGradient *work);
void cuda_relu_backward(Backend *, const Span *, int glimpses, int columns, Matrix y, Matrix dy);
void cuda_lstm(Backend *, const Span *, int hidden, DevFloats gates, DevFloats c_before, DevFloats c, Matrix h);
void cuda_lstm_backward(Backend *, const Span *, int hidden, bool last, DevFloats gates, DevFloats c_before,
                        DevFloats c, DevFloats dh, DevFloats dc, DevFloats dgates);
void cuda_locate(Backend *, const Span *, Policy, float sigma, int in, Matrix x, Weight weight, DevFloats bias,
                 DevFloats noise, DevFloats mean, DevFloats location, DevFloats log_pi);
void cuda_reinforce(Backend *, const Span *, const Reinforce *, DevFloats reward, DevFloats credit, DevFloats mean,
                    DevFloats noise, DevFloats log_pi, DevFloats b, DevFloats d_baseline, DevFloats d_location,
                    DevDoubles sums);
void cuda_log_softmax(Backend *, const Span *, int glimpses, int classes, DevFloats logits);
void cuda_reward(Backend *, const Span *, const RewardRule *, int glimpses, int classes, const Pictures *,
                 DevFloats log_prob, DevFloats reward, DevFloats credit);
void cuda_add_probability(Backend *, const Span *, int classes, DevFloats log_prob, DevFloats probability);
void cuda_classification(Backend *, const Span *, const Classification *, const Pictures *, DevFloats log_prob,
                         DevFloats d_logits, DevDoubles sums);
void cuda_transpose(Backend *, int count, const Transpose *work);
void cuda_add(Backend *, int64_t count, DevFloats a, DevFloats b, DevFloats out);
void cuda_tree_sum(Backend *, int nodes, const LaneNode *node, const DevFloats *vector, int64_t count, DevFloats out);
void cuda_sum_squares(Backend *, int64_t count, DevFloats values, DevDoubles sum);
void cuda_adam(Backend *, DevUpdate, DevDoubles squares, int64_t count, DevFloats parameters, DevFloats gradient,
               DevFloats m, DevFloats v);
void cuda_sgd(Backend *, DevUpdate, DevDoubles squares, int64_t count, DevFloats parameters, DevFloats gradient,
              DevFloats velocity);
void cuda_average(Backend *, DevUpdate, DevDoubles squares, int64_t count, DevFloats average, DevFloats values);
void cuda_repeat_row(Backend *, int rows, int columns, DevDoubles row, DevDoubles out);
void cuda_sum_rows(Backend *, int rows, int columns, DevDoubles values, DevFloats out);
void cuda_widen(Backend *, int count, DevFloats values, DevDoubles out);

#ifdef __cplusplus
}

/* A thread's number among all of a one-dimensional launch. */
static __device__ inline int64_t cuda_index(void) { return (int64_t)blockIdx.x * blockDim.x + threadIdx.x; }

/* i / n: 32 bits, which nearly all arrays fit in, take a fraction of the instructions. */
static __device__ inline int64_t cuda_quotient(int64_t i, int64_t n) {
    return (uint64_t)(i | n) >> 32 ? i / n : (int64_t)((uint32_t)i / (uint32_t)n);
}

/* The sum of `value` over the THREADS (a power of two) threads of a block, in a fixed order; thread 0 gets it. `shared`
 * (THREADS) is free again afterwards. */
template <typename Number, int THREADS> static __device__ inline Number cuda_block_sum(Number value, Number *shared) {
    shared[threadIdx.x] = value;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    }
    __syncthreads();
    const Number sum = shared[0];
    __syncthreads();
    return sum;
}

/* Gives the k-th sum of a block: the sum of its threads' `mine`. shared: as for cuda_block_sum. */
static __device__ inline void cuda_sums_give(const CudaSums *sums, int k, double mine, double *shared) {
    const double sum = cuda_block_sum<double, CUDA_SUM_THREADS>(mine, shared);
    if (threadIdx.x > 0) return;
    if (gridDim.x == 1)
        sums->sums[sums->sum[k]] += sum;
    else
        sums->partial[(int64_t)blockIdx.x * sums->count + k] = sum;
}

/* The lane tree, vector by vector: after vector i, as many sums are completed as i ends subtrees. The deepest tree of
 * LANES_MOST lanes keeps ten sums waiting. */
typedef struct {
    float waiting[12];
    int count;
} CudaTree;

/* How many subtrees lane `lane` of a whole tree ends: as many as its number ends in ones. */
static __device__ inline int cuda_lane_completes(int lane) { return __ffs(~lane) - 1; }

static __device__ inline void cuda_tree_push(CudaTree *tree, float value, int completed) {
    for (; completed > 0; completed--) value = tree->waiting[--tree->count] + value;
    tree->waiting[tree->count++] = value;
}
#endif

#endif
