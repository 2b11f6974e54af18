/* test_conformance cpu-check|cuda: every kernel on that backend against the CPU's, whose kernels the other tests of
 * this folder judge: the same random inputs, odd sizes, lanes of unequal and no rows, NaN among the inputs, guards
 * around and between the rows of every array. */
#include "backend/element/update.h"
#include "device.h"
#include "base/memory.h"
#include "twin.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const int ROWS[] = {1, 7, 33, 257};
static const int64_t COUNTS[] = {1, 16, 511, 513, 4097, 20000};
enum { ROW_COUNTS = sizeof ROWS / sizeof *ROWS, COUNT_KINDS = sizeof COUNTS / sizeof *COUNTS, LANES = 8 };

/* Elementary functions differ by a few units of the last place from library to library. */
static const double CLOSE = 2e-6;

static Span one_lane(int64_t images, int samples) {
    return (Span){.batch = images, .lanes = 1, .lane_count = 1, .samples = samples};
}

/* Calls a kernel of `side`'s backend. */
#define CALL(side, kernel, ...) twins->backend[side]->kernels->kernel(twins->backend[side], __VA_ARGS__)

static double product_tolerance(int terms) { return 1e-6 * sqrt(terms + 1) + CLOSE; }

/* --- products */

static void check_linear(Twins *twins, int rows, int glimpses, int in, int out, bool nans) {
    const Span span = one_lane(rows, 1);
    const int all = rows * glimpses;
    for (Activation activation = ACTIVATION_NONE; activation <= ACTIVATION_TANH; activation++) {
        Twin x = twin_random(twins, all, in, in + 3, nans), weight = twin_random(twins, in, out, out, false);
        Twin bias = twin_random(twins, 1, out, out, false), y = twin_fill(twins, all, out, out + 5, NAN);
        for (int side = 0; side < SIDES; side++)
            CALL(side, linear, &span, glimpses, in, out, twin_matrix(&x, side), (Weight){.plain = weight.at[side]},
                 bias.at[side], activation, twin_matrix(&y, side));
        twin_close(twins, &y, product_tolerance(in), "linear");
        twin_close(twins, &x, 0, "x");
        twin_close(twins, &weight, 0, "weight");
        twin_close(twins, &bias, 0, "bias");
    }
}

static void check_data(Twins *twins, int rows, int glimpses, int in, int out, bool accumulate, bool nans) {
    const Span span = one_lane(rows, 1);
    const int all = rows * glimpses;
    Twin dy = twin_random(twins, all, out, out + 2, nans), weight = twin_random(twins, out, in, in, false);
    Twin dx = accumulate ? twin_random(twins, all, in, in + 7, false) : twin_fill(twins, all, in, in + 7, NAN);
    for (int side = 0; side < SIDES; side++)
        CALL(side, linear_backward_data, &span, glimpses, in, out, twin_matrix(&dy, side),
             (Weight){.plain = weight.at[side]}, accumulate, twin_matrix(&dx, side));
    twin_close(twins, &dx, product_tolerance(out), "linear_backward_data");
    twin_close(twins, &dy, 0, "dy");
    twin_close(twins, &weight, 0, "weight");
}

/* Lanes [first, first + count) of LANES over `images` images. */
static void check_gradients(Twins *twins, int images, int glimpses, int in, int out, int first, int count) {
    const Span span = {.batch = images, .lanes = LANES, .first_lane = first, .lane_count = count, .samples = 1};
    Twin x[LANES], dy[LANES], dweight = twin_fill(twins, out, in, in, NAN), dbias = twin_fill(twins, 1, out, out, NAN);
    Twin same = twin_fill(twins, 1, out, out, NAN), other = twin_fill(twins, 1, in, in, NAN);
    Matrix inputs[SIDES][LANES], outputs[SIDES][LANES];
    for (int lane = 0; lane < count; lane++) {
        const Span one = span_lane(&span, lane);
        x[lane] = twin_random(twins, glimpses * span_rows(&one), in, in + 1, false);
        dy[lane] = twin_random(twins, glimpses * span_rows(&one), out, out + 2, false);
        for (int side = 0; side < SIDES; side++) {
            inputs[side][lane] = twin_matrix(&x[lane], side);
            outputs[side][lane] = twin_matrix(&dy[lane], side);
        }
    }
    for (int side = 0; side < SIDES; side++) {
        CALL(side, linear_backward_weight, &span, glimpses, in, out, inputs[side], outputs[side], dweight.at[side]);
        const BiasGradient biases[] = {
            {.glimpses = 1, .out = in, .dy = inputs[side], .dbias = other.at[side]},
            {glimpses, out, outputs[side], dbias.at[side], same.at[side]},
        };
        CALL(side, linear_backward_bias, &span, 2, biases);
    }
    twin_close(twins, &dweight, product_tolerance(images * glimpses), "linear_backward_weight");
    Twin *biases[] = {&dbias, &same, &other};
    for (int i = 0; i < 3; i++) twin_close(twins, biases[i], product_tolerance(images * glimpses), "biases");
    for (int lane = 0; lane < count; lane++) {
        twin_close(twins, &x[lane], 0, "x");
        twin_close(twins, &dy[lane], 0, "dy");
    }
}

