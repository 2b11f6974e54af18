/* The LSTM core's cell on the GPU. */
#include "backend/cuda/cuda_parts.h"
#include "backend/element/units.h"

/* One thread a unit: 44 bytes. */
static __global__ void lstm_kernel(int64_t count, int hidden, float *gates, const float *c_before, float *c, float *h,
                                   int64_t h_stride) {
    const int64_t i = cuda_index();
    if (i >= count) return;
    const int64_t row = i / hidden, unit = i % hidden;
    float *gate = gates + row * 4 * hidden + unit;
    LstmGates now = {gate[0], gate[hidden], gate[2 * hidden], gate[3 * hidden]};
    h[row * h_stride + unit] = units_lstm(&now, c_before ? c_before[i] : 0.0f, c + i);
    gate[0] = now.i;
    gate[hidden] = now.f;
    gate[2 * hidden] = now.g;
    gate[3 * hidden] = now.o;
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
    const int64_t at = i / hidden * 4 * hidden + i % hidden;
    const float *gate = gates + at;
    const LstmGates now = {gate[0], gate[hidden], gate[2 * hidden], gate[3 * hidden]};
    float d_cell = last ? 0.0f : dc[i];
    const LstmGates gradient = units_lstm_backward(now, c_before ? c_before[i] : 0.0f, c[i], dh[i], &d_cell);
    dc[i] = d_cell;
    dgates[at] = gradient.i;
    dgates[at + hidden] = gradient.f;
    dgates[at + 2 * hidden] = gradient.g;
    dgates[at + 3 * hidden] = gradient.o;
}

void cuda_lstm_backward(Backend *backend, const Span *span, int hidden, bool last, DevFloats gates, DevFloats c_before,
                        DevFloats c, DevFloats dh, DevFloats dc, DevFloats dgates) {
    const int64_t count = span_rows(span) * hidden;
    if (count == 0) return;
    CUDA_LAUNCH(lstm_backward_kernel, cuda_blocks(count), CUDA_THREADS, (CudaBackend *)backend, count, hidden, last,
                gates.address, c_before.address, c.address, dh.address, dc.address, dgates.address);
}
