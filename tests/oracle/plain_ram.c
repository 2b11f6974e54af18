#include "plain_ram.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double PI = 3.14159265358979323846;

static double *doubles_new(int64_t count) { return memory_new((size_t)count, sizeof(double)); }

void plain_case_open(PlainCase *c) {
    const Retina *retina = &c->dims.retina;
    const int64_t rows = plain_rows(c);
    parameters_define(&c->dims, &c->parameters);
    c->pixels = memory_new((size_t)(c->batch * retina->height * retina->width), (size_t)retina->channels);
    c->labels = memory_new((size_t)c->batch, 1);
    c->values = doubles_new((int64_t)c->parameters.layout.total);
    c->start = doubles_new(rows * 2);
    c->noise = doubles_new(c->dims.glimpses * rows * 2);
}

void plain_case_close(PlainCase *c) {
    free(c->pixels);
    free(c->labels);
    free(c->values);
    free(c->start);
    free(c->noise);
    *c = (PlainCase){0};
}

void plain_outcome_open(PlainOutcome *out, const PlainCase *c) {
    const Dims *dims = &c->dims;
    const int64_t rows = plain_rows(c), all = dims->glimpses * rows;
    *out = (PlainOutcome){.glimpse = doubles_new(all * dims_glimpse(dims)),
                          .what = doubles_new(all * dims->glimpse_hidden),
                          .where = doubles_new(all * dims->location_hidden),
                          .feature = doubles_new(all * dims->hidden),
                          .gates = doubles_new(all * 4 * dims->hidden),
                          .cell = doubles_new(all * dims->hidden),
                          .hidden = doubles_new(all * dims->hidden),
                          .locator = doubles_new(all * dims->locator_hidden),
                          .mean = doubles_new(all * 2),
                          .sample = doubles_new(all * 2),
                          .location = doubles_new((all + rows) * 2),
                          .log_pi = doubles_new(all),
                          .baseline = doubles_new(all),
                          .advantage = doubles_new(all),
                          .log_prob = doubles_new(all * dims->classes),
                          .reward = doubles_new(rows),
                          .credit = doubles_new(all),
                          .gradient = doubles_new((int64_t)c->parameters.layout.total)};
}

void plain_outcome_close(PlainOutcome *out) {
    double *arrays[] = {out->glimpse, out->what,    out->where,    out->feature,  out->gates,    out->cell,
                        out->hidden,  out->locator, out->mean,     out->sample,   out->location, out->log_pi,
                        out->reward,  out->credit,  out->baseline, out->gradient, out->log_prob, out->advantage};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) free(arrays[i]);
    *out = (PlainOutcome){0};
}

double plain_deviation(int64_t count, const double *a, const double *b) {
    double difference = 0, largest = 0;
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(a[i]) || !isfinite(b[i])) return INFINITY;
        difference = fmax(difference, fabs(a[i] - b[i]));
        largest = fmax(largest, fabs(b[i]));
    }
    return difference == 0 ? 0 : difference / largest;
}

static const double *weight_of(const PlainCase *c, const Linear *layer) {
    return c->values + c->parameters.layout.field[layer->weight].offset;
}

static const double *bias_of(const PlainCase *c, const Linear *layer) {
    return c->values + c->parameters.layout.field[layer->bias].offset;
}

static double relu(double x) { return x > 0 ? x : 0; }
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double clamp(double x) { return fmin(fmax(x, -1), 1); }

/* y (out) += W x + b */
static void add_linear(const PlainCase *c, const Linear *layer, const double *x, double *y) {
    const double *weight = weight_of(c, layer), *bias = bias_of(c, layer);
    for (int o = 0; o < layer->out; o++) {
        y[o] += bias[o];
        for (int i = 0; i < layer->in; i++) y[o] += weight[o * layer->in + i] * x[i];
    }
}

/* y (out) = W x + b */
static void linear(const PlainCase *c, const Linear *layer, const double *x, double *y) {
    memset(y, 0, (size_t)layer->out * sizeof *y);
    add_linear(c, layer, x, y);
}

