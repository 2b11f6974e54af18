#include "backend/checked.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { GUARD = 256 /* bytes before and behind an array */, FILL = 0xff /* each byte of a NaN */ };

/* Added to addresses: outside of what any process can map on x86-64. */
static const uintptr_t DISGUISE = (uintptr_t)1 << 54;

typedef struct {
    uint8_t *memory; /* guard, array, guard */
    size_t bytes;    /* of the array */
} Block;

typedef struct {
    Backend base;
    Backend *inner;
    Block *block; /* (room), those in use first. Changed by one thread while no worker computes */
    int blocks, room;
} Checked;

static Backend *inner_of(Backend *backend) { return ((Checked *)backend)->inner; }

static bool guards_hold(const Block *block) {
    uint8_t intact[GUARD];
    memset(intact, FILL, GUARD);
    return memcmp(block->memory, intact, GUARD) == 0 &&
           memcmp(block->memory + GUARD + block->bytes, intact, GUARD) == 0;
}

static void check_guards(Backend *backend, const char *after) {
    const Checked *checked = (Checked *)backend;
    for (int i = 0; i < checked->blocks; i++)
        if (!guards_hold(&checked->block[i]))
            fatal("%s, or what ran beside it, wrote outside of an array of %zu bytes", after, checked->block[i].bytes);
}

/* The array that `bytes` bytes from a disguised address on lie in; -1 when there is none. */
static int find_block(const Checked *checked, uintptr_t address, size_t bytes) {
    for (int i = 0; i < checked->blocks; i++) {
        const uintptr_t begin = (uintptr_t)checked->block[i].memory + GUARD + DISGUISE;
        if (address >= begin && address + bytes <= begin + checked->block[i].bytes) return i;
    }
    return -1;
}

/* The true address of an operand of `bytes` bytes; NULL for NULL, and for an operand without elements. */
static void *reveal(Backend *backend, const void *address, int64_t bytes) {
    if (!address || bytes == 0) return NULL;
    if (find_block((Checked *)backend, (uintptr_t)address, (size_t)bytes) < 0)
        fatal("%p, an operand of %lld bytes, does not lie within an array of the backend", address, (long long)bytes);
    return (void *)((uintptr_t)address - DISGUISE);
}

static DevFloats floats(Backend *backend, DevFloats array, int64_t count) {
    return (DevFloats){reveal(backend, array.address, count * (int64_t)sizeof(float))};
}

static Matrix rows_of(Backend *backend, Matrix m, int64_t rows, int64_t columns) {
    require(m.stride >= columns);
    return matrix(floats(backend, m.at, rows > 0 ? (rows - 1) * m.stride + columns : 0), m.stride);
}

static Weight weight_of(Backend *backend, Weight weight, int64_t count) {
    return (Weight){floats(backend, weight.plain, count), floats(backend, weight.packed, count)};
}

/* The span's part of `pictures`; with `retina`, also what it reads of the pixels. */
static Pictures pictures_of(Backend *backend, const Span *span, const Pictures *pictures, const Retina *retina) {
    const int64_t images = span_images(span);
    Pictures revealed = {.picture = {reveal(backend, pictures->picture.address, images * (int64_t)sizeof(int32_t))},
                         .sample = {reveal(backend, pictures->sample.address, images * (int64_t)sizeof(int32_t))},
                         .label = {reveal(backend, pictures->label.address, images)}};
    if (!retina) return revealed;
    int64_t most = -1;
    for (int64_t i = 0; i < images; i++) {
        require(revealed.picture.address[i] >= 0);
        if (revealed.picture.address[i] > most) most = revealed.picture.address[i];
    }
    const int64_t bytes = (int64_t)retina->height * retina->width * retina->channels;
    revealed.pixels.address = reveal(backend, pictures->pixels.address, (most + 1) * bytes);
    return revealed;
}

static DevDoubles doubles(Backend *backend, DevDoubles array, int64_t count) {
    return (DevDoubles){reveal(backend, array.address, count * (int64_t)sizeof(double))};
}

/* --- memory */

static void checked_free(Backend *backend) {
    Checked *checked = (Checked *)backend;
    check_guards(backend, "the last kernel");
    for (int i = 0; i < checked->blocks; i++) free(checked->block[i].memory);
    backend_close(checked->inner);
    free(checked->block);
    free(checked);
}

