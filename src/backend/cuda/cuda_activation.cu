/* What surrounds the products: bias and activation, the ReLU's gradient, sums of columns, sums of lanes. All are bound
 * by memory: each element is read once and written at most once. */
#include "backend/cuda/cuda_parts.h"
#include "backend/element/units.h"

/* One thread an element: 8 bytes of y, the bias from the cache. */
static __global__ void finish_kernel(int64_t count, int columns, const float *bias, Activation activation, float *y,
                                     int64_t stride) {
    const int64_t i = cuda_index();
    if (i >= count) return;
    const int64_t row = cuda_quotient(i, columns), column = i - row * columns;
    float *at = y + row * stride + column;
    *at = units_activate(activation, *at + bias[column]);
}

void cuda_finish_linear(CudaBackend *cuda, int64_t rows, int columns, DevFloats bias, Activation activation, Matrix y) {
    const int64_t count = rows * columns;
    CUDA_LAUNCH(finish_kernel, cuda_blocks(count), CUDA_THREADS, cuda, count, columns, bias.address, activation,
                y.at.address, y.stride);
}

/* One thread an element: 12 bytes. */
static __global__ void relu_backward_kernel(int64_t count, int columns, const float *y, int64_t y_stride, float *dy,
                                            int64_t dy_stride) {
    const int64_t i = cuda_index();
    if (i >= count) return;
    const int64_t row = cuda_quotient(i, columns), column = i - row * columns;
    float *at = dy + row * dy_stride + column;
    *at = units_relu_backward(y[row * y_stride + column], *at);
}

void cuda_relu_backward(Backend *backend, const Span *span, int glimpses, int columns, Matrix y, Matrix dy) {
    const int64_t count = glimpses * span_rows(span) * columns;
    if (count == 0) return;
    CUDA_LAUNCH(relu_backward_kernel, cuda_blocks(count), CUDA_THREADS, (CudaBackend *)backend, count, columns,
                y.at.address, y.stride, dy.at.address, dy.stride);
}

/* --- sums of columns: the biases' gradients, those of all layers side by side */

enum { CHUNK = 1024 /* rows */ };

static __device__ inline void give_sum(const CudaColumns *layer, int64_t column, float sum) {
    layer->sum[column] = sum;
    if (layer->same) layer->same[column] = sum;
}

/* A block takes CUDA_TILE columns (blockIdx.y) of one chunk (blockIdx.x) of one lane (blockIdx.z), a thread every
 * CUDA_TILE-th row of its column; their sums are added in a fixed tree. 4 bytes an element. layer: one more than there
 * are tells where the last one ends; matrix (layers, lanes); sums (lanes, chunks, columns), NULL where there is one of
 * each. */
static __global__ void __launch_bounds__(CUDA_TILE *CUDA_TILE)
    columns_kernel(const CudaColumns *layer, const CudaColumnLane *matrix, int64_t columns, float *sums) {
    __shared__ float shared[CUDA_TILE][CUDA_TILE + 1];
    int number = 0;
    while ((int)blockIdx.y >= layer[number + 1].first_tile) number++;
    const CudaColumns of = layer[number];
    const CudaColumnLane lane = matrix[number * gridDim.z + blockIdx.z];
    const int column = ((int)blockIdx.y - of.first_tile) * CUDA_TILE + (int)threadIdx.x;
    const int64_t first = (int64_t)blockIdx.x * CHUNK, end = first + CHUNK < lane.rows ? first + CHUNK : lane.rows;
    float sum = 0.0f;
    if (column < of.columns)
        for (int64_t r = first + threadIdx.y; r < end; r += CUDA_TILE) sum += lane.at[r * lane.stride + column];
    shared[threadIdx.y][threadIdx.x] = sum;
    for (int half = CUDA_TILE / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.y < half) shared[threadIdx.y][threadIdx.x] += shared[threadIdx.y + half][threadIdx.x];
    }
    if (threadIdx.y > 0 || column >= of.columns) return;
    if (sums)
        sums[((int64_t)blockIdx.z * gridDim.x + blockIdx.x) * columns + of.first_column + column] =
            shared[0][threadIdx.x];
    else
        give_sum(&of, column, shared[0][threadIdx.x]);
}

/* One thread a column: the chunks of a lane one after the other, the lanes in the order of their tree. 4 bytes a chunk.
 */
static __global__ void chunks_kernel(int lanes, int chunks, const CudaColumns *layer, int64_t columns,
                                     const float *from) {
    const int64_t column = cuda_index();
    if (column >= columns) return;
    CudaTree tree;
    tree.count = 0;
    for (int lane = 0; lane < lanes; lane++) {
        float sum = 0.0f;
        for (int chunk = 0; chunk < chunks; chunk++, from += columns) sum += from[column];
        cuda_tree_push(&tree, sum, cuda_lane_completes(lane));
    }
    int number = 0;
    while (column >= layer[number + 1].first_column) number++;
    give_sum(&layer[number], column - layer[number].first_column, tree.waiting[0]);
}

void cuda_sum_columns(CudaBackend *cuda, int lanes, int64_t rows, int tiles, int64_t columns, const CudaColumns *layer,
                      const CudaColumnLane *matrix) {
    const int64_t chunks = rows > CHUNK ? (rows + CHUNK - 1) / CHUNK : 1;
    const bool whole = lanes * chunks == 1;
    float *sums = whole ? NULL : (float *)cuda_scratch(cuda, (size_t)(lanes * chunks * columns) * sizeof *sums);
    CUDA_LAUNCH(columns_kernel, dim3((unsigned)chunks, (unsigned)tiles, (unsigned)lanes), dim3(CUDA_TILE, CUDA_TILE),
                cuda, layer, matrix, columns, sums);
    if (!whole)
        CUDA_LAUNCH(chunks_kernel, cuda_blocks(columns), CUDA_THREADS, cuda, lanes, (int)chunks, layer, columns, sums);
}

/* --- sums of lanes */

/* One thread an element: 4 bytes a lane. */
static __global__ void lanes_kernel(int lanes, int64_t count, const float *from, int64_t stride, float *out) {
    const int64_t i = cuda_index();
    if (i >= count) return;
    CudaTree tree;
    tree.count = 0;
    for (int lane = 0; lane < lanes; lane++) cuda_tree_push(&tree, from[lane * stride + i], cuda_lane_completes(lane));
    out[i] = tree.waiting[0];
}

void cuda_sum_lanes(CudaBackend *cuda, int lanes, int64_t count, const float *from, int64_t stride, float *out) {
    CUDA_LAUNCH(lanes_kernel, cuda_blocks(count), CUDA_THREADS, cuda, lanes, count, from, stride, out);
}
