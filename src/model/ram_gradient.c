/* Gradients of RAM's parameters from what the backward pass left: one product per layer, over all glimpses of each
 * lane, summed over the lanes of a span. */
#include "model/ram.h"

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

static void bias_gradient(const Context *c, const Linear *layer, int glimpses, Operand dy) {
    Matrix outputs[LANES_MOST];
    place(c, dy, outputs);
    c->ram->backend->kernels->linear_backward_bias(c->ram->backend, c->span, glimpses, layer->out, outputs,
                                                   field_gradient(c, layer->bias));
}

static void layer_gradient(const Context *c, const Linear *layer, int glimpses, Operand x, Operand dy) {
    weight_gradient(c, layer, glimpses, x, dy);
    bias_gradient(c, layer, glimpses, dy);
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

    layer_gradient(&c, &p->fc1, T, (Operand){offsetof(Pass, glimpse), p->fc1.in, 0, 0}, d_what);
    layer_gradient(&c, &p->fc2, T, (Operand){offsetof(Pass, location), 2, 0, 0}, d_where);
    layer_gradient(&c, &p->fc3, T, what, d_feature);
    layer_gradient(&c, &p->fc4, T, where, d_feature);
    layer_gradient(&c, &p->input, T, feature, d_core);
    weight_gradient(&c, &p->recurrent, T - 1, hidden, d_later); /* h_0 = 0 adds nothing */
    bias_gradient(&c, &p->recurrent, T, d_core);
    layer_gradient(&c, &p->location, T, mlp ? locator : hidden, d_location);
    if (mlp) layer_gradient(&c, &p->locator, T, hidden, d_locator);
    layer_gradient(&c, &p->baseliner, T, hidden, (Operand){offsetof(Pass, d_baseline), 1, 0, 0});
    layer_gradient(&c, &p->classifier, classified, last_hidden,
                   (Operand){offsetof(Pass, d_logits), ram->dims.classes, 0, T - classified});
}
