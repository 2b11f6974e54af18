/* The LSTM core's cell, row by row: the compiler makes vectors of units where it knows that arrays do not overlap,
 * which it forgets of a function that it inlines. before: NULL for zeros. */
#include "backend/cpu/cpu.h"
#include "backend/element/units.h"

#include <string.h>

static __attribute__((noinline)) void forward_row(int hidden, float *restrict i, float *restrict f, float *restrict g,
                                                  float *restrict o, const float *restrict before, float *restrict c,
                                                  float *restrict h) {
    for (int u = 0; u < hidden; u++) {
        LstmGates gate = {i[u], f[u], g[u], o[u]};
        h[u] = units_lstm(&gate, before ? before[u] : 0.0f, &c[u]);
        i[u] = gate.i;
        f[u] = gate.f;
        g[u] = gate.g;
        o[u] = gate.o;
    }
}

void cpu_lstm(Backend *backend, const Span *span, int hidden, DevFloats gates, DevFloats c_before, DevFloats c,
              Matrix h) {
    (void)backend;
    const int64_t rows = span_rows(span);
    for (int64_t r = 0; r < rows; r++) {
        float *gate = gates.address + r * 4 * hidden;
        forward_row(hidden, gate, gate + hidden, gate + 2 * hidden, gate + 3 * hidden,
                    c_before.address ? c_before.address + r * hidden : NULL, c.address + r * hidden,
                    h.at.address + r * h.stride);
    }
}

static __attribute__((noinline)) void backward_row(int hidden, const float *restrict gate, const float *restrict before,
                                                   const float *restrict c, const float *restrict dh,
                                                   float *restrict dc, float *restrict d_i, float *restrict d_f,
                                                   float *restrict d_g, float *restrict d_o) {
    for (int u = 0; u < hidden; u++) {
        const LstmGates now = {gate[u], gate[hidden + u], gate[2 * hidden + u], gate[3 * hidden + u]};
        const LstmGates gradient = units_lstm_backward(now, before ? before[u] : 0.0f, c[u], dh[u], &dc[u]);
        d_i[u] = gradient.i;
        d_f[u] = gradient.f;
        d_g[u] = gradient.g;
        d_o[u] = gradient.o;
    }
}

void cpu_lstm_backward(Backend *backend, const Span *span, int hidden, bool last, DevFloats gates, DevFloats c_before,
                       DevFloats c, DevFloats dh, DevFloats dc, DevFloats dgates) {
    (void)backend;
    const int64_t rows = span_rows(span);
    if (last && rows > 0) memset(dc.address, 0, (size_t)(rows * hidden) * sizeof(float));
    for (int64_t r = 0; r < rows; r++) {
        float *d_gate = dgates.address + r * 4 * hidden;
        const int64_t at = r * hidden;
        backward_row(hidden, gates.address + r * 4 * hidden, c_before.address ? c_before.address + at : NULL,
                     c.address + at, dh.address + at, dc.address + at, d_gate, d_gate + hidden, d_gate + 2 * hidden,
                     d_gate + 3 * hidden);
    }
}
