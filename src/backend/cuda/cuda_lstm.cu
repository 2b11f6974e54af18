/* The LSTM core's cell on the GPU. */
#include "backend/cuda/cuda_parts.h"
#include "backend/element/units.h"

/* One thread a unit: 44 bytes. */
static __global__ void lstm_kernel(int64_t count, int hidden, float *gates, const float *c_before, float *c, float *h,
                                   int64_t h_stride) {
    const int64_t i = cuda_index();
    if (i >= count) return;
    const int64_t row = i / hidden, unit = i % hidden;
    h[row * h_stride + unit] =
        units_lstm(hidden, gates + row * 4 * hidden + unit, c_before ? c_before[i] : 0.0f, c + i);
}

void cuda_lstm(Backend *backend, const Span *span, int hidden, DevFloats gates, DevFloats c_before, DevFloats c,
               Matrix h) {
    const int64_t count = span_rows(span) * hidden;
    if (count == 0) return;
    CUDA_LAUNCH(lstm_kernel, cuda_blocks(count), CUDA_THREADS, (CudaBackend *)backend, count, hidden, gates.address,
                c_before.address, c.address, h.at.address, h.stride);
}

/* One thread a unit: 52 bytes. */
static __global__ void lstm_backward_kernel(int64_t count, int hidden, bool last, const float *gates,
                                            const float *c_before, const float *c, const float *dh, float *dc,
                                            float *dgates) {
    const int64_t i = cuda_index();
    if (i >= count) return;
    const int64_t gate = i / hidden * 4 * hidden + i % hidden;
    dc[i] = units_lstm_backward(hidden, gates + gate, c_before ? c_before[i] : 0.0f, c[i], dh[i], last ? 0.0f : dc[i],
                                dgates + gate);
}

void cuda_lstm_backward(Backend *backend, const Span *span, int hidden, bool last, DevFloats gates, DevFloats c_before,
                        DevFloats c, DevFloats dh, DevFloats dc, DevFloats dgates) {
    const int64_t count = span_rows(span) * hidden;
    if (count == 0) return;
    CUDA_LAUNCH(lstm_backward_kernel, cuda_blocks(count), CUDA_THREADS, (CudaBackend *)backend, count, hidden, last,
                gates.address, c_before.address, c.address, dh.address, dc.address, dgates.address);
}
