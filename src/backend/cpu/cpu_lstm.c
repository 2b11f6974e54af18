/* The LSTM core's cell (Hochreiter and Schmidhuber 1997; gates i f g o as PyTorch's LSTMCell). */
#include "backend/cpu/cpu.h"

#include <math.h>

static float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

void cpu_lstm(Backend *backend, const Span *span, int hidden, DevFloats gates, DevFloats c_before, DevFloats c,
              Matrix h) {
    (void)backend;
    const int64_t rows = span_rows(span);
    for (int64_t r = 0; r < rows; r++) {
        float *gate = gates.address + r * 4 * hidden;
        for (int u = 0; u < hidden; u++) {
            const float i = gate[u] = sigmoid(gate[u]);
            const float f = gate[hidden + u] = sigmoid(gate[hidden + u]);
            const float g = gate[2 * hidden + u] = tanhf(gate[2 * hidden + u]);
            const float o = gate[3 * hidden + u] = sigmoid(gate[3 * hidden + u]);
            const float before = c_before.address ? c_before.address[r * hidden + u] : 0.0f;
            const float cell = f * before + i * g;
            c.address[r * hidden + u] = cell;
            h.at.address[r * h.stride + u] = o * tanhf(cell);
        }
    }
}

void cpu_lstm_backward(Backend *backend, const Span *span, int hidden, bool last, DevFloats gates, DevFloats c_before,
                       DevFloats c, DevFloats dh, DevFloats dc, DevFloats dgates) {
    (void)backend;
    const int64_t rows = span_rows(span);
    for (int64_t r = 0; r < rows; r++) {
        const float *gate = gates.address + r * 4 * hidden;
        float *dgate = dgates.address + r * 4 * hidden;
        for (int u = 0; u < hidden; u++) {
            const int64_t at = r * hidden + u;
            const float i = gate[u], f = gate[hidden + u], g = gate[2 * hidden + u], o = gate[3 * hidden + u];
            const float squashed = tanhf(c.address[at]), gradient = dh.address[at];
            const float before = c_before.address ? c_before.address[at] : 0.0f;
            const float dcell = (last ? 0.0f : dc.address[at]) + gradient * o * (1.0f - squashed * squashed);
            dgate[u] = dcell * g * i * (1.0f - i);
            dgate[hidden + u] = dcell * before * f * (1.0f - f);
            dgate[2 * hidden + u] = dcell * i * (1.0f - g * g);
            dgate[3 * hidden + u] = gradient * squashed * o * (1.0f - o);
            dc.address[at] = dcell * f;
        }
    }
}
