/* Linear layers by LIBXSMM, which is column-major: a row-major (rows, columns) matrix is its (columns x rows). So
 *   y  = x W^T     is  y^T (out x rows) = W (out x in) x^T          with W laid out (in, out): NN
 *   dx = dy W      is  dx^T (in x rows) = W^T (in x out) dy^T       with W as stored (out, in): NN
 *   dW = dy^T x    is  dW^T (in x out)  = x^T (in x rows) dy        dy transposed: NT
 * Each call has the shape of one lane (all its glimpses stacked, or one), whoever calls. */
#include "backend/cpu/cpu.h"
#include "backend/element/units.h"
#include "base/log.h"

#include <cblas.h>
#include <libxsmm.h>
#include <math.h>
#include <string.h>

/* C (m x n) = A (m x k) B (k x n) [+ C], column-major; B transposed where `trans_b`. */
static void product(bool trans_b, int m, int n, int k, const float *a, int64_t lda, const float *b, int64_t ldb,
                    bool accumulate, float *c, int64_t ldc) {
    const float alpha = 1.0f, beta = accumulate ? 1.0f : 0.0f;
    const int flags = trans_b ? LIBXSMM_GEMM_FLAG_TRANS_B : LIBXSMM_GEMM_FLAG_NONE;
    const int stride_a = (int)lda, stride_b = (int)ldb, stride_c = (int)ldc;
    libxsmm_smmfunction kernel =
        libxsmm_smmdispatch(m, n, k, &stride_a, &stride_b, &stride_c, &alpha, &beta, &flags, NULL);
    if (kernel)
        kernel(a, b, c);
    else /* no code generator for this machine */
        cblas_sgemm(CblasColMajor, CblasNoTrans, trans_b ? CblasTrans : CblasNoTrans, m, n, k, alpha, a, stride_a, b,
                    stride_b, beta, c, stride_c);
}

/* Partial sums in a fixed number and order. */
static float dot(int count, const float *a, const float *b) {
    enum { SUMS_OF_ROW = 32 };
    float sum[SUMS_OF_ROW] = {0};
    int i = 0;
    for (; i + SUMS_OF_ROW <= count; i += SUMS_OF_ROW)
        for (int j = 0; j < SUMS_OF_ROW; j++) sum[j] += a[i + j] * b[i + j];
    for (int j = 0; i + j < count; j++) sum[j] += a[i + j] * b[i + j];
    for (int half = SUMS_OF_ROW / 2; half > 0; half /= 2)
        for (int j = 0; j < half; j++) sum[j] += sum[j + half];
    return sum[0];
}

void cpu_finish_linear(int64_t rows, int columns, const float *bias, Activation activation, Matrix y) {
    for (int64_t r = 0; r < rows; r++) {
        float *row = y.at.address + r * y.stride;
        switch (activation) {
        case ACTIVATION_NONE:
            for (int c = 0; c < columns; c++) row[c] += bias[c];
            break;
        case ACTIVATION_RELU:
            for (int c = 0; c < columns; c++) row[c] = units_relu(row[c] + bias[c]);
            break;
        case ACTIVATION_TANH:
            for (int c = 0; c < columns; c++) row[c] = tanhf(row[c] + bias[c]);
            break;
        }
    }
}

static int stacked_rows(const Span *span, int glimpses) {
    require(span->lane_count == 1);
    return glimpses * (int)span_rows(span);
}

void cpu_linear(Backend *backend, const Span *span, int glimpses, int in, int out, Matrix x, Weight weight,
                DevFloats bias, Activation activation, Matrix y) {
    (void)backend;
    int rows = stacked_rows(span, glimpses);
    if (rows == 0) return;
    if (out == 1) /* LIBXSMM reads x across its rows then: 5 GFLOP/s */
        for (int64_t r = 0; r < rows; r++)
            y.at.address[r * y.stride] = dot(in, x.at.address + r * x.stride, weight.plain.address);
    else
        product(false, out, rows, in, weight.plain.address, out, x.at.address, x.stride, false, y.at.address, y.stride);
    cpu_finish_linear(rows, out, bias.address, activation, y);
}

void cpu_linear_backward_data(Backend *backend, const Span *span, int glimpses, int in, int out, Matrix dy,
                              Weight weight, bool accumulate, Matrix dx) {
    (void)backend;
    int rows = stacked_rows(span, glimpses);
    if (rows == 0) return;
    product(false, in, rows, out, weight.plain.address, in, dy.at.address, dy.stride, accumulate, dx.at.address,
            dx.stride);
}

typedef struct {
    const Span *span;
    int glimpses;
    const Matrix *x, *dy;
} WeightGradient;

static void weight_gradient(const void *context, int lane, const GradientBlock *block, float *target, int64_t stride) {
    const WeightGradient *g = context;
    const Span one = span_lane(g->span, lane);
    const int rows = stacked_rows(&one, g->glimpses);
    const Matrix x = matrix_column(g->x[lane], block->input), dy = matrix_column(g->dy[lane], block->output);
    if (rows > 0)
        product(true, block->inputs, block->outputs, rows, x.at.address, x.stride, dy.at.address, dy.stride, false,
                target, stride);
    else
        for (int o = 0; o < block->outputs; o++) memset(target + o * stride, 0, (size_t)block->inputs * sizeof *target);
}

void cpu_linear_backward_weight(Backend *backend, const Span *span, int glimpses, int in, int out, const Matrix *x,
                                const Matrix *dy, DevFloats dweight) {
    (void)backend;
    const WeightGradient gradient = {span, glimpses, x, dy};
    cpu_sum_products(span->lane_count, in, out, weight_gradient, &gradient, dweight.address);
}

void cpu_relu_backward(Backend *backend, const Span *span, int glimpses, int columns, Matrix y, Matrix dy) {
    (void)backend;
    int rows = stacked_rows(span, glimpses);
    for (int64_t r = 0; r < rows; r++) {
        const float *value = y.at.address + r * y.stride;
        float *gradient = dy.at.address + r * dy.stride;
        for (int c = 0; c < columns; c++) gradient[c] = units_relu_backward(value[c], gradient[c]);
    }
}
