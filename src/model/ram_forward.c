/* The forward pass of RAM (DESIGN 2): per glimpse the sensor, the core and the locator; what does not feed the next
 * glimpse (baseline, classifier) for all glimpses at once afterwards. */
#include "model/ram.h"

/* Glimpse sensor: phi at l_{t-1}, then g_t (n, H) into the left half of the core's input. t counts from 0. */
static void sense(const Ram *ram, const Span *span, int t, Pass *pass, Matrix core_input) {
    Backend *backend = ram->backend;
    const Kernels *kernels = backend->kernels;
    const Parameters *p = &ram->parameters;
    const int64_t n = span_rows(span), features = dims_glimpse(&ram->dims);
    const int64_t width = p->fc1.out + p->fc2.out;
    const DevFloats location = dev_floats_at(pass->location, t * n * 2);
    const DevFloats glimpse = dev_floats_at(pass->glimpse, t * n * features);
    const Matrix what_where = matrix(dev_floats_at(pass->what_where, t * n * width), width);
    kernels->retina(backend, span, &ram->dims.retina, &pass->pictures, location, glimpse);
    kernels->linear(backend, span, 1, p->fc1.in, p->fc1.out, matrix(glimpse, features), ram->forward.fc1,
                    ram_field(ram, p->fc1.bias), ACTIVATION_RELU, what_where);
    kernels->linear(backend, span, 1, p->fc2.in, p->fc2.out, matrix(location, 2), ram->forward.fc2,
                    ram_field(ram, p->fc2.bias), ACTIVATION_RELU, matrix_column(what_where, p->fc1.out));
    kernels->linear(backend, span, 1, (int)width, p->fc3.out, what_where, ram->forward.what_where,
                    ram->forward.what_where_bias, ACTIVATION_RELU, core_input);
}

/* Core: h_t (n, H) into `hidden` from g_t and h_{t-1} side by side; the products with h_0 = 0 are left out. */
static void recur(const Ram *ram, const Span *span, int t, Pass *pass, Matrix core_input, Matrix hidden) {
    Backend *backend = ram->backend;
    const Kernels *kernels = backend->kernels;
    const int64_t n = span_rows(span), H = ram->dims.hidden;
    const int in = (int)(t == 0 ? H : 2 * H);
    if (ram->dims.core == CORE_RNN) {
        kernels->linear(backend, span, 1, in, (int)H, core_input, ram->forward.core, ram->forward.core_bias,
                        ACTIVATION_RELU, hidden);
        return;
    }
    const DevFloats gates = dev_floats_at(pass->gates, t * n * 4 * H);
    kernels->linear(backend, span, 1, in, (int)(4 * H), core_input, ram->forward.core, ram->forward.core_bias,
                    ACTIVATION_NONE, matrix(gates, 4 * H));
    const DevFloats before = t ? dev_floats_at(pass->cell, (t - 1) * n * H) : (DevFloats){NULL};
    kernels->lstm(backend, span, (int)H, gates, before, dev_floats_at(pass->cell, t * n * H), hidden);
}

/* Locator: mu_t, then l_t and log pi_t. */
static void locate(const Ram *ram, const Span *span, int t, Policy policy, float sigma, Pass *pass, Matrix hidden) {
    Backend *backend = ram->backend;
    const Kernels *kernels = backend->kernels;
    const Parameters *p = &ram->parameters;
    const int64_t n = span_rows(span);
    Matrix input = hidden;
    if (ram->dims.locator == LOCATOR_MLP) {
        input = matrix(dev_floats_at(pass->locator, t * n * p->locator.out), p->locator.out);
        kernels->linear(backend, span, 1, p->locator.in, p->locator.out, hidden, ram->forward.locator,
                        ram_field(ram, p->locator.bias), ACTIVATION_RELU, input);
    }
    kernels->locate(backend, span, policy, sigma, p->location.in, input, ram->forward.location,
                    ram_field(ram, p->location.bias), dev_floats_at(pass->noise, t * n * 2),
                    dev_floats_at(pass->mean, t * n * 2), dev_floats_at(pass->location, (t + 1) * n * 2),
                    dev_floats_at(pass->log_pi, t * n));
}

/* Classifier: log-probabilities from h_t of `glimpses` glimpses from t on. */
static void classify(const Ram *ram, const Span *span, int t, int glimpses, Pass *pass, Matrix all_hidden) {
    const Kernels *kernels = ram->backend->kernels;
    const Parameters *p = &ram->parameters;
    const int64_t n = span_rows(span);
    const int classes = ram->dims.classes;
    const Matrix hidden = matrix(dev_floats_at(all_hidden.at, t * n * all_hidden.stride), all_hidden.stride);
    const DevFloats log_prob = dev_floats_at(pass->log_prob, t * n * classes);
    kernels->linear(ram->backend, span, glimpses, p->classifier.in, classes, hidden, ram->forward.classifier,
                    ram_field(ram, p->classifier.bias), ACTIVATION_NONE, matrix(log_prob, classes));
    kernels->log_softmax(ram->backend, span, glimpses, classes, log_prob);
}

void ram_forward(const Ram *ram, const Span *span, Policy policy, float sigma, bool every_glimpse, Pass *pass) {
    Backend *backend = ram->backend;
    const Kernels *kernels = backend->kernels;
    const Parameters *p = &ram->parameters;
    const int T = ram->dims.glimpses;
    const int64_t n = span_rows(span), stride = 2 * (int64_t)ram->dims.hidden;
    const Matrix all_hidden = pass_hidden(pass, ram, span);
    for (int t = 0; t < T; t++) {
        const Matrix core_input = matrix(dev_floats_at(pass->core_input, t * n * stride), stride);
        const Matrix hidden = matrix(dev_floats_at(all_hidden.at, t * n * stride), stride);
        sense(ram, span, t, pass, core_input);
        recur(ram, span, t, pass, core_input, hidden);
        locate(ram, span, t, policy, sigma, pass, hidden);
    }
    kernels->linear(backend, span, T, p->baseliner.in, 1, all_hidden, ram->forward.baseliner,
                    ram_field(ram, p->baseliner.bias), ACTIVATION_NONE, matrix(pass->baseline, 1));
    /* the last glimpse by itself: its bits must not depend on whether the others are asked for */
    if (every_glimpse && T > 1) classify(ram, span, 0, T - 1, pass, all_hidden);
    classify(ram, span, T - 1, 1, pass, all_hidden);
}

void ram_reward(const Ram *ram, const Span *span, const RewardRule *rule, Pass *pass) {
    ram->backend->kernels->reward(ram->backend, span, rule, ram->dims.glimpses, ram->dims.classes, &pass->pictures,
                                  pass->log_prob, pass->reward, pass->credit);
}