static void test_products(void **state) {
    Twins *twins = *state;
    static const int sizes[][2] = {{1, 1},    {2, 128}, {3, 5},   {17, 10}, {64, 33}, {33, 1},
                                   {256, 66}, {256, 2}, {16, 15}, {15, 17}, {16, 16}};
    for (int i = 0; i < ROW_COUNTS; i++)
        for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) {
            const int in = sizes[j][0], out = sizes[j][1];
            check_linear(twins, ROWS[i], 1 + (int)j % 2, in, out, j % 3 == 0);
            check_data(twins, ROWS[i], 1, in, out, false, j % 3 == 1);
            check_data(twins, ROWS[i], 2, in, out, true, false);
            for (int count = 1; count <= LANES; count *= 2)
                check_gradients(twins, ROWS[i], 2, in, out, LANES - count, count);
        }
}

/* Weight gradients that do not fit side by side for all lanes. */
static void test_large_gradient(void **state) {
    Twins *twins = *state;
    enum { MANY = 64, IN = 1030, OUT = 520 };
    const Span span = {.batch = MANY, .lanes = MANY, .lane_count = MANY, .samples = 1};
    Twin x = twin_random(twins, MANY, IN, IN, false), dy = twin_random(twins, MANY, OUT, OUT, false);
    Twin dweight = twin_fill(twins, OUT, IN, IN, NAN), dbias = twin_fill(twins, 1, OUT, OUT, NAN);
    for (int side = 0; side < SIDES; side++) {
        Matrix inputs[MANY], outputs[MANY];
        for (int lane = 0; lane < MANY; lane++) {
            inputs[lane] = matrix(dev_floats_at(x.at[side], lane * IN), IN);
            outputs[lane] = matrix(dev_floats_at(dy.at[side], lane * OUT), OUT);
        }
        CALL(side, linear_backward_weight, &span, 1, IN, OUT, inputs, outputs, dweight.at[side]);
        const BiasGradient bias = {.glimpses = 1, .out = OUT, .dy = outputs, .dbias = dbias.at[side]};
        CALL(side, linear_backward_bias, &span, 1, &bias);
    }
    /* one row a lane: products are exact, and the order of the sum is the tree's on both */
    twin_close(twins, &dweight, 0, "linear_backward_weight");
    twin_close(twins, &dbias, 0, "linear_backward_bias");
    twin_close(twins, &x, 0, "x");
    twin_close(twins, &dy, 0, "dy");
}

static void test_relu_backward(void **state) {
    Twins *twins = *state;
    for (int i = 0; i < ROW_COUNTS; i++) {
        const Span span = one_lane(ROWS[i], 1);
        Twin y = twin_random(twins, 2 * ROWS[i], 5, 6, true), dy = twin_random(twins, 2 * ROWS[i], 5, 9, true);
        for (int side = 0; side < SIDES; side++)
            CALL(side, relu_backward, &span, 2, 5, twin_matrix(&y, side), twin_matrix(&dy, side));
        twin_close(twins, &dy, 0, "relu_backward");
        twin_close(twins, &y, 0, "y");
    }
}

/* --- the core */

