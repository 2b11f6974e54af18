/* Linear layers by cuBLASLt, which is column-major; how row-major matrices are handed to it is told in cpu_linear.c.
 * Each product has the shape of one lane (all its glimpses stacked, or one), so that its bits are the same whoever
 * computes the lane. Products with a narrow side keep float32 whatever the precision: they have the location, the
 * locator's mean, the baseline or the classes at one end; forward they have kernels of their own. */
#include "backend/cuda/cuda_blas.h"
#include "backend/cuda/cuda_parts.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdlib.h>

enum { ALIGN = 64 /* floats */ };

/* Floats that the products of all lanes of a batch may take. */
static const int64_t LANES_FLOATS = (int64_t)16 << 20;

void cuda_linear(Backend *backend, const Span *span, int glimpses, int in, int out, Matrix x, Weight weight,
                 DevFloats bias, Activation activation, Matrix y) {
    CudaBackend *cuda = (CudaBackend *)backend;
    const int rows = span_stacked_rows(span, glimpses);
    if (rows == 0) return;
    if (product_is_narrow(in, out)) {
        cuda_narrow_linear(cuda, rows, in, out, x, weight.plain, bias, activation, y);
        return;
    }
    CUDA_ASKED(cuda, "cuBLAS product",
               cuda_blas_product(cuda->blas, false, false, out, rows, in, weight.plain.address, out, x.at.address,
                                 x.stride, false, y.at.address, y.stride));
    cuda_finish_linear(cuda, rows, out, bias, activation, y);
}

void cuda_linear_backward_data(Backend *backend, const Span *span, int glimpses, int in, int out, Matrix dy,
                               Weight weight, bool accumulate, Matrix dx) {
    CudaBackend *cuda = (CudaBackend *)backend;
    const int rows = span_stacked_rows(span, glimpses);
    if (rows == 0) return;
    CUDA_ASKED(cuda, "cuBLAS product",
               cuda_blas_product(cuda->blas, product_is_narrow(in, out), false, in, rows, out, weight.plain.address, in,
                                 dy.at.address, dy.stride, accumulate, dx.at.address, dx.stride));
}

/* Some rows of the gradient, [output, output + outputs), for every lane. */
static void lane_products(CudaBackend *cuda, const Span *span, int glimpses, int in, int out, int output, int outputs,
                          const Matrix *x, const Matrix *dy, float *target, int64_t target_stride) {
    for (int lane = 0; lane < span->lane_count; lane++, target += target_stride) {
        const Span one = span_lane(span, lane);
        const int rows = span_stacked_rows(&one, glimpses);
        if (rows == 0) {
            CUDA_ASKED(
                cuda, "cudaMemsetAsync",
                cuda_reason(cudaMemsetAsync(target, 0, (size_t)outputs * (size_t)in * sizeof *target, cuda->stream)));
            continue;
        }
        const Matrix columns = matrix_column(dy[lane], output);
        CUDA_ASKED(cuda, "cuBLAS product",
                   cuda_blas_product(cuda->blas, product_is_narrow(in, out), true, in, outputs, rows,
                                     x[lane].at.address, x[lane].stride, columns.at.address, columns.stride, false,
                                     target, in));
    }
}

/* All lanes' products side by side, then their sum; of a single lane at once where the sum would be. There it has the
 * alignment that cuBLAS is told of elsewhere too, at most 16 bytes and less only for the layer's width, and so the same
 * product. Layers too large for that are cut into blocks of outputs, whose size depends on the number of lanes of the
 * batch alone, so that every rank makes the same products. */
void cuda_linear_backward_weight(Backend *backend, const Span *span, int glimpses, int in, int out, const Matrix *x,
                                 const Matrix *dy, DevFloats dweight) {
    CudaBackend *cuda = (CudaBackend *)backend;
    const int lanes = span->lane_count;
    int64_t most = LANES_FLOATS / ((int64_t)span->lanes * in);
    most = most < 1 ? 1 : most > out ? out : most;
    const int64_t stride = (most * in + ALIGN - 1) / ALIGN * ALIGN;
    const bool sums = lanes > 1;
    float *products = sums ? cuda_scratch(cuda, (size_t)(lanes * stride) * sizeof *products) : NULL;
    for (int output = 0; output < out; output += (int)most) {
        const int outputs = output + most < out ? (int)most : out - output;
        float *target = dweight.address + (int64_t)output * in;
        lane_products(cuda, span, glimpses, in, out, output, outputs, x, dy, sums ? products : target, stride);
        if (sums) cuda_sum_lanes(cuda, lanes, (int64_t)outputs * in, products, stride, target);
    }
}

/* All layers by one launch (or two, where there are several lanes or many rows): each of its own would take a few
 * microseconds for what is little to do. */
void cuda_linear_backward_bias(Backend *backend, const Span *span, int count, const BiasGradient *work) {
    CudaBackend *cuda = (CudaBackend *)backend;
    const int lanes = span->lane_count;
    CudaColumns *layer = memory_new((size_t)count + 1, sizeof *layer);
    CudaColumnLane *matrix = memory_new((size_t)(count * lanes), sizeof *matrix);
    int glimpses = 0;
    for (int i = 0; i < count; i++) {
        layer[i].columns = work[i].out;
        layer[i].sum = work[i].dbias.address;
        layer[i].same = work[i].same.address;
        layer[i + 1].first_tile = layer[i].first_tile + (work[i].out + CUDA_TILE - 1) / CUDA_TILE;
        layer[i + 1].first_column = layer[i].first_column + work[i].out;
        if (work[i].glimpses > glimpses) glimpses = work[i].glimpses;
        for (int lane = 0; lane < lanes; lane++) {
            const Span one = span_lane(span, lane);
            const Matrix dy = work[i].dy[lane];
            matrix[i * lanes + lane] = (CudaColumnLane){dy.at.address, dy.stride, work[i].glimpses * span_rows(&one)};
        }
    }
    cuda_sum_columns(cuda, lanes, glimpses * span_lane_rows_most(span->batch, span->lanes, span->samples),
                     layer[count].first_tile, layer[count].first_column,
                     cuda_table(cuda, layer, ((size_t)count + 1) * sizeof *layer),
                     cuda_table(cuda, matrix, (size_t)(count * lanes) * sizeof *matrix));
    free(matrix);
    free(layer);
}
