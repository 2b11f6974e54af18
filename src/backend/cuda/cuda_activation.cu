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
    const float value = *at + bias[column];
    *at = activation == ACTIVATION_RELU ? units_relu(value) : activation == ACTIVATION_TANH ? tanhf(value) : value;
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

/* --- sums of columns: the biases' gradients */

enum { TILE = 32, CHUNK = 1024 /* rows */, LANE_GROUP = 64 /* lanes of a launch: their places are its argument */ };

typedef struct {
    struct {
        const float *at;
        int64_t stride, rows;
    } lane[LANE_GROUP];
} ColumnLanes;

/* A block takes TILE columns (blockIdx.y) of one chunk (blockIdx.x) of one lane (blockIdx.z), a thread every TILE-th
 * row of its column; their sums are added in a fixed tree. out (lanes, chunks, columns). 4 bytes an element. */
static __global__ void __launch_bounds__(TILE *TILE) columns_kernel(ColumnLanes lanes, int columns, float *out) {
    __shared__ float shared[TILE][TILE + 1];
    const int column = (int)(blockIdx.y * TILE + threadIdx.x);
    const float *at = lanes.lane[blockIdx.z].at;
    const int64_t stride = lanes.lane[blockIdx.z].stride, rows = lanes.lane[blockIdx.z].rows;
    const int64_t first = (int64_t)blockIdx.x * CHUNK, end = first + CHUNK < rows ? first + CHUNK : rows;
    float sum = 0.0f;
    if (column < columns)
        for (int64_t r = first + threadIdx.y; r < end; r += TILE) sum += at[r * stride + column];
    shared[threadIdx.y][threadIdx.x] = sum;
    for (int half = TILE / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.y < half) shared[threadIdx.y][threadIdx.x] += shared[threadIdx.y + half][threadIdx.x];
    }
    if (threadIdx.y == 0 && column < columns)
        out[((int64_t)blockIdx.z * gridDim.x + blockIdx.x) * columns + column] = shared[0][threadIdx.x];
}

/* One thread a column: the chunks of a lane one after the other, the lanes in the order of their tree. 4 bytes a chunk.
 */
static __global__ void chunks_kernel(int lanes, int chunks, int columns, const float *from, float *out) {
    const int64_t column = cuda_index();
    if (column >= columns) return;
    CudaTree tree;
    tree.count = 0;
    for (int lane = 0; lane < lanes; lane++) {
        float sum = 0.0f;
        for (int chunk = 0; chunk < chunks; chunk++, from += columns) sum += from[column];
        cuda_tree_push(&tree, sum, cuda_lane_completes(lane));
    }
    out[column] = tree.waiting[0];
}

void cuda_linear_backward_bias(Backend *backend, const Span *span, int glimpses, int out, const Matrix *dy,
                               DevFloats dbias) {
    CudaBackend *cuda = (CudaBackend *)backend;
    const int lanes = span->lane_count;
    const int64_t rows_most = glimpses * span_lane_rows_most(span->batch, span->lanes, span->samples);
    const int64_t chunks = rows_most > CHUNK ? (rows_most + CHUNK - 1) / CHUNK : 1;
    const bool whole = lanes * chunks == 1;
    float *sums = whole ? dbias.address : (float *)cuda_scratch(cuda, (size_t)(lanes * chunks * out) * sizeof(float));
    for (int first = 0; first < lanes; first += LANE_GROUP) {
        const int count = lanes - first < LANE_GROUP ? lanes - first : LANE_GROUP;
        ColumnLanes group;
        for (int i = 0; i < count; i++) {
            const Span one = span_lane(span, first + i);
            group.lane[i].at = dy[first + i].at.address;
            group.lane[i].stride = dy[first + i].stride;
            group.lane[i].rows = glimpses * span_rows(&one);
        }
        CUDA_LAUNCH(columns_kernel, dim3((unsigned)chunks, (unsigned)(out + TILE - 1) / TILE, (unsigned)count),
                    dim3(TILE, TILE), cuda, group, out, sums + first * chunks * out);
    }
    if (!whole)
        CUDA_LAUNCH(chunks_kernel, cuda_blocks(out), CUDA_THREADS, cuda, lanes, (int)chunks, out, sums, dbias.address);
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