static void check_lstm(Twins *twins, int rows, int H, bool first, bool last, bool nans) {
    const Span span = one_lane(rows, 1);
    Twin gates = twin_random(twins, rows, 4 * H, 4 * H, nans), before = twin_random(twins, rows, H, H, nans);
    Twin c = twin_fill(twins, rows, H, H, NAN), h = twin_fill(twins, rows, H, 2 * H + 1, NAN);
    Twin dh = twin_random(twins, rows, H, H, nans), dgates = twin_fill(twins, rows, 4 * H, 4 * H, NAN);
    Twin dc = last ? twin_fill(twins, rows, H, H, NAN) : twin_random(twins, rows, H, H, nans);
    for (int side = 0; side < SIDES; side++) {
        const DevFloats c_before = first ? (DevFloats){NULL} : before.at[side];
        CALL(side, lstm, &span, H, gates.at[side], c_before, c.at[side], twin_matrix(&h, side));
        CALL(side, lstm_backward, &span, H, last, gates.at[side], c_before, c.at[side], dh.at[side], dc.at[side],
             dgates.at[side]);
    }
    Twin *all[] = {&gates, &before, &c, &h, &dh, &dgates, &dc};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) twin_close(twins, all[i], CLOSE, "lstm");
}

static void test_lstm(void **state) {
    for (int i = 0; i < ROW_COUNTS; i++) {
        check_lstm(*state, ROWS[i], 5, false, false, false);
        check_lstm(*state, ROWS[i], 1, true, true, false);
        check_lstm(*state, ROWS[i], 33, i % 2, i < 2, true);
    }
}

/* --- where it looks */

/* Numbers that name pictures, samples and labels of `images` images. */
typedef struct {
    void *number[SIDES], *label[SIDES], *pixels[SIDES];
} Shown;

static Shown show(Twins *twins, int64_t images, int64_t picture_bytes, int classes) {
    Shown shown;
    int32_t *number = memory_new((size_t)images, sizeof *number);
    uint8_t *label = memory_new((size_t)images, 1), *pixels = memory_new((size_t)(images * picture_bytes), 1);
    for (int64_t i = 0; i < images; i++) {
        number[i] = (int32_t)(images - 1 - i);
        label[i] = (uint8_t)(dice_bits(&twins->dice) % (uint64_t)classes);
    }
    for (int64_t i = 0; i < images * picture_bytes; i++) pixels[i] = (uint8_t)dice_bits(&twins->dice);
    twin_bytes(twins, number, (size_t)images * sizeof *number, shown.number);
    twin_bytes(twins, label, (size_t)images, shown.label);
    twin_bytes(twins, pixels, (size_t)(images * picture_bytes), shown.pixels);
    free(number);
    free(label);
    free(pixels);
    return shown;
}

static Pictures shown_on(const Shown *shown, int side) {
    return (Pictures){.pixels = {shown->pixels[side]},
                      .picture = {shown->number[side]},
                      .sample = {shown->number[side]},
                      .label = {shown->label[side]}};
}

static void shown_close(Twins *twins, Shown *shown) {
    twin_bytes_close(twins, shown->number);
    twin_bytes_close(twins, shown->label);
    twin_bytes_close(twins, shown->pixels);
}

static void check_choose(Twins *twins, int images, bool drawn) {
    enum { COUNT = 300, LABELS = 400, FIRST = 11, OFFSET = 5 };
    int32_t order[COUNT];
    uint8_t label[LABELS], bytes[COUNT];
    static const int32_t PLACE = FIRST;
    void *orders[SIDES], *labels[SIDES], *first[SIDES], *picture[SIDES], *sample[SIDES], *chosen[SIDES];
    for (int i = 0; i < COUNT; i++) order[i] = (int32_t)(dice_bits(&twins->dice) % LABELS);
    for (int i = 0; i < LABELS; i++) label[i] = (uint8_t)dice_bits(&twins->dice);
    memset(bytes, 0xff, sizeof bytes);
    twin_bytes(twins, order, sizeof order, orders);
    twin_bytes(twins, label, sizeof label, labels);
    twin_bytes(twins, &PLACE, sizeof PLACE, first);
    twin_bytes(twins, order, (size_t)images * sizeof *order, picture);
    twin_bytes(twins, order, (size_t)images * sizeof *order, sample);
    twin_bytes(twins, bytes, (size_t)images, chosen);
    int32_t got_sample[COUNT], got_picture[COUNT];
    uint8_t got_label[COUNT];
    for (int side = 0; side < SIDES; side++) {
        const Choice choice = {.order = {orders[side]},
                               .count = COUNT,
                               .first = {first[side]},
                               .offset = OFFSET,
                               .label = {labels[side]},
                               .labels = LABELS,
                               .drawn = drawn};
        const Pictures pictures = {.picture = {picture[side]}, .sample = {sample[side]}, .label = {chosen[side]}};
        CALL(side, choose, &choice, images, &pictures);
        CALL(side, download, got_sample, sample[side], (size_t)images * sizeof *got_sample);
        CALL(side, download, got_picture, picture[side], (size_t)images * sizeof *got_picture);
        CALL(side, download, got_label, chosen[side], (size_t)images);
        for (int i = 0; i < images; i++) {
            const int32_t expected = order[FIRST + OFFSET + i];
            assert_int_equal(got_sample[i], expected);
            assert_int_equal(got_picture[i], drawn ? i : expected);
            assert_int_equal(got_label[i], label[expected]);
        }
    }
    void **all[] = {orders, labels, first, picture, sample, chosen};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) twin_bytes_close(twins, all[i]);
}

