/* Activations and the LSTM core's cell (Hochreiter and Schmidhuber 1997; gates i f g o as PyTorch's LSTMCell), one unit
 * at a time, for every backend. Must not know who computes which unit. Nothing is collective. */
#ifndef RAM_BACKEND_ELEMENT_UNITS_H
#define RAM_BACKEND_ELEMENT_UNITS_H

#include "backend/backend.h"
#include "base/device.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* A NaN stays one, for the loss to show it. */
RAM_DEVICE float units_relu(float x) { return x < 0.0f ? 0.0f : x; }

RAM_DEVICE float units_relu_backward(float y, float dy) { return y > 0.0f ? dy : 0.0f; }

/* Of a layer; the one tanh of a row needs no vectors, and keeps the C library's. */
RAM_DEVICE float units_activate(Activation activation, float x) {
    return activation == ACTIVATION_RELU ? units_relu(x) : activation == ACTIVATION_TANH ? tanhf(x) : x;
}

/* e^x in steps that a compiler makes vectors of, which it does not of the C library's: 2^n times a polynomial of what
 * remains (Cephes, S. L. Moshier). Beyond -87 and 87 it stays what it is there, so that a sigmoid ends at 1.6e-38. */
RAM_DEVICE float units_exp(float x) {
    const float rounding = 12582912.0f; /* 1.5 * 2^23: a sum with it ends in the nearest integer */
    const float within = x < -87.0f ? -87.0f : x > 87.0f ? 87.0f : x;
    const float shifted = within * 1.44269504f + rounding, n = shifted - rounding;
    const float r = (within - n * 0.693359375f) + n * 2.12194440e-4f; /* log 2 in two parts */
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    uint32_t bits; /* the last of `shifted` are n's */
    float power;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << 23) + 0x3f800000u;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

RAM_DEVICE float units_sigmoid(float x) { return 1.0f / (1.0f + units_exp(-x)); }

/* Of small x by a polynomial (Cephes): the other form would lose their last digits. */
RAM_DEVICE float units_tanh(float x) {
    const float size = fabsf(x), square = x * x;
    float p = -5.70498872745e-3f;
    p = p * square + 2.06390887954e-2f;
    p = p * square - 5.37397155531e-2f;
    p = p * square + 1.33314422036e-1f;
    p = p * square - 3.33332819422e-1f;
    const float small = p * square * x + x, large = 1.0f - 2.0f / (1.0f + units_exp(2.0f * size));
    return size < 0.625f ? small : copysignf(large, x);
}

/* Of one unit; by value, so that arrays of them need no address that vectors would stumble over. */
typedef struct {
    float i, f, g, o;
} LstmGates;

/* gate: before in, after the activations out. Sets *c, returns h. */
RAM_DEVICE float units_lstm(LstmGates *gate, float c_before, float *c) {
    gate->i = units_sigmoid(gate->i);
    gate->f = units_sigmoid(gate->f);
    gate->g = units_tanh(gate->g);
    gate->o = units_sigmoid(gate->o);
    *c = gate->f * c_before + gate->i * gate->g;
    return gate->o * units_tanh(*c);
}

/* The gradient before the activations, from the gates after them. *dc: of c, becomes that of c_before. */
RAM_DEVICE LstmGates units_lstm_backward(LstmGates gate, float c_before, float c, float dh, float *dc) {
    const float squashed = units_tanh(c);
    const float dcell = *dc + dh * gate.o * (1.0f - squashed * squashed);
    LstmGates gradient;
    gradient.i = dcell * gate.g * gate.i * (1.0f - gate.i);
    gradient.f = dcell * c_before * gate.f * (1.0f - gate.f);
    gradient.g = dcell * gate.i * (1.0f - gate.g * gate.g);
    gradient.o = dh * squashed * gate.o * (1.0f - gate.o);
    *dc = dcell * gate.f;
    return gradient;
}

#endif
