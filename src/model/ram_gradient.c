/* Gradients of RAM's parameters from what the backward pass left: one product per layer, over all glimpses of each
 * lane, summed over the lanes of a span. */
#include "model/ram.h"
#include "base/log.h"

#include <stddef.h>

typedef struct {
    const Ram *ram;
    const Span *span;
    const Pass *pass;   /* (lanes of the span) */
    DevFloats gradient; /* (layout.total) */
} Context;

/* A stacked matrix of every lane's pass. */
typedef struct {
    size_t array; /* offset of its DevFloats in a Pass */
    int64_t stride, column;
    int glimpse; /* the first one, from 0 */
} Operand;

static void place(const Context *c, Operand operand, Matrix matrices[LANES_MOST]) {
    for (int lane = 0; lane < c->span->lane_count; lane++) {
        const Span one = span_lane(c->span, lane);
        const DevFloats *array = (const DevFloats *)(const void *)((const char *)&c->pass[lane] + operand.array);
        const int64_t first = operand.glimpse * span_rows(&one) * operand.stride + operand.column;
        matrices[lane] = matrix(dev_floats_at(*array, first), operand.stride);
    }
}

static DevFloats field_gradient(const Context *c, int field) {
    return dev_floats_at(c->gradient, (int64_t)c->ram->parameters.layout.field[field].offset);
}

static void weight_gradient(const Context *c, const Linear *layer, int glimpses, Operand x, Operand dy) {
    Matrix inputs[LANES_MOST], outputs[LANES_MOST];
    place(c, x, inputs);
    place(c, dy, outputs);
    c->ram->backend->kernels->linear_backward_weight(c->ram->backend, c->span, glimpses, layer->in, layer->out, inputs,
                                                     outputs, field_gradient(c, layer->weight));
}

enum { BIASES = 8 /* the most */ };

/* The biases' gradients are asked for together. */
typedef struct {
    int count;
    BiasGradient of[BIASES];
    Matrix dy[BIASES][LANES_MOST];
} Biases;

static void bias_gradient(const Context *c, const Linear *layer, int glimpses, Operand dy, Biases *biases) {
    const int i = biases->count++;
    require(i < BIASES);
    place(c, dy, biases->dy[i]);
    biases->of[i] = (BiasGradient){
        .glimpses = glimpses, .out = layer->out, .dy = biases->dy[i], .dbias = field_gradient(c, layer->bias)};
}

/* The bias of `layer` has the gradient of the one asked for last: both are added to the same sum. */
static void same_gradient(const Context *c, const Linear *layer, Biases *biases) {
    biases->of[biases->count - 1].same = field_gradient(c, layer->bias);
}

static void layer_gradient(const Context *c, const Linear *layer, int glimpses, Operand x, Operand dy, Biases *biases) {
    weight_gradient(c, layer, glimpses, x, dy);
    bias_gradient(c, layer, glimpses, dy, biases);
}

void ram_gradient(const Ram *ram, const Span *span, const Loss *loss, const Pass *pass, DevFloats gradient) {
    const Context c = {ram, span, pass, gradient};
    const Parameters *p = &ram->parameters;
    const int T = ram->dims.glimpses, classified = loss->glimpse_nll > 0 ? T : 1;
    const int64_t H = ram->dims.hidden, width = p->fc1.out + p->fc2.out;
    const Operand feature = {offsetof(Pass, core_input), 2 * H, 0, 0};
    const Operand hidden = {offsetof(Pass, core_input), 2 * H, H, 1}; /* h_1 .. h_T */
    const Operand last_hidden = {offsetof(Pass, core_input), 2 * H, H, 1 + T - classified};
    const Operand d_core = {offsetof(Pass, d_core), p->input.out, 0, 0};
    const Operand d_later = {offsetof(Pass, d_core), p->input.out, 0, 1};
    const Operand d_feature = {offsetof(Pass, d_feature), H, 0, 0};
    const Operand what = {offsetof(Pass, what_where), width, 0, 0};
    const Operand where = {offsetof(Pass, what_where), width, p->fc1.out, 0};
    const Operand d_what = {offsetof(Pass, d_what_where), width, 0, 0};
    const Operand d_where = {offsetof(Pass, d_what_where), width, p->fc1.out, 0};
    const Operand locator = {offsetof(Pass, locator), p->locator.out, 0, 0};
    const Operand d_locator = {offsetof(Pass, d_locator), p->locator.out, 0, 0};
    const Operand d_location = {offsetof(Pass, d_location), 2, 0, 0};
    const bool mlp = ram->dims.locator == LOCATOR_MLP;

    Biases biases;
    biases.count = 0; /* of what else is in it only the lanes that there are */

    layer_gradient(&c, &p->fc1, T, (Operand){offsetof(Pass, glimpse), p->fc1.in, 0, 0}, d_what, &biases);
    layer_gradient(&c, &p->fc2, T, (Operand){offsetof(Pass, location), 2, 0, 0}, d_where, &biases);
    layer_gradient(&c, &p->fc3, T, what, d_feature, &biases);
    weight_gradient(&c, &p->fc4, T, where, d_feature);
    same_gradient(&c, &p->fc4, &biases);
    layer_gradient(&c, &p->input, T, feature, d_core, &biases);
    weight_gradient(&c, &p->recurrent, T - 1, hidden, d_later); /* h_0 = 0 adds nothing */
    same_gradient(&c, &p->recurrent, &biases);
    layer_gradient(&c, &p->location, T, mlp ? locator : hidden, d_location, &biases);
    if (mlp) layer_gradient(&c, &p->locator, T, hidden, d_locator, &biases);
    layer_gradient(&c, &p->baseliner, T, hidden, (Operand){offsetof(Pass, d_baseline), 1, 0, 0}, &biases);
    layer_gradient(&c, &p->classifier, classified, last_hidden,
                   (Operand){offsetof(Pass, d_logits), ram->dims.classes, 0, T - classified}, &biases);
    ram->backend->kernels->linear_backward_bias(ram->backend, span, biases.count, biases.of);
}