static void test_choose(void **state) {
    for (int i = 0; i < ROW_COUNTS; i++)
        for (int drawn = 0; drawn < 2; drawn++) check_choose(*state, ROWS[i], drawn);
}

static void check_draw(Twins *twins, int images, int samples, Policy policy) {
    enum { T = 5 };
    const Span span = one_lane(images, samples);
    static const int32_t EPOCH = 3;
    Draws draws = {.seed = 0x123456789abcdefull, .space = 2, .rollout = 4, .start = 0.7f, .policy = policy};
    void *epoch[SIDES];
    const int rows = images * samples;
    Shown shown = show(twins, images, 1, 2);
    Twin location = twin_fill(twins, rows, 2, 2, NAN), noise = twin_fill(twins, T * rows, 2, 2, NAN);
    twin_bytes(twins, &EPOCH, sizeof EPOCH, epoch);
    for (int side = 0; side < SIDES; side++) {
        const Pictures pictures = shown_on(&shown, side);
        draws.epoch.address = epoch[side];
        CALL(side, draw, &span, &draws, &pictures, T, location.at[side], noise.at[side]);
    }
    twin_close(twins, &location, 0, "starts");
    twin_close(twins, &noise, policy == POLICY_RANDOM ? 0 : CLOSE, "noise");
    twin_bytes_close(twins, epoch);
    shown_close(twins, &shown);
}

static void check_locate(Twins *twins, int rows, int in, Policy policy) {
    const Span span = one_lane(rows, 1);
    Twin x = twin_random(twins, rows, in, in + 3, in < 9), weight = twin_random(twins, in, 2, 2, false);
    Twin bias = twin_random(twins, 1, 2, 2, false), noise = twin_random(twins, rows, 2, 2, true);
    Twin mean = twin_fill(twins, rows, 2, 2, 7);
    Twin location = twin_fill(twins, rows, 2, 2, 7), log_pi = twin_fill(twins, rows, 1, 1, 7);
    for (int side = 0; side < SIDES; side++)
        CALL(side, locate, &span, policy, 0.3f, in, twin_matrix(&x, side), (Weight){.plain = weight.at[side]},
             bias.at[side], noise.at[side], mean.at[side], location.at[side], log_pi.at[side]);
    Twin *all[] = {&x, &weight, &bias, &noise, &mean, &location, &log_pi};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) twin_close(twins, all[i], product_tolerance(in), "locate");
}

static void test_policies(void **state) {
    for (Policy policy = POLICY_SAMPLE; policy <= POLICY_CENTER; policy++)
        for (int i = 0; i < ROW_COUNTS; i++) {
            check_draw(*state, ROWS[i], 1 + 2 * (i % 2), policy);
            check_locate(*state, ROWS[i], 5, policy);
            check_locate(*state, ROWS[i], 128, policy);
        }
}

