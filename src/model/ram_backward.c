/* The backward pass of RAM: gradients of the mean loss (DESIGN 2) with respect to what the forward pass left. The
 * baseline passes nothing into h_t, nor does the locator unless asked to, and l_t passes nothing back, so only the
 * core's own recurrence is sequential; all else is one product over all glimpses. */
#include "model/ram.h"

typedef struct {
    const Ram *ram;
    const Span *span;
    Pass *pass;
} Context;

static Weight weight_of(const Ram *ram, const Linear *layer) {
    const int64_t offset = (int64_t)ram->parameters.layout.field[layer->weight].offset;
    Weight weight = {.plain = dev_floats_at(ram->values, offset)};
    if (ram->backend->packs) weight.packed = dev_floats_at(ram->packed_values, offset);
    return weight;
}

/* Input gradient of `layer` over `glimpses` blocks. */
static void data_gradient(const Context *c, const Linear *layer, int glimpses, Matrix dy, bool accumulate, Matrix dx) {
    Backend *backend = c->ram->backend;
    backend->kernels->linear_backward_data(backend, c->span, glimpses, layer->in, layer->out, dy,
                                           weight_of(c->ram, layer), accumulate, dx);
}

/* The classifier's and the locator's gradient into dh (T, n, H), after `locator`; says for which glimpses there is one:
 * from `first` on. */
static int heads(const Context *c, const Loss *loss, DevFloats dh) {
    const Ram *ram = c->ram;
    const int T = ram->dims.glimpses, first = loss->glimpse_nll > 0 ? 0 : T - 1;
    const int64_t n = span_rows(c->span), classes = ram->dims.classes, H = ram->dims.hidden;
    const Matrix d_logits = matrix(dev_floats_at(c->pass->d_logits, first * n * classes), classes);
    data_gradient(c, &ram->parameters.classifier, T - first, d_logits, false,
                  matrix(dev_floats_at(dh, first * n * H), H));
    if (!loss->locator_gradient) return first;
    const bool linear = ram->dims.locator == LOCATOR_LINEAR;
    const Linear *layer = linear ? &ram->parameters.location : &ram->parameters.locator;
    const DevFloats d_located = linear ? c->pass->d_location : c->pass->d_locator;
    /* Nothing is seen from l_T: what its draw says of the reward is noise around 0, and stays in the locator. */
    data_gradient(c, layer, T - 1, matrix(d_located, layer->out), first == 0, matrix(dh, H));
    return 0;
}

/* The first of the locator's two layers; one layer has nothing inside. */
static void locator(const Context *c) {
    const Ram *ram = c->ram;
    const Parameters *p = &ram->parameters;
    const int T = ram->dims.glimpses;
    if (ram->dims.locator == LOCATOR_LINEAR) return;
    const Matrix inner = matrix(c->pass->locator, p->locator.out), d_inner = matrix(c->pass->d_locator, p->locator.out);
    data_gradient(c, &p->location, T, matrix(c->pass->d_location, 2), false, d_inner);
    ram->backend->kernels->relu_backward(ram->backend, c->span, T, p->locator.out, inner, d_inner);
}

/* rnn: d_core (T, n, H) holds the heads' part from glimpse `first` on; leaves the gradient before the ReLU. */
static void unroll_rnn(const Context *c, int first, Matrix hidden) {
    const Ram *ram = c->ram;
    const int T = ram->dims.glimpses;
    const int64_t n = span_rows(c->span), H = ram->dims.hidden;
    for (int t = T - 1; t >= 0; t--) {
        const Matrix d_now = matrix(dev_floats_at(c->pass->d_core, t * n * H), H);
        if (t < T - 1)
            data_gradient(c, &ram->parameters.recurrent, 1, matrix(dev_floats_at(d_now.at, n * H), H), t >= first,
                          d_now);
        ram->backend->kernels->relu_backward(ram->backend, c->span, 1, (int)H,
                                             matrix(dev_floats_at(hidden.at, t * n * hidden.stride), hidden.stride),
                                             d_now);
    }
}

