/* Activations and the LSTM core's cell (Hochreiter and Schmidhuber 1997; gates i f g o as PyTorch's LSTMCell), one unit
 * at a time, for every backend. Must not know who computes which unit. Nothing is collective. */
#ifndef RAM_BACKEND_ELEMENT_UNITS_H
#define RAM_BACKEND_ELEMENT_UNITS_H

#include "backend/backend.h"
#include "base/device.h"

#include <math.h>

/* A NaN stays one, for the loss to show it. */
RAM_DEVICE float units_relu(float x) { return x < 0.0f ? 0.0f : x; }

RAM_DEVICE float units_relu_backward(float y, float dy) { return y > 0.0f ? dy : 0.0f; }

RAM_DEVICE float units_activate(Activation activation, float x) {
    return activation == ACTIVATION_RELU ? units_relu(x) : activation == ACTIVATION_TANH ? tanhf(x) : x;
}

RAM_DEVICE float units_sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

/* gate: that of unit 0 of 4, the others `hidden` apart; before in, after the activations out. Sets *c, returns h. */
RAM_DEVICE float units_lstm(int hidden, float *gate, float c_before, float *c) {
    const float i = gate[0] = units_sigmoid(gate[0]);
    const float f = gate[hidden] = units_sigmoid(gate[hidden]);
    const float g = gate[2 * hidden] = tanhf(gate[2 * hidden]);
    const float o = gate[3 * hidden] = units_sigmoid(gate[3 * hidden]);
    const float cell = f * c_before + i * g;
    *c = cell;
    return o * tanhf(cell);
}

/* dgate from gate, both as above; dc: of c. Returns the gradient of c_before. */
RAM_DEVICE float units_lstm_backward(int hidden, const float *gate, float c_before, float c, float dh, float dc,
                                     float *dgate) {
    const float i = gate[0], f = gate[hidden], g = gate[2 * hidden], o = gate[3 * hidden];
    const float squashed = tanhf(c);
    const float dcell = dc + dh * o * (1.0f - squashed * squashed);
    dgate[0] = dcell * g * i * (1.0f - i);
    dgate[hidden] = dcell * c_before * f * (1.0f - f);
    dgate[2 * hidden] = dcell * i * (1.0f - g * g);
    dgate[3 * hidden] = dh * squashed * o * (1.0f - o);
    return dcell * f;
}

#endif