static void test_retina(void **state) {
    Twins *twins = *state;
    static const Retina retinas[] = {
        {8, 1, 1, 28, 28, 1, {0.1307f}, {0.3081f}},
        {5, 3, 2, 11, 23, 1, {0.2f}, {0.4f}},
        {3, 3, 3, 7, 4, 3, {0.2f, 0.3f, 0.4f}, {0.4f, 0.5f, 0.6f}},
        {9, 2, 4, 2, 1, 4, {0.2f, 0.3f, 0.4f, 0.1f}, {0.4f, 0.5f, 0.6f, 0.7f}},
    };
    for (size_t i = 0; i < sizeof retinas / sizeof *retinas; i++)
        for (int j = 0; j < ROW_COUNTS; j++) {
            const Retina *retina = &retinas[i];
            const int samples = 1 + j % 2, rows = ROWS[j] * samples;
            const int64_t features = (int64_t)retina->scales * retina->channels * retina->patch * retina->patch;
            const Span span = one_lane(ROWS[j], samples);
            Shown shown = show(twins, ROWS[j], (int64_t)retina->height * retina->width * retina->channels, 2);
            Twin location = twin_random(twins, rows, 2, 2, true);
            Twin glimpse = twin_fill(twins, rows, features, features, NAN);
            for (int side = 0; side < SIDES; side++) {
                const Pictures pictures = shown_on(&shown, side);
                CALL(side, retina, &span, retina, &pictures, location.at[side], glimpse.at[side]);
            }
            twin_close(twins, &glimpse, CLOSE, "retina");
            twin_close(twins, &location, 0, "location");
            shown_close(twins, &shown);
        }
}

/* --- losses */

static void sums_agree(Twins *twins, void *sums[SIDES], const char *what) {
    double value[SIDES][SUMS];
    for (int side = 0; side < SIDES; side++) CALL(side, download, value[side], sums[side], sizeof value[side]);
    for (int i = 0; i < SUMS; i++) {
        const double expected = value[EXPECTED][i], tested = value[TESTED][i];
        if (!(isnan(expected) && isnan(tested)) && !(fabs(tested - expected) <= 1e-6 * fmax(1, fabs(expected))))
            fail_msg("%s: sum %d is %.12g, the CPU's %.12g", what, i, tested, expected);
    }
    twin_bytes_close(twins, sums);
}

static void check_reinforce(Twins *twins, int images, int samples, Baseline baseline, bool gradients, bool nans) {
    enum { T = 3 };
    static const double BEFORE[SUMS] = {1, 2, 3, 4, 5, 6, 7};
    const int rows = images * samples;
    const Span span = one_lane(images, samples);
    Reinforce loss = {baseline, T, 0.3f, {NULL}, 2, rows};
    const DevFloats none = {NULL};
    void *sums[SIDES];
    Twin reward = twin_random(twins, rows, 1, 1, nans), credit = twin_random(twins, T * rows, 1, 1, nans);
    Twin mean = twin_random(twins, T * rows, 2, 2, nans);
    Twin noise = twin_random(twins, T * rows, 2, 2, nans), log_pi = twin_random(twins, T * rows, 1, 1, nans);
    Twin b = twin_random(twins, T * rows, 1, 1, nans), d_b = twin_fill(twins, T * rows, 1, 1, NAN);
    Twin d_l = twin_fill(twins, T * rows, 2, 2, NAN), moving_average = twin_fill(twins, 1, 1, 1, 0.75f);
    twin_bytes(twins, BEFORE, sizeof BEFORE, sums);
    for (int side = 0; side < SIDES; side++) {
        loss.moving_average = moving_average.at[side];
        CALL(side, reinforce, &span, &loss, reward.at[side], credit.at[side], mean.at[side], noise.at[side],
             log_pi.at[side], b.at[side], gradients ? d_b.at[side] : none, gradients ? d_l.at[side] : none,
             (DevDoubles){sums[side]});
    }
    sums_agree(twins, sums, "reinforce");
    Twin *all[] = {&reward, &credit, &mean, &noise, &log_pi, &b, &d_b, &d_l, &moving_average};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) twin_close(twins, all[i], CLOSE, "reinforce");
}

