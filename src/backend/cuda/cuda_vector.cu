/* Kernels over whole parameter vectors on the GPU: one thread an element, bound by memory. */
#include "backend/cuda/cuda_parts.h"
#include "backend/element/update.h"

#include <string.h>

/* --- layout of the weights for the forward pass */

enum { TILE = 32, TILE_ROWS = 8, MATRICES = 16 /* of one launch: their places travel as its argument */ };

typedef struct {
    int count;
    Transpose matrix[MATRICES];
    int64_t first_tile[MATRICES + 1];
} TransposeGroup;

static __host__ __device__ inline int64_t tiles_across(int64_t elements) { return (elements + TILE - 1) / TILE; }

/* A block takes one tile of one matrix through shared memory, so that reads and writes are both side by side: 8 bytes
 * an element. */
static __global__ void transpose_kernel(TransposeGroup group) {
    __shared__ float tile[TILE][TILE + 1];
    int number = 0;
    while ((int64_t)blockIdx.x >= group.first_tile[number + 1]) number++;
    const Transpose work = group.matrix[number];
    const int64_t at = blockIdx.x - group.first_tile[number], across = tiles_across(work.columns);
    const int64_t first_row = at / across * TILE, first_column = at % across * TILE;
    for (int i = threadIdx.y; i < TILE; i += TILE_ROWS) {
        const int64_t row = first_row + i, column = first_column + threadIdx.x;
        if (row < work.rows && column < work.columns)
            tile[i][threadIdx.x] = work.source.address[row * work.columns + column];
    }
    __syncthreads();
    for (int i = threadIdx.y; i < TILE; i += TILE_ROWS) {
        const int64_t row = first_row + threadIdx.x, column = first_column + i;
        if (row < work.rows && column < work.columns)
            work.target.address[column * work.target_stride + row] = tile[threadIdx.x][i];
    }
}

void cuda_transpose(Backend *backend, int count, const Transpose *work) {
    for (int first = 0; first < count; first += MATRICES) {
        TransposeGroup group;
        group.count = count - first < MATRICES ? count - first : MATRICES;
        group.first_tile[0] = 0;
        for (int i = 0; i < group.count; i++) {
            group.matrix[i] = work[first + i];
            group.first_tile[i + 1] =
                group.first_tile[i] + tiles_across(work[first + i].rows) * tiles_across(work[first + i].columns);
        }
        const int64_t tiles = group.first_tile[group.count];
        if (tiles == 0) continue;
        CUDA_LAUNCH(transpose_kernel, (unsigned)tiles, dim3(TILE, TILE_ROWS), (CudaBackend *)backend, group);
    }
}

/* 12 bytes an element. */
static __global__ void add_kernel(int64_t count, const float *a, const float *b, float *out) {
    const int64_t i = cuda_index();
    if (i < count) out[i] = a[i] + b[i];
}

void cuda_add(Backend *backend, int64_t count, DevFloats a, DevFloats b, DevFloats out) {
    if (count == 0) return;
    CUDA_LAUNCH(add_kernel, cuda_blocks(count), CUDA_THREADS, (CudaBackend *)backend, count, a.address, b.address,
                out.address);
}

/* --- the lane tree */

typedef struct {
    const float *vector[LANES_MOST];
    int completed[LANES_MOST]; /* sums that are complete with vector i */
} TreePlan;

/* 4 bytes an element and vector. A thread has read its element of all vectors before it writes, so `out` may be one. */
static __global__ void tree_kernel(int nodes, const TreePlan *plan, int64_t count, float *out) {
    const int64_t i = cuda_index();
    if (i >= count) return;
    CudaTree tree;
    tree.count = 0;
    for (int node = 0; node < nodes; node++) cuda_tree_push(&tree, plan->vector[node][i], plan->completed[node]);
    out[i] = tree.waiting[0];
}

/* Subtrees that lie side by side under one parent are summed as soon as the right one is complete. */
static bool plan_tree(int nodes, const LaneNode *node, const DevFloats *vector, TreePlan *plan) {
    LaneNode waiting[LANES_MOST];
    int count = 0;
    for (int i = 0; i < nodes; i++) {
        LaneNode sum = node[i];
        plan->vector[i] = vector[i].address;
        plan->completed[i] = 0;
        for (; count > 0 && waiting[count - 1].count == sum.count && waiting[count - 1].first % (2 * sum.count) == 0;
             count--) {
            sum.first = waiting[count - 1].first;
            sum.count *= 2;
            plan->completed[i]++;
        }
        waiting[count++] = sum;
    }
    return count == 1;
}