/* Adds dW = dy x^T and db = dy to the gradient and, where dx is given, dx += W^T dy. */
static void linear_backward(const PlainCase *c, const Linear *layer, const double *x, const double *dy,
                            double *gradient, double *dx) {
    const double *weight = weight_of(c, layer);
    double *dweight = gradient + c->parameters.layout.field[layer->weight].offset;
    double *dbias = gradient + c->parameters.layout.field[layer->bias].offset;
    for (int o = 0; o < layer->out; o++) {
        dbias[o] += dy[o];
        for (int i = 0; i < layer->in; i++) {
            dweight[o * layer->in + i] += dy[o] * x[i];
            if (dx) dx[i] += weight[o * layer->in + i] * dy[o];
        }
    }
}

/* --- forward */

/* The normalised pixel, zero outside the picture. */
static double pixel(const Retina *retina, const uint8_t *picture, int x, int y, int channel) {
    if (x < 0 || x >= retina->width || y < 0 || y >= retina->height) return 0;
    const double value = picture[((int64_t)y * retina->width + x) * retina->channels + channel] / 255.0;
    return (value - (double)retina->mean[channel]) / (double)retina->stddev[channel];
}

/* In float: in double, a location that is a float beside a pixel's edge can be on the edge's other side. */
static int centre(double coordinate, int side) { return (int)(0.5f * ((float)coordinate + 1) * (float)side); }

static void look(const Retina *retina, const uint8_t *picture, const double location[2], double *glimpse) {
    const int G = retina->patch;
    const int centre_x = centre(location[0], retina->width), centre_y = centre(location[1], retina->height);
    int factor = 1;
    for (int k = 0; k < retina->scales; k++, factor *= retina->scale)
        for (int channel = 0; channel < retina->channels; channel++)
            for (int row = 0; row < G; row++)
                for (int column = 0; column < G; column++) {
                    double sum = 0;
                    for (int y = 0; y < factor; y++)
                        for (int x = 0; x < factor; x++)
                            sum += pixel(retina, picture, centre_x - G * factor / 2 + column * factor + x,
                                         centre_y - G * factor / 2 + row * factor + y, channel);
                    *glimpse++ = sum / (factor * factor);
                }
}

/* Row `at` = t * rows + r of the sensor. */
static void sense(const PlainCase *c, const PlainOutcome *out, int64_t at, int64_t row) {
    const Parameters *p = &c->parameters;
    const Retina *retina = &c->dims.retina;
    const int64_t bytes = (int64_t)retina->height * retina->width * retina->channels;
    double *glimpse = out->glimpse + at * p->fc1.in, *feature = out->feature + at * c->dims.hidden;
    double *what = out->what + at * p->fc1.out, *where = out->where + at * p->fc2.out;
    const double *location = out->location + at * 2; /* l_{t-1}: row t * rows + r of T+1 blocks */
    look(retina, c->pixels + row / c->samples * bytes, location, glimpse);
    linear(c, &p->fc1, glimpse, what);
    linear(c, &p->fc2, location, where);
    for (int i = 0; i < p->fc1.out; i++) what[i] = relu(what[i]);
    for (int i = 0; i < p->fc2.out; i++) where[i] = relu(where[i]);
    linear(c, &p->fc3, what, feature);
    add_linear(c, &p->fc4, where, feature);
    for (int i = 0; i < c->dims.hidden; i++) feature[i] = relu(feature[i]);
}

/* h_t, and c_t of the lstm, from g_t and row `before` (negative: zeros). */
static void recur(const PlainCase *c, const PlainOutcome *out, int64_t at, int64_t before) {
    const Parameters *p = &c->parameters;
    const int H = c->dims.hidden;
    double *hidden = out->hidden + at * H;
    double *sums = c->dims.core == CORE_RNN ? hidden : out->gates + at * 4 * H;
    double *zeros = doubles_new(H);
    linear(c, &p->input, out->feature + at * H, sums);
    add_linear(c, &p->recurrent, before < 0 ? zeros : out->hidden + before * H, sums);
    free(zeros);
    for (int u = 0; u < H; u++) {
        if (c->dims.core == CORE_RNN) {
            hidden[u] = relu(hidden[u]);
            continue;
        }
        const double i = sums[u] = sigmoid(sums[u]), f = sums[H + u] = sigmoid(sums[H + u]);
        const double g = sums[2 * H + u] = tanh(sums[2 * H + u]), o = sums[3 * H + u] = sigmoid(sums[3 * H + u]);
        const double cell = f * (before < 0 ? 0 : out->cell[before * H + u]) + i * g;
        out->cell[at * H + u] = cell;
        hidden[u] = o * tanh(cell);
    }
}