static void check_classifier(Twins *twins, int images, int samples, int classes, double glimpse_weight, bool nans) {
    enum { T = 3 };
    static const double BEFORE[SUMS] = {1, 2, 3, 4, 5, 6, 7};
    const int rows = images * samples;
    const Span span = one_lane(images, samples);
    const Classification loss = {T, classes, glimpse_weight, 2 * rows};
    const RewardRule correct = {.kind = REWARD_CORRECT}, gained = {REWARD_LOG_LIKELIHOOD, CREDIT_GAIN, 0.75f};
    void *sums[SIDES];
    Shown shown = show(twins, images, 1, classes);
    Twin logits = twin_random(twins, T * rows, classes, classes, nans),
         d = twin_fill(twins, T * rows, classes, classes, 7);
    Twin reward = twin_fill(twins, rows, 1, 1, NAN), likelihood = twin_fill(twins, rows, 1, 1, NAN);
    Twin credit = twin_fill(twins, T * rows, 1, 1, NAN), gain = twin_fill(twins, T * rows, 1, 1, NAN);
    Twin probability = twin_random(twins, rows, classes, classes, false);
    twin_bytes(twins, BEFORE, sizeof BEFORE, sums);
    for (int side = 0; side < SIDES; side++) {
        const Pictures pictures = shown_on(&shown, side);
        CALL(side, log_softmax, &span, T, classes, logits.at[side]);
        CALL(side, add_probability, &span, classes, logits.at[side], probability.at[side]);
        CALL(side, reward, &span, &correct, T, classes, &pictures, logits.at[side], reward.at[side], credit.at[side]);
        CALL(side, reward, &span, &gained, T, classes, &pictures, logits.at[side], likelihood.at[side], gain.at[side]);
        CALL(side, classification, &span, &loss, &pictures, logits.at[side], d.at[side], (DevDoubles){sums[side]});
        CALL(side, classification, &span, &loss, &pictures, logits.at[side], (DevFloats){NULL},
             (DevDoubles){sums[side]});
    }
    sums_agree(twins, sums, "classification");
    Twin *all[] = {&logits, &d, &reward, &credit, &likelihood, &gain, &probability};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) twin_close(twins, all[i], CLOSE, "classifier");
    shown_close(twins, &shown);
}

static void test_losses(void **state) {
    for (int i = 0; i < ROW_COUNTS; i++) {
        for (Baseline baseline = BASELINE_LEARNED; baseline <= BASELINE_NONE; baseline++) {
            check_reinforce(*state, ROWS[i], baseline == BASELINE_OTHERS ? 3 : 1, baseline, true, false);
            check_reinforce(*state, ROWS[i], 2, baseline, i % 2, true);
        }
        check_classifier(*state, ROWS[i], 1, 10, 0, false);
        check_classifier(*state, ROWS[i], 3, 2, 0.5, false);
        check_classifier(*state, ROWS[i], 1, 33, 0.5, true);
    }
}

/* Lanes of so many rows that several blocks share their sums. */
static void test_tall(void **state) {
    check_gradients(*state, LANES * 600, 2, 3, 33, 0, LANES);
    check_gradients(*state, LANES * 600, 2, 3, 33, LANES - 1, 1);
    for (int nans = 0; nans < 2; nans++) {
        check_reinforce(*state, 1500, 2, BASELINE_OTHERS, true, nans);
        check_classifier(*state, 1500, 2, 10, 0.5, nans);
    }
}

/* --- whole vectors */

static void test_transpose(void **state) {
    Twins *twins = *state;
    enum { SHAPES = 20 }; /* more than one launch takes */
    Twin source[SHAPES], target[SHAPES];
    Transpose work[SIDES][SHAPES];
    for (int i = 0; i < SHAPES; i++) {
        const int rows = 1 + (int)(dice_bits(&twins->dice) % 130), columns = 1 + (int)(dice_bits(&twins->dice) % 70);
        source[i] = twin_random(twins, rows, columns, columns, true);
        target[i] = twin_fill(twins, columns, rows, rows + i % 3, 7);
        for (int side = 0; side < SIDES; side++)
            work[side][i] = (Transpose){source[i].at[side], target[i].at[side], rows, columns, rows + i % 3};
    }
    for (int side = 0; side < SIDES; side++) CALL(side, transpose, SHAPES, work[side]);
    for (int i = 0; i < SHAPES; i++) {
        twin_close(twins, &source[i], 0, "source");
        twin_close(twins, &target[i], 0, "transpose");
    }
}

/* The subtrees of a run of lanes, of at most `most` lanes each; the sum may lie in one of the vectors. */
static void check_tree(Twins *twins, int64_t count, int lanes, int most, int into) {
    LaneNode node[LANES];
    Twin vector[LANES];
    DevFloats at[SIDES][LANES];
    int nodes = 0;
    for (int lane = 0; lane < lanes; lane += node[nodes++].count) {
        node[nodes] = lane_tree_node(lanes, lane, lanes, lane == 0 ? most : LANES);
        vector[nodes] = twin_random(twins, 1, count, count, false);
        for (int side = 0; side < SIDES; side++) at[side][nodes] = vector[nodes].at[side];
    }
    for (int side = 0; side < SIDES; side++) CALL(side, tree_sum, nodes, node, at[side], count, at[side][into % nodes]);
    for (int i = 0; i < nodes; i++) twin_close(twins, &vector[i], 0, "tree_sum");
}