void cuda_tree_sum(Backend *backend, int nodes, const LaneNode *node, const DevFloats *vector, int64_t count,
                   DevFloats out) {
    CudaBackend *cuda = (CudaBackend *)backend;
    TreePlan plan;
    memset(&plan, 0, sizeof plan); /* what is not used is equal too */
    if (nodes < 1 || nodes > LANES_MOST || !plan_tree(nodes, node, vector, &plan))
        cuda_failed(__FILE__, __LINE__, "tree_sum", "the nodes are no tree");
    if (count == 0) return;
    const TreePlan *there = (const TreePlan *)cuda_table(cuda, &plan, sizeof plan);
    CUDA_LAUNCH(tree_kernel, cuda_blocks(count), CUDA_THREADS, cuda, nodes, there, count, out.address);
}

/* --- sums over the rows of a lane */

CudaSums cuda_sums_begin(CudaBackend *cuda, unsigned blocks, DevDoubles sums, int count, const Sum *sum) {
    CudaSums left;
    left.count = count;
    for (int k = 0; k < count; k++) left.sum[k] = sum[k];
    left.sums = sums.address;
    left.partial = blocks > 1 ? (double *)cuda_scratch(cuda, blocks * (size_t)count * sizeof(double)) : NULL;
    return left;
}

/* A thread adds one of the sums. */
static __global__ void partial_sums_kernel(unsigned blocks, CudaSums sums) {
    const int k = threadIdx.x;
    double sum = 0;
    for (unsigned block = 0; block < blocks; block++) sum += sums.partial[(int64_t)block * sums.count + k];
    sums.sums[sums.sum[k]] += sum;
}

void cuda_sums_end(CudaBackend *cuda, unsigned blocks, const CudaSums *sums) {
    if (blocks > 1) CUDA_LAUNCH(partial_sums_kernel, 1, (unsigned)sums->count, cuda, blocks, *sums);
}

/* --- norms and optimisers */

enum { SQUARES = 4096 /* elements of a block of the sum of squares */ };