/* lstm: d_feature (T, n, H) holds the heads' part from glimpse `first` on and serves as dh; leaves the gates'
 * gradients in d_core (T, n, 4H). d_feature is written anew afterwards. */
static void unroll_lstm(const Context *c, int first) {
    const Ram *ram = c->ram;
    Pass *pass = c->pass;
    const int T = ram->dims.glimpses;
    const int64_t n = span_rows(c->span), H = ram->dims.hidden;
    for (int t = T - 1; t >= 0; t--) {
        const DevFloats dh = dev_floats_at(pass->d_feature, t * n * H);
        const DevFloats d_gates = dev_floats_at(pass->d_core, t * n * 4 * H);
        if (t < T - 1)
            data_gradient(c, &ram->parameters.recurrent, 1, matrix(dev_floats_at(d_gates, n * 4 * H), 4 * H),
                          t >= first, matrix(dh, H));
        const DevFloats before = t ? dev_floats_at(pass->cell, (t - 1) * n * H) : (DevFloats){NULL};
        ram->backend->kernels->lstm_backward(ram->backend, c->span, (int)H, t == T - 1,
                                             dev_floats_at(pass->gates, t * n * 4 * H), before,
                                             dev_floats_at(pass->cell, t * n * H), dh, pass->d_cell, d_gates);
    }
}

/* From the core's gradient to the glimpse sensor's. */
static void sensor(const Context *c) {
    const Ram *ram = c->ram;
    const Parameters *p = &ram->parameters;
    Backend *backend = ram->backend;
    Pass *pass = c->pass;
    const int T = ram->dims.glimpses;
    const int64_t H = ram->dims.hidden, out = p->input.out;
    const int64_t width = p->fc1.out + p->fc2.out;
    const Matrix d_core = matrix(pass->d_core, out), feature = matrix(pass->core_input, 2 * H);
    const Matrix d_feature = matrix(pass->d_feature, H), what_where = matrix(pass->what_where, width);
    const Matrix d_what_where = matrix(pass->d_what_where, width);
    data_gradient(c, &p->input, T, d_core, false, d_feature);
    backend->kernels->relu_backward(backend, c->span, T, (int)H, feature, d_feature);
    data_gradient(c, &p->fc3, T, d_feature, false, d_what_where);
    data_gradient(c, &p->fc4, T, d_feature, false, matrix_column(d_what_where, p->fc1.out));
    backend->kernels->relu_backward(backend, c->span, T, (int)width, what_where, d_what_where);
}

void ram_backward(const Ram *ram, const Span *span, const Loss *loss, Pass *pass, DevDoubles sums) {
    const Kernels *kernels = ram->backend->kernels;
    const int64_t rows = span->batch * span->samples; /* of the global batch: the means' divisor */
    const Context context = {ram, span, pass};
    const Reinforce reinforce = {.baseline = loss->baseline,
                                 .glimpses = ram->dims.glimpses,
                                 .sigma = ram->dims.sigma,
                                 .moving_average = loss->moving_average,
                                 .weight = loss->reinforce_weight,
                                 .rows = rows};
    const Classification classification = {.glimpses = ram->dims.glimpses,
                                           .classes = ram->dims.classes,
                                           .glimpse_weight = loss->glimpse_nll,
                                           .rows = rows};
    ram_reward(ram, span, &loss->reward, pass);
    kernels->reinforce(ram->backend, span, &reinforce, pass->reward, pass->credit, pass->mean, pass->noise,
                       pass->log_pi, pass->baseline, pass->d_baseline, pass->d_location, sums);
    kernels->classification(ram->backend, span, &classification, &pass->pictures, pass->log_prob, pass->d_logits, sums);
    if (!pass->backward) return;
    locator(&context);
    if (ram->dims.core == CORE_RNN)
        unroll_rnn(&context, heads(&context, loss, pass->d_core), pass_hidden(pass, ram, span));
    else
        unroll_lstm(&context, heads(&context, loss, pass->d_feature));
    sensor(&context);
}
