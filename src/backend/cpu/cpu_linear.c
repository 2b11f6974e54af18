/* Linear layers by LIBXSMM, which is column-major: a row-major (rows, columns) matrix is its (columns x rows). So
 *   y  = x W^T     is  y^T (out x rows) = W (out x in) x^T          with W laid out (in, out): NN
 *   dx = dy W      is  dx^T (in x rows) = W^T (in x out) dy^T       with W as stored (out, in): NN
 *   dW = dy^T x    is  dW^T (in x out)  = x^T (in x rows) dy        dy transposed: NT
 * Each call has the shape of one lane (all its glimpses stacked, or one), whoever calls. */
#include "backend/cpu/cpu.h"
#include "backend/element/units.h"
#include "base/log.h"

#include <math.h>
#include <string.h>

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

void cpu_linear(Backend *backend, const Span *span, int glimpses, int in, int out, Matrix x, Weight weight,
                DevFloats bias, Activation activation, Matrix y) {
    (void)backend;
    int rows = span_stacked_rows(span, glimpses);
    if (rows == 0) return;
    if (out == 1) /* LIBXSMM reads x across its rows then: 5 GFLOP/s */
        for (int64_t r = 0; r < rows; r++)
            y.at.address[r * y.stride] = dot(in, x.at.address + r * x.stride, weight.plain.address);
    else
        cpu_product(false, out, rows, in, weight.plain.address, out, x.at.address, x.stride, false, y.at.address,
                    y.stride);
    cpu_finish_linear(rows, out, bias.address, activation, y);
}

void cpu_linear_backward_data(Backend *backend, const Span *span, int glimpses, int in, int out, Matrix dy,
                              Weight weight, bool accumulate, Matrix dx) {
    (void)backend;
    int rows = span_stacked_rows(span, glimpses);
    if (rows == 0) return;
    cpu_product(false, in, rows, out, weight.plain.address, in, dy.at.address, dy.stride, accumulate, dx.at.address,
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
    const int rows = span_stacked_rows(&one, g->glimpses);
    const Matrix x = matrix_column(g->x[lane], block->input), dy = matrix_column(g->dy[lane], block->output);
    if (rows > 0)
        cpu_product(true, block->inputs, block->outputs, rows, x.at.address, x.stride, dy.at.address, dy.stride, false,
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
    int rows = span_stacked_rows(span, glimpses);
    for (int64_t r = 0; r < rows; r++) {
        const float *value = y.at.address + r * y.stride;
        float *gradient = dy.at.address + r * dy.stride;
        for (int c = 0; c < columns; c++) gradient[c] = units_relu_backward(value[c], gradient[c]);
    }
}