/* A block takes SQUARES elements, 4 bytes each; its threads' sums are added in a fixed tree. */
static __global__ void __launch_bounds__(CUDA_THREADS)
    squares_kernel(int64_t count, const float *values, double *partial) {
    __shared__ double shared[CUDA_THREADS];
    const int64_t first = (int64_t)blockIdx.x * SQUARES;
    double sum = 0;
    for (int64_t i = first + threadIdx.x; i < first + SQUARES && i < count; i += CUDA_THREADS)
        sum += (double)values[i] * (double)values[i];
    sum = cuda_block_sum<double, CUDA_THREADS>(sum, shared);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

/* One block adds the partial sums. */
static __global__ void __launch_bounds__(CUDA_THREADS)
    partials_kernel(int64_t count, const double *partial, double *total) {
    __shared__ double shared[CUDA_THREADS];
    double sum = 0;
    for (int64_t i = threadIdx.x; i < count; i += CUDA_THREADS) sum += partial[i];
    sum = cuda_block_sum<double, CUDA_THREADS>(sum, shared);
    if (threadIdx.x == 0) *total = sum;
}

void cuda_sum_squares(Backend *backend, int64_t count, DevFloats values, DevDoubles sum) {
    CudaBackend *cuda = (CudaBackend *)backend;
    const int64_t blocks = (count + SQUARES - 1) / SQUARES;
    double *partial = (double *)cuda_scratch(cuda, (size_t)blocks * sizeof(double));
    if (count > 0) CUDA_LAUNCH(squares_kernel, (unsigned)blocks, CUDA_THREADS, cuda, count, values.address, partial);
    CUDA_LAUNCH(partials_kernel, 1, CUDA_THREADS, cuda, blocks, partial, sum.address);
}

/* 28 bytes an element. */
static __global__ void adam_kernel(const Update *update, const double *squares, int64_t count, float *parameters,
                                   const float *gradient, float *m, float *v) {
    const int64_t i = cuda_index();
    if (i >= count || !isfinite(*squares)) return;
    const float scale = update_gradient_scale(update->clip, *squares);
    update_adam(update->adam, scale, gradient[i], parameters + i, m + i, v + i);
}

void cuda_adam(Backend *backend, DevUpdate update, DevDoubles squares, int64_t count, DevFloats parameters,
               DevFloats gradient, DevFloats m, DevFloats v) {
    if (count == 0) return;
    CUDA_LAUNCH(adam_kernel, cuda_blocks(count), CUDA_THREADS, (CudaBackend *)backend, update.address, squares.address,
                count, parameters.address, gradient.address, m.address, v.address);
}

/* 20 bytes an element. */
static __global__ void sgd_kernel(const Update *update, const double *squares, int64_t count, float *parameters,
                                  const float *gradient, float *velocity) {
    const int64_t i = cuda_index();
    if (i >= count || !isfinite(*squares)) return;
    const float scale = update_gradient_scale(update->clip, *squares);
    update_sgd(update->sgd, scale, gradient[i], parameters + i, velocity + i);
}

void cuda_sgd(Backend *backend, DevUpdate update, DevDoubles squares, int64_t count, DevFloats parameters,
              DevFloats gradient, DevFloats velocity) {
    if (count == 0) return;
    CUDA_LAUNCH(sgd_kernel, cuda_blocks(count), CUDA_THREADS, (CudaBackend *)backend, update.address, squares.address,
                count, parameters.address, gradient.address, velocity.address);
}

/* 12 bytes an element. */
static __global__ void average_kernel(const Update *update, const double *squares, int64_t count, float *average,
                                      const float *values) {
    const int64_t i = cuda_index();
    if (i < count && isfinite(*squares)) average[i] = update_average(update->average, average[i], values[i]);
}

void cuda_average(Backend *backend, DevUpdate update, DevDoubles squares, int64_t count, DevFloats average,
                  DevFloats values) {
    if (count == 0) return;
    CUDA_LAUNCH(average_kernel, cuda_blocks(count), CUDA_THREADS, (CudaBackend *)backend, update.address,
                squares.address, count, average.address, values.address);
}

/* --- a step's sums: one thread a number, or a column, 8 bytes each */

static __global__ void repeat_row_kernel(int count, int columns, const double *row, double *out) {
    const int64_t i = cuda_index();
    if (i < count) out[i] = row[i % columns];
}

void cuda_repeat_row(Backend *backend, int rows, int columns, DevDoubles row, DevDoubles out) {
    const int count = rows * columns;
    if (count == 0) return;
    CUDA_LAUNCH(repeat_row_kernel, cuda_blocks(count), CUDA_THREADS, (CudaBackend *)backend, count, columns,
                row.address, out.address);
}

static __global__ void sum_rows_kernel(int rows, int columns, const double *values, float *out) {
    const int64_t column = cuda_index();
    if (column >= columns) return;
    double sum = 0;
    for (int row = 0; row < rows; row++) sum += values[row * columns + column];
    out[column] = (float)sum;
}

void cuda_sum_rows(Backend *backend, int rows, int columns, DevDoubles values, DevFloats out) {
    if (columns == 0) return;
    CUDA_LAUNCH(sum_rows_kernel, cuda_blocks(columns), CUDA_THREADS, (CudaBackend *)backend, rows, columns,
                values.address, out.address);
}

static __global__ void widen_kernel(int count, const float *values, double *out) {
    const int64_t i = cuda_index();
    if (i < count) out[i] = values[i];
}

void cuda_widen(Backend *backend, int count, DevFloats values, DevDoubles out) {
    if (count == 0) return;
    CUDA_LAUNCH(widen_kernel, cuda_blocks(count), CUDA_THREADS, (CudaBackend *)backend, count, values.address,
                out.address);
}

/* --- whether there is code for the GPU at all */

cudaError_t cuda_find_code(void) {
    cudaFuncAttributes attributes;
    const cudaError_t error = cudaFuncGetAttributes(&attributes, add_kernel);
    cudaGetLastError(); /* forget a failure */
    return error;
}
