/* The LSTM core's cell. */
#include "backend/cpu/cpu.h"
#include "backend/element/units.h"

void cpu_lstm(Backend *backend, const Span *span, int hidden, DevFloats gates, DevFloats c_before, DevFloats c,
              Matrix h) {
    (void)backend;
    const int64_t rows = span_rows(span);
    for (int64_t r = 0; r < rows; r++)
        for (int u = 0; u < hidden; u++) {
            const int64_t at = r * hidden + u;
            h.at.address[r * h.stride + u] = units_lstm(hidden, gates.address + r * 4 * hidden + u,
                                                        c_before.address ? c_before.address[at] : 0.0f, c.address + at);
        }
}

void cpu_lstm_backward(Backend *backend, const Span *span, int hidden, bool last, DevFloats gates, DevFloats c_before,
                       DevFloats c, DevFloats dh, DevFloats dc, DevFloats dgates) {
    (void)backend;
    const int64_t rows = span_rows(span);
    for (int64_t r = 0; r < rows; r++)
        for (int u = 0; u < hidden; u++) {
            const int64_t at = r * hidden + u, gate = r * 4 * hidden + u;
            dc.address[at] =
                units_lstm_backward(hidden, gates.address + gate, c_before.address ? c_before.address[at] : 0.0f,
                                    c.address[at], dh.address[at], last ? 0.0f : dc.address[at], dgates.address + gate);
        }
}
