/* Linear layers by LIBXSMM, which is column-major: a row-major (rows, columns) matrix is its (columns x rows). So
 *   y  = x W^T     is  y^T (out x rows) = W (out x in) x^T          with W laid out (in, out): NN
 *   dx = dy W      is  dx^T (in x rows) = W^T (in x out) dy^T       with W as stored (out, in): NN
 *   dW = dy^T x    is  dW^T (in x out)  = x^T (in x rows) dy        dy transposed: NT
 * Each call has the shape of one lane (all its glimpses stacked, or one), whoever calls. */
#include "backend/cpu/cpu.h"
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

void cpu_finish_linear(int64_t rows, int columns, const float *bias, Activation activation, Matrix y) {
    for (int64_t r = 0; r < rows; r++) {
        float *row = y.at.address + r * y.stride;
        switch (activation) {
        case ACTIVATION_NONE:
            for (int c = 0; c < columns; c++) row[c] += bias[c];
            break;
        case ACTIVATION_RELU:
            for (int c = 0; c < columns; c++) {
                float value = row[c] + bias[c];
                row[c] = value < 0.0f ? 0.0f : value; /* a NaN stays one, for the loss to show it */
            }
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

void cpu_linear_backward_weight(Backend *backend, const Span *span, int glimpses, int in, int out, Matrix x, Matrix dy,
                                DevFloats dweight, int64_t lane_stride) {
    (void)backend;
    (void)lane_stride; /* one lane a span */
    int rows = stacked_rows(span, glimpses);
    if (rows == 0)
        memset(dweight.address, 0, (size_t)in * (size_t)out * sizeof(float));
    else
        product(true, in, out, rows, x.at.address, x.stride, dy.at.address, dy.stride, false, dweight.address, in);
}

void cpu_linear_backward_bias(Backend *backend, const Span *span, int glimpses, int out, Matrix dy, DevFloats dbias,
                              int64_t lane_stride) {
    (void)backend;
    (void)lane_stride;
    int rows = stacked_rows(span, glimpses);
    memset(dbias.address, 0, (size_t)out * sizeof(float));
    for (int64_t r = 0; r < rows; r++) {
        const float *row = dy.at.address + r * dy.stride;
        for (int c = 0; c < out; c++) dbias.address[c] += row[c];
    }
}

void cpu_relu_backward(Backend *backend, const Span *span, int glimpses, int columns, Matrix y, Matrix dy) {
    (void)backend;
    int rows = stacked_rows(span, glimpses);
    for (int64_t r = 0; r < rows; r++) {
        const float *value = y.at.address + r * y.stride;
        float *gradient = dy.at.address + r * dy.stride;
        for (int c = 0; c < columns; c++) gradient[c] = value[c] > 0.0f ? gradient[c] : 0.0f;
    }
}