/* Whether the locator's gradient goes on into h_t: where it is asked for, and the location is looked at. */
static bool locator_reaches(const PlainCase *c, int64_t at) {
    return c->locator_gradient && at < (c->dims.glimpses - 1) * plain_rows(c);
}

/* Baseline and location from h_t, a constant for the one, and for the other unless its gradient goes on. */
static void locate(const PlainCase *c, const PlainGiven *given, const PlainOutcome *out, int64_t at) {
    const Parameters *p = &c->parameters;
    const double *input = (given->hidden ? given->hidden : out->hidden) + at * c->dims.hidden;
    const double sigma = (double)c->dims.sigma;
    linear(c, &p->baseliner, input, &out->baseline[at]);
    if (locator_reaches(c, at)) input = out->hidden + at * c->dims.hidden;
    if (c->dims.locator == LOCATOR_MLP) {
        double *locator = out->locator + at * p->locator.out;
        linear(c, &p->locator, input, locator);
        for (int i = 0; i < p->locator.out; i++) locator[i] = relu(locator[i]);
        input = locator;
    }
    linear(c, &p->location, input, out->mean + at * 2);
    out->log_pi[at] = 0;
    for (int axis = 0; axis < 2; axis++) {
        const int64_t i = at * 2 + axis, next = (at + plain_rows(c)) * 2 + axis;
        const double mean = out->mean[i] = tanh(out->mean[i]);
        const double sample = out->sample[i] = given->sample ? given->sample[i] : mean + sigma * c->noise[i];
        out->location[next] = given->location ? given->location[next] : clamp(sample);
        out->log_pi[at] -= (sample - mean) * (sample - mean) / (2 * sigma * sigma) + log(sigma) + 0.5 * log(2 * PI);
    }
}

static void classify(const PlainCase *c, const PlainOutcome *out, int64_t at) {
    const Linear *layer = &c->parameters.classifier;
    double *row = out->log_prob + at * layer->out;
    double most = -INFINITY, sum = 0;
    linear(c, layer, out->hidden + at * c->dims.hidden, row);
    for (int i = 0; i < layer->out; i++) most = fmax(most, row[i]);
    for (int i = 0; i < layer->out; i++) sum += exp(row[i] - most);
    for (int i = 0; i < layer->out; i++) row[i] -= most + log(sum);
}

/* Of the classes after glimpse t. */
static double reward_of(const PlainCase *c, const PlainOutcome *out, int t, int64_t row) {
    const int classes = c->dims.classes;
    const double *log_prob = out->log_prob + (t * plain_rows(c) + row) * classes;
    const int label = c->labels[row / c->samples];
    if (c->reward == REWARD_LOG_LIKELIHOOD) return fmax(log_prob[label], -log(classes));
    int best = 0;
    for (int i = 1; i < classes; i++)
        if (log_prob[i] > log_prob[best]) best = i;
    return best == label;
}

/* What the location that follows glimpse t is credited with. */
static double credit_of(const PlainCase *c, const PlainOutcome *out, int t, int64_t row) {
    if (c->credit == CREDIT_FINAL) return out->reward[row];
    double credit = 0;
    for (int s = t + 1; s < c->dims.glimpses; s++)
        credit += pow(c->credit_decay, s - t - 1) * (reward_of(c, out, s, row) - reward_of(c, out, s - 1, row));
    return credit;
}

/* The baseline in use at glimpse t, where it is not the learned one. */
static double fixed_baseline(const PlainCase *c, const PlainOutcome *out, int t, int64_t row) {
    if (c->baseline == BASELINE_NONE) return 0;
    if (c->baseline == BASELINE_MOVING_AVERAGE) return c->moving_average;
    double sum = 0;
    const int64_t first = row / c->samples * c->samples;
    for (int64_t other = first; other < first + c->samples; other++)
        if (other != row) sum += out->credit[t * plain_rows(c) + other];
    return sum / (c->samples - 1);
}