static void *checked_allocate(Backend *backend, size_t bytes) {
    Checked *checked = (Checked *)backend;
    if (checked->blocks == checked->room) {
        const int room = 2 * checked->room + 64;
        Block *block = memory_new((size_t)room, sizeof *block);
        if (checked->blocks) memcpy(block, checked->block, (size_t)checked->blocks * sizeof *block);
        free(checked->block);
        checked->block = block;
        checked->room = room;
    }
    Block *block = &checked->block[checked->blocks++];
    *block = (Block){memory_new(bytes + 2 * GUARD, 1), bytes};
    memset(block->memory, FILL, bytes + 2 * GUARD);
    return (void *)((uintptr_t)block->memory + GUARD + DISGUISE);
}

static void checked_release(Backend *backend, void *memory) {
    Checked *checked = (Checked *)backend;
    if (!memory) return;
    check_guards(backend, "what ran before a release");
    const int found = find_block(checked, (uintptr_t)memory, 0);
    if (found < 0 || (uintptr_t)memory != (uintptr_t)checked->block[found].memory + GUARD + DISGUISE)
        fatal("%p is released, but no array of the backend begins there", memory);
    free(checked->block[found].memory);
    checked->block[found] = checked->block[--checked->blocks];
}

static void checked_upload(Backend *backend, void *device, const void *host, size_t bytes) {
    inner_of(backend)->kernels->upload(inner_of(backend), reveal(backend, device, (int64_t)bytes), host, bytes);
}

static void checked_download(Backend *backend, void *host, const void *device, size_t bytes) {
    inner_of(backend)->kernels->download(inner_of(backend), host, reveal(backend, device, (int64_t)bytes), bytes);
}

static void *checked_present(Backend *backend, const void *host, size_t bytes) {
    void *copy = checked_allocate(backend, bytes);
    checked_upload(backend, copy, host, bytes);
    return copy;
}

static void checked_run(Backend *backend, Span lanes, int lanes_most, SpanWork work, void *context) {
    inner_of(backend)->kernels->run(inner_of(backend), lanes, lanes_most, work, context);
}

static void checked_run_threads(Backend *backend, ThreadWork work, void *context) {
    inner_of(backend)->kernels->run_threads(inner_of(backend), work, context);
}

static void checked_wait(Backend *backend) { inner_of(backend)->kernels->wait(inner_of(backend)); }

/* --- kernels */

