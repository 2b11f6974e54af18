#include "backend/timed.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdlib.h>

enum { COSTS = 64 };

typedef struct {
    int costs;
    TimedCost cost[COSTS];
    char padding[64]; /* workers count on cache lines of their own */
} Ledger;

typedef struct {
    Backend base;
    Backend *inner;
    Ledger *ledger; /* (workers) */
} Timed;

/* The worker that runs on this thread: kernels do not get its number. */
static _Thread_local int this_worker;

static Backend *inner_of(Backend *backend) { return ((Timed *)backend)->inner; }

static void count(Backend *backend, const char *kernel, int in, int out, double flops, double started) {
    const double seconds = clock_now() - started;
    Ledger *ledger = &((Timed *)backend)->ledger[this_worker];
    int i = 0;
    while (i < ledger->costs &&
           !(ledger->cost[i].kernel == kernel && ledger->cost[i].in == in && ledger->cost[i].out == out))
        i++;
    require(i < COSTS);
    if (i == ledger->costs) ledger->cost[ledger->costs++] = (TimedCost){.kernel = kernel, .in = in, .out = out};
    ledger->cost[i].calls++;
    ledger->cost[i].seconds += seconds;
    ledger->cost[i].flops += flops;
}

/* Names are compared by address: one string each. */
#define KERNEL(name) static const char NAME_##name[] = #name
/* Times a call of the inner backend's kernel. */
#define TIMED(name, in, out, flops, ...)                                                                               \
    do {                                                                                                               \
        const double started = clock_now();                                                                            \
        inner_of(backend)->kernels->name(inner_of(backend), __VA_ARGS__);                                              \
        inner_of(backend)->kernels->wait(inner_of(backend));                                                           \
        count(backend, NAME_##name, in, out, flops, started);                                                          \
    } while (0)

static double product_flops(const Span *span, int glimpses, int in, int out) {
    return 2.0 * (double)glimpses * (double)span_rows(span) * in * out;
}

KERNEL(choose);
KERNEL(draw);
KERNEL(retina);
KERNEL(linear);
KERNEL(lstm);
KERNEL(locate);
KERNEL(log_softmax);
KERNEL(reward);
KERNEL(add_probability);
KERNEL(reinforce);
KERNEL(classification);
KERNEL(linear_backward_data);
KERNEL(linear_backward_weight);
KERNEL(linear_backward_bias);
KERNEL(relu_backward);
KERNEL(lstm_backward);
KERNEL(add);
KERNEL(transpose);
KERNEL(pack);
KERNEL(tree_sum);
KERNEL(sum_squares);
KERNEL(adam);
KERNEL(sgd);
KERNEL(average);
KERNEL(repeat_row);
KERNEL(sum_rows);
KERNEL(widen);

static void timed_free(Backend *backend) {
    free(((Timed *)backend)->ledger);
    free(backend);
}
static void *timed_allocate(Backend *backend, size_t bytes) {
    return inner_of(backend)->kernels->allocate(inner_of(backend), bytes);
}
static Status timed_room(Backend *backend) { return backend_room(inner_of(backend)); }
static void timed_release(Backend *backend, void *memory) {
    inner_of(backend)->kernels->release(inner_of(backend), memory);
}
static void *timed_allocate_host(Backend *backend, size_t bytes) { return backend_host_new(inner_of(backend), bytes); }
static void timed_release_host(Backend *backend, void *memory) { backend_host_free(inner_of(backend), memory); }
static void timed_upload(Backend *backend, void *device, const void *host, size_t bytes) {
    inner_of(backend)->kernels->upload(inner_of(backend), device, host, bytes);
}
static void timed_download(Backend *backend, void *host, const void *device, size_t bytes) {
    inner_of(backend)->kernels->download(inner_of(backend), host, device, bytes);
}
static void *timed_present(Backend *backend, const void *host, size_t bytes) {
    return inner_of(backend)->kernels->present(inner_of(backend), host, bytes);
}
static void timed_withdraw(Backend *backend, void *presented) {
    inner_of(backend)->kernels->withdraw(inner_of(backend), presented);
}

typedef struct {
    SpanWork work;
    void *context;
} Run;

static void run_span(void *context, int worker, const Span *span) {
    const Run *run = context;
    this_worker = worker;
    run->work(run->context, worker, span);
}

static void timed_run(Backend *backend, Span lanes, int lanes_most, SpanWork work, void *context) {
    Run run = {work, context};
    inner_of(backend)->kernels->run(inner_of(backend), lanes, lanes_most, run_span, &run);
    this_worker = 0;
}

static void timed_run_threads(Backend *backend, ThreadWork work, void *context) {
    inner_of(backend)->kernels->run_threads(inner_of(backend), work, context);
}

static void timed_wait(Backend *backend) { inner_of(backend)->kernels->wait(inner_of(backend)); }

static void timed_choose(Backend *backend, const Choice *choice, int64_t images, const Pictures *chosen) {
    TIMED(choose, 0, 0, 0, choice, images, chosen);
}
static void timed_draw(Backend *backend, const Span *span, const Draws *draws, const Pictures *pictures, int glimpses,
                       DevFloats location, DevFloats noise) {
    TIMED(draw, 0, 0, 0, span, draws, pictures, glimpses, location, noise);
}
static void timed_retina(Backend *backend, const Span *span, const Retina *retina, const Pictures *pictures,
                         DevFloats location, DevFloats glimpse) {
    TIMED(retina, 0, 0, 0, span, retina, pictures, location, glimpse);
}
static void timed_linear(Backend *backend, const Span *span, int glimpses, int in, int out, Matrix x, Weight weight,
                         DevFloats bias, Activation activation, Matrix y) {
    TIMED(linear, in, out, product_flops(span, glimpses, in, out), span, glimpses, in, out, x, weight, bias, activation,
          y);
}
static void timed_lstm(Backend *backend, const Span *span, int hidden, DevFloats gates, DevFloats c_before, DevFloats c,
                       Matrix h) {
    TIMED(lstm, 0, 0, 0, span, hidden, gates, c_before, c, h);
}
static void timed_locate(Backend *backend, const Span *span, Policy policy, float sigma, int in, Matrix x,
                         Weight weight, DevFloats bias, DevFloats noise, DevFloats mean, DevFloats location,
                         DevFloats log_pi) {
    TIMED(locate, in, 2, product_flops(span, 1, in, 2), span, policy, sigma, in, x, weight, bias, noise, mean, location,
          log_pi);
}
static void timed_log_softmax(Backend *backend, const Span *span, int glimpses, int classes, DevFloats logits) {
    TIMED(log_softmax, 0, 0, 0, span, glimpses, classes, logits);
}
static void timed_reward(Backend *backend, const Span *span, const RewardRule *rule, int glimpses, int classes,
                         const Pictures *pictures, DevFloats log_prob, DevFloats reward, DevFloats credit) {
    TIMED(reward, 0, 0, 0, span, rule, glimpses, classes, pictures, log_prob, reward, credit);
}
static void timed_add_probability(Backend *backend, const Span *span, int classes, DevFloats log_prob,
                                  DevFloats probability) {
    TIMED(add_probability, 0, 0, 0, span, classes, log_prob, probability);
}
static void timed_reinforce(Backend *backend, const Span *span, const Reinforce *loss, DevFloats reward,
                            DevFloats credit, DevFloats mean, DevFloats noise, DevFloats log_pi, DevFloats b,
                            DevFloats d_baseline, DevFloats d_location, DevDoubles sums) {
    TIMED(reinforce, 0, 0, 0, span, loss, reward, credit, mean, noise, log_pi, b, d_baseline, d_location, sums);
}
static void timed_classification(Backend *backend, const Span *span, const Classification *loss,
                                 const Pictures *pictures, DevFloats log_prob, DevFloats d_logits, DevDoubles sums) {
    TIMED(classification, 0, 0, 0, span, loss, pictures, log_prob, d_logits, sums);
}
static void timed_linear_backward_data(Backend *backend, const Span *span, int glimpses, int in, int out, Matrix dy,
                                       Weight weight, bool accumulate, Matrix dx) {
    TIMED(linear_backward_data, in, out, product_flops(span, glimpses, in, out), span, glimpses, in, out, dy, weight,
          accumulate, dx);
}
static void timed_linear_backward_weight(Backend *backend, const Span *span, int glimpses, int in, int out,
                                         const Matrix *x, const Matrix *dy, DevFloats dweight) {
    TIMED(linear_backward_weight, in, out, product_flops(span, glimpses, in, out), span, glimpses, in, out, x, dy,
          dweight);
}
static void timed_linear_backward_bias(Backend *backend, const Span *span, int biases, const BiasGradient *work) {
    TIMED(linear_backward_bias, 0, 0, 0, span, biases, work);
}
static void timed_relu_backward(Backend *backend, const Span *span, int glimpses, int columns, Matrix y, Matrix dy) {
    TIMED(relu_backward, 0, 0, 0, span, glimpses, columns, y, dy);
}
static void timed_lstm_backward(Backend *backend, const Span *span, int hidden, bool last, DevFloats gates,
                                DevFloats c_before, DevFloats c, DevFloats dh, DevFloats dc, DevFloats dgates) {
    TIMED(lstm_backward, 0, 0, 0, span, hidden, last, gates, c_before, c, dh, dc, dgates);
}
static void timed_transpose(Backend *backend, int matrices, const Transpose *work) {
    TIMED(transpose, 0, 0, 0, matrices, work);
}
static void timed_pack(Backend *backend, int weights, const Packing *work) { TIMED(pack, 0, 0, 0, weights, work); }
static void timed_add(Backend *backend, int64_t elements, DevFloats a, DevFloats b, DevFloats out) {
    TIMED(add, 0, 0, 0, elements, a, b, out);
}
static void timed_tree_sum(Backend *backend, int nodes, const LaneNode *node, const DevFloats *vector, int64_t elements,
                           DevFloats out) {
    TIMED(tree_sum, 0, 0, 0, nodes, node, vector, elements, out);
}
static void timed_sum_squares(Backend *backend, int64_t elements, DevFloats values, DevDoubles sum) {
    TIMED(sum_squares, 0, 0, 0, elements, values, sum);
}
static void timed_adam(Backend *backend, DevUpdate update, DevDoubles squares, int64_t elements, DevFloats parameters,
                       DevFloats gradient, DevFloats m, DevFloats v) {
    TIMED(adam, 0, 0, 0, update, squares, elements, parameters, gradient, m, v);
}
static void timed_sgd(Backend *backend, DevUpdate update, DevDoubles squares, int64_t elements, DevFloats parameters,
                      DevFloats gradient, DevFloats velocity) {
    TIMED(sgd, 0, 0, 0, update, squares, elements, parameters, gradient, velocity);
}
static void timed_average(Backend *backend, DevUpdate update, DevDoubles squares, int64_t elements, DevFloats average,
                          DevFloats values) {
    TIMED(average, 0, 0, 0, update, squares, elements, average, values);
}
static void timed_repeat_row(Backend *backend, int rows, int columns, DevDoubles row, DevDoubles out) {
    TIMED(repeat_row, 0, 0, 0, rows, columns, row, out);
}
static void timed_sum_rows(Backend *backend, int rows, int columns, DevDoubles values, DevFloats out) {
    TIMED(sum_rows, 0, 0, 0, rows, columns, values, out);
}
static void timed_widen(Backend *backend, int elements, DevFloats values, DevDoubles out) {
    TIMED(widen, 0, 0, 0, elements, values, out);
}

static const Kernels TIMED_KERNELS = {
    .name = "timed",
    .free = timed_free,
    .allocate = timed_allocate,
    .room = timed_room,
    .release = timed_release,
    .allocate_host = timed_allocate_host,
    .release_host = timed_release_host,
    .upload = timed_upload,
    .download = timed_download,
    .present = timed_present,
    .withdraw = timed_withdraw,
    .run = timed_run,
    .run_threads = timed_run_threads,
    .wait = timed_wait,
    .choose = timed_choose,
    .draw = timed_draw,
    .retina = timed_retina,
    .linear = timed_linear,
    .lstm = timed_lstm,
    .locate = timed_locate,
    .log_softmax = timed_log_softmax,
    .reward = timed_reward,
    .add_probability = timed_add_probability,
    .reinforce = timed_reinforce,
    .classification = timed_classification,
    .linear_backward_data = timed_linear_backward_data,
    .linear_backward_weight = timed_linear_backward_weight,
    .linear_backward_bias = timed_linear_backward_bias,
    .relu_backward = timed_relu_backward,
    .lstm_backward = timed_lstm_backward,
    .transpose = timed_transpose,
    .pack = timed_pack,
    .add = timed_add,
    .tree_sum = timed_tree_sum,
    .sum_squares = timed_sum_squares,
    .adam = timed_adam,
    .sgd = timed_sgd,
    .average = timed_average,
    .repeat_row = timed_repeat_row,
    .sum_rows = timed_sum_rows,
    .widen = timed_widen,
};

Backend *timed_new(Backend *inner) {
    Timed *timed = memory_new(1, sizeof *timed);
    timed->base = *inner;
    timed->base.kernels = &TIMED_KERNELS;
    timed->inner = inner;
    timed->ledger = memory_new((size_t)inner->workers, sizeof *timed->ledger);
    return &timed->base;
}

void timed_clear(Backend *backend) {
    for (int i = 0; i < backend->workers; i++) ((Timed *)backend)->ledger[i].costs = 0;
}

static int dearer(const void *a, const void *b) {
    const double x = ((const TimedCost *)a)->seconds, y = ((const TimedCost *)b)->seconds;
    return (x < y) - (x > y);
}

int timed_costs(const Backend *backend, TimedCost *cost, int most) {
    int costs = 0;
    for (int worker = 0; worker < backend->workers; worker++) {
        const Ledger *ledger = &((const Timed *)backend)->ledger[worker];
        for (int i = 0; i < ledger->costs; i++) {
            const TimedCost *from = &ledger->cost[i];
            int at = 0;
            while (at < costs &&
                   !(cost[at].kernel == from->kernel && cost[at].in == from->in && cost[at].out == from->out))
                at++;
            if (at == most) continue;
            if (at == costs) {
                cost[costs++] = *from;
                continue;
            }
            cost[at].calls += from->calls;
            cost[at].seconds += from->seconds;
            cost[at].flops += from->flops;
        }
    }
    qsort(cost, (size_t)costs, sizeof *cost, dearer);
    return costs;
}