/* The terms of the loss. The fixed baselines are constants: they add no loss of their own. */
static void add_losses(const PlainCase *c, PlainOutcome *out) {
    const int64_t rows = plain_rows(c);
    const int T = c->dims.glimpses;
    PlainTerms *terms = &out->terms;
    *terms = (PlainTerms){0};
    for (int t = 0; t < T; t++)
        for (int64_t row = 0; row < rows; row++) {
            const int64_t at = t * rows + row;
            const double nll = -out->log_prob[at * c->dims.classes + c->labels[row / c->samples]];
            const double error = out->baseline[at] - out->credit[at];
            if (t == T - 1)
                terms->nll += nll / (double)rows;
            else
                terms->glimpse_nll += nll / (double)(rows * (T - 1));
            if (c->baseline == BASELINE_LEARNED) terms->baseline += error * error / (double)(rows * T);
            terms->reinforce -= out->log_pi[at] * out->advantage[at] / (double)rows;
        }
    for (int64_t row = 0; row < rows; row++) terms->reward += out->reward[row] / (double)rows;
    terms->total =
        terms->nll + terms->baseline + c->reinforce_weight * terms->reinforce + c->glimpse_nll * terms->glimpse_nll;
}

void plain_forward(const PlainCase *c, const PlainGiven *given, PlainOutcome *out) {
    const int64_t rows = plain_rows(c);
    const int T = c->dims.glimpses;
    memcpy(out->location, c->start, (size_t)(rows * 2) * sizeof(double));
    for (int64_t row = 0; row < rows; row++) {
        for (int t = 0; t < T; t++) {
            const int64_t at = t * rows + row;
            sense(c, out, at, row);
            recur(c, out, at, t ? at - rows : -1);
            locate(c, given, out, at);
            classify(c, out, at);
        }
        out->reward[row] = reward_of(c, out, T - 1, row);
        for (int t = 0; t < T; t++) {
            const int64_t at = t * rows + row;
            out->credit[at] = given->credit ? given->credit[at] : credit_of(c, out, t, row);
        }
    }
    for (int64_t at = 0; at < T * rows; at++) {
        if (c->baseline != BASELINE_LEARNED) out->baseline[at] = fixed_baseline(c, out, (int)(at / rows), at % rows);
        out->advantage[at] = given->advantage ? given->advantage[at] : out->credit[at] - out->baseline[at];
    }
    add_losses(c, out);
}

/* --- backward */

/* Room for one row's gradients. */
typedef struct {
    double *hidden, *cell, *feature, *sums, *what, *where, *locator, *logits;
} Slopes;

static void clear(double *values, int64_t count) { memset(values, 0, (size_t)count * sizeof *values); }

/* Adds the classifier's part to s->hidden. */
static void classify_backward(const PlainCase *c, const PlainOutcome *out, int64_t at, int64_t row, int t, Slopes *s) {
    const int classes = c->dims.classes, T = c->dims.glimpses;
    const double weight = (t == T - 1 ? 1 : c->glimpse_nll / (T - 1)) / (double)plain_rows(c);
    for (int i = 0; i < classes; i++)
        s->logits[i] = weight * (exp(out->log_prob[at * classes + i]) - (i == c->labels[row / c->samples]));
    linear_backward(c, &c->parameters.classifier, out->hidden + at * c->dims.hidden, s->logits, out->gradient,
                    s->hidden);
}

/* Adds the locator's part to s->hidden where there is one; the baseline passes no gradient into h_t. */
static void locate_backward(const PlainCase *c, const PlainOutcome *out, int64_t at, Slopes *s) {
    const Parameters *p = &c->parameters;
    const double *hidden = out->hidden + at * c->dims.hidden;
    const double rows = (double)plain_rows(c), sigma = (double)c->dims.sigma;
    const double dbaseline = 2 * (out->baseline[at] - out->credit[at]) / (rows * c->dims.glimpses);
    if (c->baseline == BASELINE_LEARNED) linear_backward(c, &p->baseliner, hidden, &dbaseline, out->gradient, NULL);
    double dmean[2], *into = locator_reaches(c, at) ? s->hidden : NULL;
    for (int axis = 0; axis < 2; axis++) {
        const double mean = out->mean[at * 2 + axis], sample = out->sample[at * 2 + axis];
        const double score = (sample - mean) / (sigma * sigma); /* d log pi / d mu */
        dmean[axis] = -c->reinforce_weight * out->advantage[at] / rows * score * (1 - mean * mean);
    }
    if (c->dims.locator == LOCATOR_LINEAR) {
        linear_backward(c, &p->location, hidden, dmean, out->gradient, into);
        return;
    }
    const double *locator = out->locator + at * p->locator.out;
    clear(s->locator, p->locator.out);
    linear_backward(c, &p->location, locator, dmean, out->gradient, s->locator);
    for (int i = 0; i < p->locator.out; i++) s->locator[i] = locator[i] > 0 ? s->locator[i] : 0;
    linear_backward(c, &p->locator, hidden, s->locator, out->gradient, into);
}