#define PASS_ON(name, ...)                                                                                             \
    do {                                                                                                               \
        inner_of(backend)->kernels->name(inner_of(backend), __VA_ARGS__);                                              \
        check_guards(backend, #name);                                                                                  \
    } while (0)

static void checked_choose(Backend *backend, const Choice *choice, int64_t images, const Pictures *chosen) {
    const int64_t ints = (int64_t)sizeof(int32_t);
    Choice revealed = *choice;
    revealed.order.address = reveal(backend, choice->order.address, choice->count * ints);
    revealed.first.address = reveal(backend, choice->first.address, ints);
    revealed.label.address = reveal(backend, choice->label.address, choice->labels);
    const int64_t begin = revealed.first.address[0] + choice->offset;
    require(begin >= 0 && begin + images <= choice->count);
    for (int64_t i = begin; i < begin + images; i++)
        require(revealed.order.address[i] >= 0 && revealed.order.address[i] < choice->labels);
    const Pictures places = {.picture = {reveal(backend, chosen->picture.address, images * ints)},
                             .sample = {reveal(backend, chosen->sample.address, images * ints)},
                             .label = {reveal(backend, chosen->label.address, images)}};
    PASS_ON(choose, &revealed, images, &places);
}

static void checked_draw(Backend *backend, const Span *span, const Draws *draws, const Pictures *pictures, int glimpses,
                         DevFloats location, DevFloats noise) {
    const Pictures seen = pictures_of(backend, span, pictures, NULL);
    const int64_t n = span_rows(span);
    Draws revealed = *draws;
    revealed.epoch.address = reveal(backend, draws->epoch.address, sizeof *draws->epoch.address);
    PASS_ON(draw, span, &revealed, &seen, glimpses, floats(backend, location, 2 * n),
            floats(backend, noise, 2 * glimpses * n));
}

static void checked_retina(Backend *backend, const Span *span, const Retina *retina, const Pictures *pictures,
                           DevFloats location, DevFloats glimpse) {
    const Pictures seen = pictures_of(backend, span, pictures, retina);
    const int64_t n = span_rows(span);
    const int64_t features = (int64_t)retina->scales * retina->channels * retina->patch * retina->patch;
    PASS_ON(retina, span, retina, &seen, floats(backend, location, 2 * n), floats(backend, glimpse, features * n));
}

static void checked_linear(Backend *backend, const Span *span, int glimpses, int in, int out, Matrix x, Weight weight,
                           DevFloats bias, Activation activation, Matrix y) {
    const int64_t rows = glimpses * span_rows(span);
    PASS_ON(linear, span, glimpses, in, out, rows_of(backend, x, rows, in),
            weight_of(backend, weight, (int64_t)in * out), floats(backend, bias, out), activation,
            rows_of(backend, y, rows, out));
}

static void checked_lstm(Backend *backend, const Span *span, int hidden, DevFloats gates, DevFloats c_before,
                         DevFloats c, Matrix h) {
    const int64_t n = span_rows(span), units = n * hidden;
    PASS_ON(lstm, span, hidden, floats(backend, gates, 4 * units), floats(backend, c_before, units),
            floats(backend, c, units), rows_of(backend, h, n, hidden));
}

static void checked_locate(Backend *backend, const Span *span, Policy policy, float sigma, int in, Matrix x,
                           Weight weight, DevFloats bias, DevFloats noise, DevFloats mean, DevFloats location,
                           DevFloats log_pi) {
    const int64_t n = span_rows(span);
    PASS_ON(locate, span, policy, sigma, in, rows_of(backend, x, n, in), weight_of(backend, weight, (int64_t)in * 2),
            floats(backend, bias, 2), floats(backend, noise, 2 * n), floats(backend, mean, 2 * n),
            floats(backend, location, 2 * n), floats(backend, log_pi, n));
}

static void checked_log_softmax(Backend *backend, const Span *span, int glimpses, int classes, DevFloats logits) {
    PASS_ON(log_softmax, span, glimpses, classes, floats(backend, logits, glimpses * span_rows(span) * classes));
}

static void checked_reward(Backend *backend, const Span *span, const RewardRule *rule, int glimpses, int classes,
                           const Pictures *pictures, DevFloats log_prob, DevFloats reward, DevFloats credit) {
    const Pictures seen = pictures_of(backend, span, pictures, NULL);
    const int64_t n = span_rows(span), all = glimpses * n;
    PASS_ON(reward, span, rule, glimpses, classes, &seen, floats(backend, log_prob, all * classes),
            floats(backend, reward, n), floats(backend, credit, all));
}

static void checked_add_probability(Backend *backend, const Span *span, int classes, DevFloats log_prob,
                                    DevFloats probability) {
    const int64_t count = span_rows(span) * classes;
    PASS_ON(add_probability, span, classes, floats(backend, log_prob, count), floats(backend, probability, count));
}

static void checked_reinforce(Backend *backend, const Span *span, const Reinforce *loss, DevFloats reward,
                              DevFloats credit, DevFloats mean, DevFloats noise, DevFloats log_pi, DevFloats b,
                              DevFloats d_baseline, DevFloats d_location, DevDoubles sums) {
    const int64_t n = span_rows(span), all = loss->glimpses * n;
    Reinforce revealed = *loss;
    revealed.moving_average = floats(backend, loss->moving_average, 1);
    PASS_ON(reinforce, span, &revealed, floats(backend, reward, n), floats(backend, credit, all),
            floats(backend, mean, 2 * all), floats(backend, noise, 2 * all), floats(backend, log_pi, all),
            floats(backend, b, all), floats(backend, d_baseline, all), floats(backend, d_location, 2 * all),
            doubles(backend, sums, SUMS));
}

static void checked_classification(Backend *backend, const Span *span, const Classification *loss,
                                   const Pictures *pictures, DevFloats log_prob, DevFloats d_logits, DevDoubles sums) {
    const Pictures seen = pictures_of(backend, span, pictures, NULL);
    const int64_t count = loss->glimpses * span_rows(span) * loss->classes;
    PASS_ON(classification, span, loss, &seen, floats(backend, log_prob, count), floats(backend, d_logits, count),
            doubles(backend, sums, SUMS));
}

static void checked_linear_backward_data(Backend *backend, const Span *span, int glimpses, int in, int out, Matrix dy,
                                         Weight weight, bool accumulate, Matrix dx) {
    const int64_t rows = glimpses * span_rows(span);
    PASS_ON(linear_backward_data, span, glimpses, in, out, rows_of(backend, dy, rows, out),
            weight_of(backend, weight, (int64_t)in * out), accumulate, rows_of(backend, dx, rows, in));
}

static void checked_relu_backward(Backend *backend, const Span *span, int glimpses, int columns, Matrix y, Matrix dy) {
    const int64_t rows = glimpses * span_rows(span);
    PASS_ON(relu_backward, span, glimpses, columns, rows_of(backend, y, rows, columns),
            rows_of(backend, dy, rows, columns));
}

static void checked_lstm_backward(Backend *backend, const Span *span, int hidden, bool last, DevFloats gates,
                                  DevFloats c_before, DevFloats c, DevFloats dh, DevFloats dc, DevFloats dgates) {
    const int64_t units = span_rows(span) * hidden;
    PASS_ON(lstm_backward, span, hidden, last, floats(backend, gates, 4 * units), floats(backend, c_before, units),
            floats(backend, c, units), floats(backend, dh, units), floats(backend, dc, units),
            floats(backend, dgates, 4 * units));
}

static void lanes_of(Backend *backend, const Span *span, int glimpses, int columns, const Matrix *from, Matrix *to) {
    require(span->lane_count <= LANES_MOST);
    for (int lane = 0; lane < span->lane_count; lane++) {
        const Span one = span_lane(span, lane);
        to[lane] = rows_of(backend, from[lane], glimpses * span_rows(&one), columns);
    }
}

static void checked_linear_backward_weight(Backend *backend, const Span *span, int glimpses, int in, int out,
                                           const Matrix *x, const Matrix *dy, DevFloats dweight) {
    Matrix inputs[LANES_MOST], outputs[LANES_MOST];
    lanes_of(backend, span, glimpses, in, x, inputs);
    lanes_of(backend, span, glimpses, out, dy, outputs);
    PASS_ON(linear_backward_weight, span, glimpses, in, out, inputs, outputs,
            floats(backend, dweight, (int64_t)in * out));
}

static void checked_linear_backward_bias(Backend *backend, const Span *span, int count, const BiasGradient *work) {
    BiasGradient *revealed = memory_new((size_t)count, sizeof *revealed);
    Matrix *outputs = memory_new((size_t)(count * span->lane_count), sizeof *outputs);
    for (int i = 0; i < count; i++) {
        const int out = work[i].out;
        Matrix *dy = outputs + i * span->lane_count;
        lanes_of(backend, span, work[i].glimpses, out, work[i].dy, dy);
        revealed[i] = (BiasGradient){work[i].glimpses, out, dy, floats(backend, work[i].dbias, out),
                                     floats(backend, work[i].same, out)};
    }
    PASS_ON(linear_backward_bias, span, count, revealed);
    free(outputs);
    free(revealed);
}

static void checked_transpose(Backend *backend, int count, const Transpose *work) {
    Transpose *revealed = memory_new((size_t)count, sizeof *revealed);
    for (int i = 0; i < count; i++) {
        const Matrix target = matrix(work[i].target, work[i].target_stride);
        revealed[i] = work[i];
        revealed[i].source = floats(backend, work[i].source, work[i].rows * work[i].columns);
        revealed[i].target = rows_of(backend, target, work[i].columns, work[i].rows).at;
    }
    PASS_ON(transpose, count, revealed);
    free(revealed);
}

static void checked_pack(Backend *backend, int count, const Packing *work) {
    Packing *revealed = memory_new((size_t)count, sizeof *revealed);
    for (int i = 0; i < count; i++) {
        revealed[i] = work[i];
        revealed[i].weight = weight_of(backend, work[i].weight, work[i].rows * work[i].columns);
    }
    PASS_ON(pack, count, revealed);
    free(revealed);
}

static void checked_add(Backend *backend, int64_t count, DevFloats a, DevFloats b, DevFloats out) {
    PASS_ON(add, count, floats(backend, a, count), floats(backend, b, count), floats(backend, out, count));
}

static void checked_tree_sum(Backend *backend, int nodes, const LaneNode *node, const DevFloats *vector, int64_t count,
                             DevFloats out) {
    DevFloats revealed[LANES_MOST];
    require(nodes <= LANES_MOST);
    for (int i = 0; i < nodes; i++) revealed[i] = floats(backend, vector[i], count);
    PASS_ON(tree_sum, nodes, node, revealed, count, floats(backend, out, count));
}

static void checked_sum_squares(Backend *backend, int64_t count, DevFloats values, DevDoubles sum) {
    PASS_ON(sum_squares, count, floats(backend, values, count), doubles(backend, sum, 1));
}

static DevUpdate update_of(Backend *backend, DevUpdate update) {
    return (DevUpdate){reveal(backend, update.address, sizeof *update.address)};
}

static void checked_adam(Backend *backend, DevUpdate update, DevDoubles squares, int64_t count, DevFloats parameters,
                         DevFloats gradient, DevFloats m, DevFloats v) {
    PASS_ON(adam, update_of(backend, update), doubles(backend, squares, 1), count, floats(backend, parameters, count),
            floats(backend, gradient, count), floats(backend, m, count), floats(backend, v, count));
}

static void checked_sgd(Backend *backend, DevUpdate update, DevDoubles squares, int64_t count, DevFloats parameters,
                        DevFloats gradient, DevFloats velocity) {
    PASS_ON(sgd, update_of(backend, update), doubles(backend, squares, 1), count, floats(backend, parameters, count),
            floats(backend, gradient, count), floats(backend, velocity, count));
}

static void checked_average(Backend *backend, DevUpdate update, DevDoubles squares, int64_t count, DevFloats average,
                            DevFloats values) {
    PASS_ON(average, update_of(backend, update), doubles(backend, squares, 1), count, floats(backend, average, count),
            floats(backend, values, count));
}

static void checked_repeat_row(Backend *backend, int rows, int columns, DevDoubles row, DevDoubles out) {
    PASS_ON(repeat_row, rows, columns, doubles(backend, row, columns), doubles(backend, out, rows * columns));
}

static void checked_sum_rows(Backend *backend, int rows, int columns, DevDoubles values, DevFloats out) {
    PASS_ON(sum_rows, rows, columns, doubles(backend, values, rows * columns), floats(backend, out, columns));
}

static void checked_widen(Backend *backend, int count, DevFloats values, DevDoubles out) {
    PASS_ON(widen, count, floats(backend, values, count), doubles(backend, out, count));
}

static const Kernels CHECKED_KERNELS = {
    .name = "cpu-check",
    .free = checked_free,
    .allocate = checked_allocate,
    .release = checked_release,
    .upload = checked_upload,
    .download = checked_download,
    .present = checked_present,
    .withdraw = checked_release,
    .run = checked_run,
    .run_threads = checked_run_threads,
    .wait = checked_wait,
    .choose = checked_choose,
    .draw = checked_draw,
    .retina = checked_retina,
    .linear = checked_linear,
    .lstm = checked_lstm,
    .locate = checked_locate,
    .log_softmax = checked_log_softmax,
    .reward = checked_reward,
    .add_probability = checked_add_probability,
    .reinforce = checked_reinforce,
    .classification = checked_classification,
    .linear_backward_data = checked_linear_backward_data,
    .relu_backward = checked_relu_backward,
    .lstm_backward = checked_lstm_backward,
    .linear_backward_weight = checked_linear_backward_weight,
    .linear_backward_bias = checked_linear_backward_bias,
    .transpose = checked_transpose,
    .pack = checked_pack,
    .add = checked_add,
    .tree_sum = checked_tree_sum,
    .sum_squares = checked_sum_squares,
    .adam = checked_adam,
    .sgd = checked_sgd,
    .average = checked_average,
    .repeat_row = checked_repeat_row,
    .sum_rows = checked_sum_rows,
    .widen = checked_widen,
};

Backend *checked_new(Backend *inner) {
    Checked *checked = memory_new(1, sizeof *checked);
    checked->base = *inner;
    checked->base.kernels = &CHECKED_KERNELS;
    checked->base.host_memory = false;
    checked->inner = inner;
    return &checked->base;
}
