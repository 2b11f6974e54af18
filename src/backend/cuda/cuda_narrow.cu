/* Linear layers with a narrow side, whole, in float32 whatever the precision: they have the location at one end, or the
 * baseline or the classes. The library would take a launch for the product and another for bias and activation. */
#include "backend/cuda/cuda_narrow.h"
#include "backend/element/units.h"

/* One thread a result: 4 bytes of y, the rest from the cache. */
static __global__ void few_inputs_kernel(int64_t count, int in, int out, const float *x, int64_t x_stride,
                                         const float *weight, const float *bias, Activation activation, float *y,
                                         int64_t y_stride) {
    const int64_t i = cuda_index();
    if (i >= count) return;
    const int64_t row = cuda_quotient(i, out), column = i - row * out;
    float sum = 0.0f;
    for (int k = 0; k < in; k++) sum += x[row * x_stride + k] * weight[k * out + column];
    y[row * y_stride + column] = units_activate(activation, sum + bias[column]);
}

/* 4 bytes an element of x, the weight from the cache. */
static __global__ void __launch_bounds__(NARROW_LANES *NARROW_ROWS)
    few_outputs_kernel(int64_t rows, int in, int out, const float *x, int64_t x_stride, const float *weight,
                       const float *bias, Activation activation, float *y, int64_t y_stride) {
    const float product = narrow_product(rows, in, out, x, x_stride, weight);
    const int line = narrow_thread() / out, column = narrow_thread() - line * out;
    const int64_t row = (int64_t)blockIdx.x * NARROW_ROWS + line;
    if (line < NARROW_ROWS && row < rows)
        y[row * y_stride + column] = units_activate(activation, product + bias[column]);
}

void cuda_narrow_linear(CudaBackend *cuda, int64_t rows, int in, int out, Matrix x, DevFloats weight, DevFloats bias,
                        Activation activation, Matrix y) {
    if (in < PRODUCT_NARROW)
        CUDA_LAUNCH(few_inputs_kernel, cuda_blocks(rows * out), CUDA_THREADS, cuda, rows * out, in, out, x.at.address,
                    x.stride, weight.address, bias.address, activation, y.at.address, y.stride);
    else
        CUDA_LAUNCH(few_outputs_kernel, narrow_blocks(rows), dim3(NARROW_LANES, NARROW_ROWS), cuda, rows, in, out,
                    x.at.address, x.stride, weight.address, bias.address, activation, y.at.address, y.stride);
}