/* Of step `step`; a gradient of norm 1 is halved. */
static Update any_update(int step, bool nesterov) {
    const Adam adam = {0.01, 0.9, 0.999, 1e-8, 0.1, step};
    const Sgd sgd = {0.02, 0.9, 0.1, nesterov};
    return (Update){.clip = 0.5,
                    .adam = update_adam_terms(&adam),
                    .sgd = update_sgd_terms(&sgd),
                    .average = update_average_terms(0.75)};
}

/* With squares (1) that are finite, and then not. */
static void update_all(Twins *twins, int side, double squares, Twin *p, Twin *g, Twin *m, Twin *v, Twin *speed) {
    Backend *backend = twins->backend[side];
    const int64_t count = p->columns;
    const DevUpdate update = {backend->kernels->allocate(backend, sizeof(Update))};
    const DevDoubles at = {backend->kernels->allocate(backend, sizeof squares)};
    backend->kernels->upload(backend, at.address, &squares, sizeof squares);
    for (int step = 1; step <= 3; step++) {
        const Update terms = any_update(step, step == 2);
        backend->kernels->upload(backend, update.address, &terms, sizeof terms);
        CALL(side, adam, update, at, count, p->at[side], g->at[side], m->at[side], v->at[side]);
        CALL(side, sgd, update, at, count, p->at[side], g->at[side], speed->at[side]);
        CALL(side, average, update, at, count, v->at[side], p->at[side]);
    }
    backend->kernels->release(backend, update.address);
    backend->kernels->release(backend, at.address);
}

static double squares_of(Twins *twins, int side, const Twin *values) {
    Backend *backend = twins->backend[side];
    const DevDoubles sum = {backend->kernels->allocate(backend, sizeof(double))};
    double squares;
    CALL(side, sum_squares, values->columns, values->at[side], sum);
    backend->kernels->download(backend, &squares, sum.address, sizeof squares);
    backend->kernels->release(backend, sum.address);
    return squares;
}

static void test_vectors(void **state) {
    Twins *twins = *state;
    for (int k = 0; k < COUNT_KINDS; k++) {
        const int64_t count = COUNTS[k];
        for (int most = 1; most <= LANES; most *= 2) check_tree(twins, count, LANES, most, most + k);
        Twin p = twin_random(twins, 1, count, count, false), g = twin_random(twins, 1, count, count, k % 2);
        Twin m = twin_random(twins, 1, count, count, false), v = twin_fill(twins, 1, count, count, 0.5f);
        Twin sum = twin_fill(twins, 1, count, count, NAN), speed = twin_random(twins, 1, count, count, false);
        double squares[SIDES];
        for (int side = 0; side < SIDES; side++) {
            squares[side] = squares_of(twins, side, &m);
            update_all(twins, side, 1, &p, &g, &m, &v, &speed);
            if (side == TESTED) update_all(twins, side, INFINITY, &p, &g, &m, &v, &speed);
            if (side == TESTED) update_all(twins, side, NAN, &p, &g, &m, &v, &speed);
            CALL(side, add, count, p.at[side], m.at[side], sum.at[side]);
            CALL(side, add, count, p.at[side], m.at[side], p.at[side]);
            assert_true(k % 2 == 0 || !isnan(squares[side]));
        }
        assert_true(fabs(squares[TESTED] - squares[EXPECTED]) <= 1e-12 * squares[EXPECTED]);
        Twin *all[] = {&p, &g, &m, &v, &sum, &speed};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) twin_close(twins, all[i], CLOSE, "vectors");
    }
}