/* From s->hidden (and s->cell) of h_t to s->feature and to s->hidden (s->cell) of h_{t-1}. */
static void recur_backward(const PlainCase *c, const PlainOutcome *out, int64_t at, int64_t before, Slopes *s) {
    const Parameters *p = &c->parameters;
    const int H = c->dims.hidden;
    const double *gates = out->gates + at * 4 * H, *hidden = out->hidden + at * H;
    for (int u = 0; u < H; u++) {
        if (c->dims.core == CORE_RNN) {
            s->sums[u] = hidden[u] > 0 ? s->hidden[u] : 0;
            continue;
        }
        const double i = gates[u], f = gates[H + u], g = gates[2 * H + u], o = gates[3 * H + u];
        const double squashed = tanh(out->cell[at * H + u]);
        const double dcell = s->cell[u] + s->hidden[u] * o * (1 - squashed * squashed);
        s->sums[u] = dcell * g * i * (1 - i);
        s->sums[H + u] = dcell * (before < 0 ? 0 : out->cell[before * H + u]) * f * (1 - f);
        s->sums[2 * H + u] = dcell * i * (1 - g * g);
        s->sums[3 * H + u] = s->hidden[u] * squashed * o * (1 - o);
        s->cell[u] = dcell * f;
    }
    double *zeros = doubles_new(H);
    clear(s->feature, H);
    clear(s->hidden, H);
    linear_backward(c, &p->input, out->feature + at * H, s->sums, out->gradient, s->feature);
    linear_backward(c, &p->recurrent, before < 0 ? zeros : out->hidden + before * H, s->sums, out->gradient, s->hidden);
    free(zeros);
}

static void sense_backward(const PlainCase *c, const PlainOutcome *out, int64_t at, Slopes *s) {
    const Parameters *p = &c->parameters;
    const double *what = out->what + at * p->fc1.out, *where = out->where + at * p->fc2.out;
    for (int i = 0; i < c->dims.hidden; i++)
        s->feature[i] = out->feature[at * c->dims.hidden + i] > 0 ? s->feature[i] : 0;
    clear(s->what, p->fc1.out);
    clear(s->where, p->fc2.out);
    linear_backward(c, &p->fc3, what, s->feature, out->gradient, s->what);
    linear_backward(c, &p->fc4, where, s->feature, out->gradient, s->where);
    for (int i = 0; i < p->fc1.out; i++) s->what[i] = what[i] > 0 ? s->what[i] : 0;
    for (int i = 0; i < p->fc2.out; i++) s->where[i] = where[i] > 0 ? s->where[i] : 0;
    linear_backward(c, &p->fc1, out->glimpse + at * p->fc1.in, s->what, out->gradient, NULL);
    linear_backward(c, &p->fc2, out->location + at * 2, s->where, out->gradient, NULL);
}

void plain_backward(const PlainCase *c, PlainOutcome *out) {
    const Dims *dims = &c->dims;
    const int64_t rows = plain_rows(c), H = dims->hidden;
    Slopes s = {.hidden = doubles_new(H),
                .cell = doubles_new(H),
                .feature = doubles_new(H),
                .sums = doubles_new(4 * H),
                .what = doubles_new(dims->glimpse_hidden),
                .where = doubles_new(dims->location_hidden),
                .locator = doubles_new(dims->locator_hidden),
                .logits = doubles_new(dims->classes)};
    clear(out->gradient, (int64_t)c->parameters.layout.total);
    for (int64_t row = 0; row < rows; row++) {
        clear(s.hidden, H);
        clear(s.cell, H);
        for (int t = dims->glimpses - 1; t >= 0; t--) {
            const int64_t at = t * rows + row;
            classify_backward(c, out, at, row, t, &s);
            locate_backward(c, out, at, &s);
            recur_backward(c, out, at, t ? at - rows : -1, &s);
            sense_backward(c, out, at, &s);
        }
    }
    double *arrays[] = {s.hidden, s.cell, s.feature, s.sums, s.what, s.where, s.locator, s.logits};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) free(arrays[i]);
}