/* A step's sums, laid out, added up, and back. */
static void test_sums(void **state) {
    Twins *twins = *state;
    enum { LINES = 37, COLUMNS = 8 };
    double row[COLUMNS], wide[SIDES][COLUMNS];
    for (int c = 0; c < COLUMNS; c++) row[c] = dice_signed(&twins->dice);
    for (int side = 0; side < SIDES; side++) {
        Backend *backend = twins->backend[side];
        const Kernels *kernels = backend->kernels;
        const DevDoubles from = {kernels->allocate(backend, sizeof row)},
                         sum = {kernels->allocate(backend, sizeof row)};
        const DevDoubles rows = {kernels->allocate(backend, LINES * sizeof row)};
        const DevFloats floats = backend_floats(backend, COLUMNS);
        kernels->upload(backend, from.address, row, sizeof row);
        CALL(side, repeat_row, LINES, COLUMNS, from, rows);
        CALL(side, sum_rows, LINES, COLUMNS, rows, floats);
        CALL(side, widen, COLUMNS, floats, sum);
        kernels->download(backend, wide[side], sum.address, sizeof row);
        void *all[] = {from.address, sum.address, rows.address, floats.address};
        for (int i = 0; i < 4; i++) kernels->release(backend, all[i]);
    }
    assert_memory_equal(wide[TESTED], wide[EXPECTED], sizeof row);
}

/* A lane without images: nothing is touched, nothing fails. */
static void test_no_rows(void **state) {
    Twins *twins = *state;
    const Span span = one_lane(0, 1);
    const DevFloats none = {NULL};
    const Matrix nothing = matrix(none, 8);
    const Pictures pictures = {.label = {NULL}};
    const Retina retina = {2, 1, 1, 3, 3, 1, {0}, {1}};
    const Draws draws = {.seed = 1, .start = 1};
    const Reinforce reinforce = {BASELINE_LEARNED, 2, 0.1f, none, 1, 8};
    const Classification classification = {2, 3, 0.5, 8};
    static const double zeros[SUMS];
    void *sums[SIDES];
    Twin weight = twin_random(twins, 4, 4, 4, false);
    twin_bytes(twins, zeros, sizeof zeros, sums);
    for (int side = 0; side < SIDES; side++) {
        const Weight square = {.plain = weight.at[side]};
        const DevDoubles total = {sums[side]};
        CALL(side, draw, &span, &draws, &pictures, 2, none, none);
        CALL(side, retina, &span, &retina, &pictures, none, none);
        CALL(side, linear, &span, 2, 4, 4, nothing, square, weight.at[side], ACTIVATION_RELU, nothing);
        CALL(side, lstm, &span, 2, none, none, none, nothing);
        CALL(side, locate, &span, POLICY_SAMPLE, 0.1f, 4, nothing, square, weight.at[side], none, none, none, none);
        CALL(side, log_softmax, &span, 2, 3, none);
        CALL(side, reward, &span, &(RewardRule){.credit = CREDIT_GAIN}, 2, 3, &pictures, none, none, none);
        CALL(side, add_probability, &span, 3, none, none);
        CALL(side, reinforce, &span, &reinforce, none, none, none, none, none, none, none, none, total);
        CALL(side, classification, &span, &classification, &pictures, none, none, total);
        CALL(side, linear_backward_data, &span, 2, 4, 4, nothing, square, false, nothing);
        CALL(side, relu_backward, &span, 2, 4, nothing, nothing);
        CALL(side, lstm_backward, &span, 2, true, none, none, none, none, none, none);
        CALL(side, transpose, 0, NULL);
    }
    sums_agree(twins, sums, "no rows");
    twin_close(twins, &weight, 0, "weight");
}

int main(int argc, char **argv) {
    DeviceChoice device;
    Twins twins = {.dice = {11}};
    device_choose(argc > 1 ? argv[1] : "cpu-check", &device);
    const DeviceChoice choice[SIDES] = {DEVICE_CPU, device};
    for (int side = 0; side < SIDES; side++) {
        const Status status =
            backend_open(&(BackendOptions){.device = choice[side], .threads = 2}, &twins.backend[side]);
        if (status_failed(&status)) abort();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_products, &twins),      cmocka_unit_test_prestate(test_large_gradient, &twins),
        cmocka_unit_test_prestate(test_relu_backward, &twins), cmocka_unit_test_prestate(test_lstm, &twins),
        cmocka_unit_test_prestate(test_choose, &twins),        cmocka_unit_test_prestate(test_policies, &twins),
        cmocka_unit_test_prestate(test_retina, &twins),        cmocka_unit_test_prestate(test_losses, &twins),
        cmocka_unit_test_prestate(test_tall, &twins),          cmocka_unit_test_prestate(test_transpose, &twins),
        cmocka_unit_test_prestate(test_vectors, &twins),       cmocka_unit_test_prestate(test_no_rows, &twins),
        cmocka_unit_test_prestate(test_sums, &twins),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (int side = 0; side < SIDES; side++) backend_close(twins.backend[side]);
    return failed;
}
