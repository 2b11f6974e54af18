/* Single kernels of the CPU backend on rows: odd sizes, guards around every output, extremes, NaN. */
#include "backend/element/units.h"
#include "guarded.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const int ROWS[] = {1, 7, 33, 257};
enum { ROW_COUNTS = sizeof ROWS / sizeof *ROWS };

static Span one_lane(int64_t images, int samples) {
    return (Span){.batch = images, .lanes = 1, .first_lane = 0, .lane_count = 1, .samples = samples};
}

/* --- linear layers */

static double activated(Activation activation, double x) {
    return activation == ACTIVATION_RELU ? fmax(x, 0) : activation == ACTIVATION_TANH ? tanh(x) : x;
}

static void check_linear(Backend *backend, int rows, int glimpses, int in, int out, Activation activation) {
    Dice dice = {(uint64_t)(rows * 31 + in)};
    const Span span = one_lane(rows, 1);
    const int all = rows * glimpses;
    Guarded x = guarded_random(all, in, in + 3, &dice), weight = guarded_random(in, out, out, &dice);
    Guarded bias = guarded_random(1, out, out, &dice), y = guarded_new(all, out, out + 5);
    backend->kernels->linear(backend, &span, glimpses, in, out, guarded_matrix(&x), guarded_weight(&weight),
                             guarded_floats(&bias), activation, guarded_matrix(&y));
    for (int r = 0; r < all; r++)
        for (int o = 0; o < out; o++) {
            double sum = guarded_value(&bias, 0, o);
            for (int i = 0; i < in; i++) sum += guarded_value(&x, r, i) * guarded_value(&weight, i, o);
            near(guarded_value(&y, r, o), activated(activation, sum), 1e-6 * (in + 1), "linear");
        }
    guarded_close(&x, "x");
    guarded_close(&weight, "weight");
    guarded_close(&bias, "bias");
    guarded_close(&y, "y");
}

static void check_linear_backward(Backend *backend, int rows, int glimpses, int in, int out, bool accumulate) {
    Dice dice = {(uint64_t)(rows * 37 + out)};
    const Span span = one_lane(rows, 1);
    const int all = rows * glimpses;
    const double before = accumulate ? 0.5 : 0;
    Guarded x = guarded_random(all, in, in + 1, &dice), dy = guarded_random(all, out, out + 2, &dice);
    Guarded weight = guarded_random(out, in, in, &dice), dweight = guarded_new(out, in, in);
    Guarded dbias = guarded_new(1, out, out), same = guarded_new(1, out, out), other = guarded_new(1, in, in);
    Guarded dx = accumulate ? guarded_fill(all, in, in + 7, 0.5f) : guarded_new(all, in, in + 7);
    const Kernels *kernels = backend->kernels;
    kernels->linear_backward_data(backend, &span, glimpses, in, out, guarded_matrix(&dy), guarded_weight(&weight),
                                  accumulate, guarded_matrix(&dx));
    const Matrix inputs = guarded_matrix(&x), outputs = guarded_matrix(&dy);
    kernels->linear_backward_weight(backend, &span, glimpses, in, out, &inputs, &outputs, guarded_floats(&dweight));
    const BiasGradient biases[] = {
        {glimpses, out, &outputs, guarded_floats(&dbias), guarded_floats(&same)},
        {.glimpses = 1, .out = in, .dy = &inputs, .dbias = guarded_floats(&other)},
    };
    kernels->linear_backward_bias(backend, &span, 2, biases);
    for (int r = 0; r < all; r++)
        for (int i = 0; i < in; i++) {
            double sum = before;
            for (int o = 0; o < out; o++) sum += guarded_value(&dy, r, o) * guarded_value(&weight, o, i);
            near(guarded_value(&dx, r, i), sum, 1e-6 * (out + 1), "dx");
        }
    for (int o = 0; o < out; o++) {
        double sum = 0;
        for (int r = 0; r < all; r++) sum += guarded_value(&dy, r, o);
        near(guarded_value(&dbias, 0, o), sum, 1e-6 * (all + 1), "dbias");
        assert_float_equal(guarded_value(&same, 0, o), guarded_value(&dbias, 0, o), 0);
        for (int i = 0; i < in; i++) {
            sum = 0;
            for (int r = 0; r < all; r++) sum += guarded_value(&dy, r, o) * guarded_value(&x, r, i);
            near(guarded_value(&dweight, o, i), sum, 1e-6 * (all + 1), "dweight");
        }
    }
    for (int i = 0; i < in; i++) {
        double sum = 0;
        for (int r = 0; r < rows; r++) sum += guarded_value(&x, r, i);
        near(guarded_value(&other, 0, i), sum, 1e-6 * (rows + 1), "another dbias");
    }
    Guarded *all_of_them[] = {&x, &dy, &weight, &dweight, &dbias, &same, &other, &dx};
    for (size_t i = 0; i < sizeof all_of_them / sizeof *all_of_them; i++)
        guarded_close(all_of_them[i], "linear_backward");
}

static void test_linear(void **state) {
    static const int sizes[][2] = {{1, 1}, {2, 128}, {3, 5}, {17, 10}, {64, 33}, {40, 66}};
    for (int i = 0; i < ROW_COUNTS; i++)
        for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) {
            const int in = sizes[j][0], out = sizes[j][1];
            for (Activation a = ACTIVATION_NONE; a <= ACTIVATION_TANH; a++)
                check_linear(*state, ROWS[i], a == ACTIVATION_NONE ? 2 : 1, in, out, a);
            check_linear_backward(*state, ROWS[i], 1, in, out, false);
            check_linear_backward(*state, ROWS[i], 2, in, out, true);
        }
}

/* A lane without images, and a recurrent weight with one glimpse: zero gradients, nothing else touched. */
static void test_no_rows(void **state) {
    Backend *backend = *state;
    const Kernels *kernels = backend->kernels;
    const Matrix nothing = matrix((DevFloats){NULL}, 1);
    for (int images = 0; images < 2; images++) {
        const Span span = one_lane(images, 1);
        Guarded dweight = guarded_new(5, 3, 3), dbias = guarded_new(1, 5, 5);
        kernels->linear_backward_weight(backend, &span, 1 - images, 3, 5, &nothing, &nothing, guarded_floats(&dweight));
        const BiasGradient bias = {.glimpses = 1 - images, .out = 5, .dy = &nothing, .dbias = guarded_floats(&dbias)};
        kernels->linear_backward_bias(backend, &span, 1, &bias);
        for (int i = 0; i < 15; i++) assert_float_equal(dweight.at[i], 0, 0);
        for (int i = 0; i < 5; i++) assert_float_equal(dbias.at[i], 0, 0);
        guarded_close(&dweight, "dweight");
        guarded_close(&dbias, "dbias");
    }
}

static void test_relu_backward(void **state) {
    Backend *backend = *state;
    const Span span = one_lane(7, 1);
    Dice dice = {3};
    Guarded y = guarded_random(14, 5, 6, &dice), dy = guarded_fill(14, 5, 9, 2.0f);
    y.at[0] = 0.0f;
    y.at[1] = -0.0f;
    backend->kernels->relu_backward(backend, &span, 2, 5, guarded_matrix(&y), guarded_matrix(&dy));
    for (int r = 0; r < 14; r++)
        for (int c = 0; c < 5; c++)
            assert_float_equal(guarded_value(&dy, r, c), guarded_value(&y, r, c) > 0 ? 2 : 0, 0);
    guarded_close(&y, "y");
    guarded_close(&dy, "dy");
}

/* A NaN passes the ReLU: a diverged sensor must show in the loss. Saturated tanh is exactly 1. */
static void test_extremes(void **state) {
    Backend *backend = *state;
    const Span span = one_lane(1, 1);
    const float inputs[] = {NAN, -INFINITY, INFINITY, -200.0f, 200.0f, 0.0f};
    for (int i = 0; i < 6; i++) {
        Guarded x = guarded_fill(1, 1, 1, inputs[i]), one = guarded_fill(1, 1, 1, 1.0f);
        Guarded zero = guarded_fill(1, 1, 1, 0.0f), relu = guarded_new(1, 1, 1), squashed = guarded_new(1, 1, 1);
        backend->kernels->linear(backend, &span, 1, 1, 1, guarded_matrix(&x), guarded_weight(&one),
                                 guarded_floats(&zero), ACTIVATION_RELU, guarded_matrix(&relu));
        backend->kernels->linear(backend, &span, 1, 1, 1, guarded_matrix(&x), guarded_weight(&one),
                                 guarded_floats(&zero), ACTIVATION_TANH, guarded_matrix(&squashed));
        if (isnan(inputs[i])) {
            assert_true(isnan(relu.at[0]) && isnan(squashed.at[0]));
        } else {
            assert_true(relu.at[0] == (inputs[i] > 0 ? inputs[i] : 0.0f));
            assert_true(squashed.at[0] == (float)tanh((double)inputs[i]));
        }
        Guarded *all_of_them[] = {&x, &one, &zero, &relu, &squashed};
        for (int j = 0; j < 5; j++) guarded_close(all_of_them[j], "activation");
    }
}

/* --- lstm */

/* Distance of `got` from `exact` in units of the last place of a float there. */
static double units_off(float got, double exact) {
    const float nearest = fabsf((float)exact);
    return fabs((double)got - exact) / ((double)nextafterf(nearest, INFINITY) - (double)nearest);
}

/* Floats of all sizes from 1e-38 on, and both signs. */
static void test_activations(void **state) {
    (void)state;
    for (double size = 1e-38; size < 3e38; size *= 1.0007) {
        for (int sign = -1; sign <= 1; sign += 2) {
            const float x = (float)(sign * size);
            assert_true(units_off(units_tanh(x), tanh((double)x)) < 1.5);
            if (x > -87) assert_true(units_off(units_sigmoid(x), 1 / (1 + exp(-(double)x))) < 3);
        }
    }
    assert_float_equal(units_tanh(0.0f), 0, 0);
    assert_float_equal(units_tanh(-INFINITY), -1, 0);
    assert_float_equal(units_sigmoid(INFINITY), 1, 0);
    assert_true(units_sigmoid(-INFINITY) < 1e-37f);
    assert_true(isnan(units_tanh(NAN)) && isnan(units_sigmoid(NAN)));
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static void check_lstm(Backend *backend, int rows, int H, bool first, float scale) {
    Dice dice = {(uint64_t)(rows + H)};
    const Span span = one_lane(rows, 1);
    Guarded gates = guarded_random(rows, 4 * H, 4 * H, &dice), before = guarded_random(rows, H, H, &dice);
    Guarded raw = guarded_new(rows, 4 * H, 4 * H), c = guarded_new(rows, H, H), h = guarded_new(rows, H, 2 * H + 1);
    for (int64_t i = 0; i < (int64_t)rows * 4 * H; i++) raw.at[i] = gates.at[i] *= scale;
    backend->kernels->lstm(backend, &span, H, guarded_floats(&gates),
                           first ? (DevFloats){NULL} : guarded_floats(&before), guarded_floats(&c), guarded_matrix(&h));
    for (int r = 0; r < rows; r++)
        for (int u = 0; u < H; u++) {
            const double i = sigmoid(guarded_value(&raw, r, u)), f = sigmoid(guarded_value(&raw, r, H + u));
            const double g = tanh(guarded_value(&raw, r, 2 * H + u)), o = sigmoid(guarded_value(&raw, r, 3 * H + u));
            const double cell = f * (first ? 0 : guarded_value(&before, r, u)) + i * g;
            near(guarded_value(&c, r, u), cell, 1e-6, "c");
            near(guarded_value(&h, r, u), o * tanh(cell), 1e-6, "h");
            near(guarded_value(&gates, r, 3 * H + u), o, 1e-6, "o");
        }
    Guarded *all_of_them[] = {&gates, &before, &raw, &c, &h};
    for (int i = 0; i < 5; i++) guarded_close(all_of_them[i], "lstm");
}

static void test_lstm(void **state) {
    for (int i = 0; i < ROW_COUNTS; i++) {
        check_lstm(*state, ROWS[i], 5, false, 3.0f);
        check_lstm(*state, ROWS[i], 1, true, 3.0f);
        check_lstm(*state, ROWS[i], 33, i % 2, 500.0f); /* saturated gates */
    }
}

/* A NaN in any gate comes out of its unit alone; infinite ones open and close. */
static void test_lstm_extremes(void **state) {
    Backend *backend = *state;
    enum { H = 33 };
    const Span span = one_lane(1, 1);
    Guarded gates = guarded_fill(1, 4 * H, 4 * H, 0.5f), before = guarded_fill(1, H, H, 0.25f);
    Guarded c = guarded_new(1, H, H), h = guarded_new(1, H, H);
    for (int gate = 0; gate < 4; gate++) {
        gates.at[gate * H + 8 * gate + 3] = NAN;
        gates.at[gate * H + 5] = INFINITY;
        gates.at[gate * H + 32] = -INFINITY;
    }
    backend->kernels->lstm(backend, &span, H, guarded_floats(&gates), guarded_floats(&before), guarded_floats(&c),
                           guarded_matrix(&h));
    for (int u = 0; u < H; u++) assert_int_equal(isnan(h.at[u]) != 0, u % 8 == 3 && u < 32);
    near((double)h.at[5], tanh(1.25), 1e-6, "open");
    near((double)h.at[32], 0, 1e-6, "closed");
    Guarded *all_of_them[] = {&gates, &before, &c, &h};
    for (int i = 0; i < 4; i++) guarded_close(all_of_them[i], "lstm");
}

/* The backward cell against differences of the forward one is test_engine's; here: what it writes, and that the last
 * glimpse does not read dc. */
static void test_lstm_backward(void **state) {
    Backend *backend = *state;
    enum { H = 5, N = 7 };
    const Span span = one_lane(N, 1);
    Dice dice = {9};
    Guarded gates = guarded_fill(N, 4 * H, 4 * H, 0.5f), c = guarded_fill(N, H, H, 0.0f);
    Guarded dh = guarded_fill(N, H, H, 1.0f), dc = guarded_fill(N, H, H, NAN), dgates = guarded_new(N, 4 * H, 4 * H);
    Guarded before = guarded_random(N, H, H, &dice);
    backend->kernels->lstm_backward(backend, &span, H, true, guarded_floats(&gates), guarded_floats(&before),
                                    guarded_floats(&c), guarded_floats(&dh), guarded_floats(&dc),
                                    guarded_floats(&dgates));
    for (int r = 0; r < N; r++)
        for (int u = 0; u < H; u++) { /* c = 0: dcell = dh * o = 0.5 */
            near(guarded_value(&dgates, r, u), 0.5 * 0.5 * 0.25, 1e-7, "di");
            near(guarded_value(&dgates, r, H + u), 0.5 * guarded_value(&before, r, u) * 0.25, 1e-7, "df");
            near(guarded_value(&dgates, r, 2 * H + u), 0.5 * 0.5 * 0.75, 1e-7, "dg");
            near(guarded_value(&dgates, r, 3 * H + u), 0, 1e-7, "do");
            near(guarded_value(&dc, r, u), 0.25, 1e-7, "dc");
        }
    Guarded *all_of_them[] = {&gates, &c, &dh, &dc, &dgates, &before};
    for (int i = 0; i < 6; i++) guarded_close(all_of_them[i], "lstm_backward");
}

/* --- classifier */

static void test_log_softmax(void **state) {
    Backend *backend = *state;
    static const float rows[][3] = {
        {0, 0, 0}, {1e4f, -1e4f, 0}, {-1e30f, -1e30f, -1e30f}, {88, 89, 90}, {-1, 0, 1e-8f}};
    enum { N = sizeof rows / sizeof *rows };
    const Span span = one_lane(N, 1);
    Guarded x = guarded_new(N, 3, 3);
    memcpy(x.at, rows, sizeof rows);
    backend->kernels->log_softmax(backend, &span, 1, 3, guarded_floats(&x));
    for (int r = 0; r < N; r++) {
        double sum = 0, most = fmax(fmax((double)rows[r][0], (double)rows[r][1]), (double)rows[r][2]);
        for (int c = 0; c < 3; c++) sum += exp((double)rows[r][c] - most);
        for (int c = 0; c < 3; c++)
            near(guarded_value(&x, r, c), (double)rows[r][c] - most - log(sum), 1e-6 * (1 + fabs((double)rows[r][c])),
                 "log_softmax");
    }
    guarded_close(&x, "log_softmax");
    const float broken[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        const Span one = one_lane(1, 1);
        Guarded y = guarded_fill(1, 2, 2, 0.0f);
        y.at[0] = broken[i];
        backend->kernels->log_softmax(backend, &one, 1, 2, guarded_floats(&y));
        assert_true(i == 2 ? y.at[1] == 0.0f : isnan(y.at[0]));
        guarded_close(&y, "log_softmax");
    }
}

static void test_reward(void **state) {
    Backend *backend = *state;
    const Span span = one_lane(3, 2); /* images 0 1 2, two roll-outs each */
    uint8_t labels[] = {1, 0, 2};
    float rows[][3] = {{-1, 0, -1}, {0, -2, -1}, {0, 0, 0}, {-1, 0, 0}, {NAN, NAN, NAN}, {-2, -1, -0.5f}};
    const RewardRule correct = {.kind = REWARD_CORRECT}, of_class = {.kind = REWARD_LOG_LIKELIHOOD};
    const double expected[] = {1, 0, 1, 0, 0, 1};
    const Pictures pictures = {.label = {labels}};
    const double guess = -log(3), likelihoods[] = {0, guess, 0, -1, NAN, -0.5};
    Guarded reward = guarded_new(6, 1, 1), likelihood = guarded_new(6, 1, 1), credit = guarded_new(6, 1, 1),
            probability = guarded_fill(6, 3, 3, 0.25f);
    backend->kernels->reward(backend, &span, &correct, 1, 3, &pictures, (DevFloats){rows[0]}, guarded_floats(&reward),
                             guarded_floats(&credit));
    for (int r = 0; r < 6; r++) {
        assert_float_equal((double)reward.at[r], expected[r], 0);
        assert_float_equal((double)credit.at[r], expected[r], 0);
    }
    guarded_close(&reward, "reward");
    backend->kernels->reward(backend, &span, &of_class, 1, 3, &pictures, (DevFloats){rows[0]},
                             guarded_floats(&likelihood), guarded_floats(&credit));
    guarded_close(&credit, "credit");
    for (int r = 0; r < 6; r++)
        if (isnan(likelihoods[r]))
            assert_true(isnan(likelihood.at[r]));
        else
            near((double)likelihood.at[r], likelihoods[r], 1e-6, "reward");
    guarded_close(&likelihood, "reward");
    backend->kernels->add_probability(backend, &span, 3, (DevFloats){rows[0]}, guarded_floats(&probability));
    near(guarded_value(&probability, 0, 0), 0.25 + exp(-1), 1e-6, "probability");
    near(guarded_value(&probability, 5, 2), 0.25 + exp(-0.5), 1e-6, "probability");
    guarded_close(&probability, "probability");
}

/* Three glimpses of one image, two roll-outs: the final reward for every location, or what each glimpse adds to it. */
static void test_credit(void **state) {
    Backend *backend = *state;
    const Span span = one_lane(1, 2);
    uint8_t label[] = {1};
    float rows[][2] = {{-9, -0.5f}, {-9, -9}, {-9, -0.25f}, {-9, -0.5f}, {-9, 0}, {-9, -0.125f}};
    const Pictures pictures = {.label = {label}};
    const double guess = log(2), lambda = 0.5;
    const double final[] = {0, -0.125, 0, -0.125, 0, -0.125};
    const double gain[] = {0.25 + lambda * 0.25, guess - 0.5 + lambda * 0.375, 0.25, 0.375, 0, 0};
    for (Credit kind = CREDIT_FINAL; kind <= CREDIT_GAIN; kind++) {
        const RewardRule rule = {REWARD_LOG_LIKELIHOOD, kind, (float)lambda};
        Guarded reward = guarded_new(2, 1, 1), credit = guarded_new(6, 1, 1);
        backend->kernels->reward(backend, &span, &rule, 3, 2, &pictures, (DevFloats){rows[0]}, guarded_floats(&reward),
                                 guarded_floats(&credit));
        for (int i = 0; i < 6; i++)
            near((double)credit.at[i], kind == CREDIT_GAIN ? gain[i] : final[i], 1e-6, "credit");
        for (int r = 0; r < 2; r++) near((double)reward.at[r], final[r], 0, "reward");
        guarded_close(&credit, "credit");
        guarded_close(&reward, "reward");
    }
}

/* Sums are added to what is there; each row's gradient sums to zero; an evaluation asks for none. */
static void test_classification(void **state) {
    Backend *backend = *state;
    enum { N = 7, T = 3, CLASSES = 4 };
    const Span span = one_lane(N, 1);
    Dice dice = {21};
    uint8_t labels[N] = {0, 1, 2, 3, 0, 1, 2};
    const Pictures pictures = {.label = {labels}};
    Guarded log_prob = guarded_random(T * N, CLASSES, CLASSES, &dice), d = guarded_new(T * N, CLASSES, CLASSES);
    backend->kernels->log_softmax(backend, &span, T, CLASSES, guarded_floats(&log_prob));
    double sums[SUMS] = {[SUM_NLL] = 100, [SUM_CORRECT] = 10}, evaluated[SUMS] = {0}, expected[2] = {0}, correct = 0;
    const Classification loss = {T, CLASSES, 0.5, 2 * N}, plain = {T, CLASSES, 0, 2 * N};
    backend->kernels->classification(backend, &span, &loss, &pictures, guarded_floats(&log_prob), guarded_floats(&d),
                                     (DevDoubles){sums});
    backend->kernels->classification(backend, &span, &plain, &pictures, guarded_floats(&log_prob), (DevFloats){NULL},
                                     (DevDoubles){evaluated});
    for (int r = 0; r < T * N; r++) {
        double sum = 0, weight = (r < (T - 1) * N ? 0.25 : 1) / (2 * N);
        for (int i = 0; i < CLASSES; i++) {
            sum += guarded_value(&d, r, i);
            const double target = exp(guarded_value(&log_prob, r, i)) - (i == labels[r % N]);
            near(guarded_value(&d, r, i), weight * target, 1e-7, "d_logits");
        }
        near(sum, 0, 1e-7, "sum of d_logits");
        expected[r < (T - 1) * N] -= guarded_value(&log_prob, r, labels[r % N]);
    }
    for (int64_t r = (T - 1) * N; r < (T * N); r++) {
        double rivals = -INFINITY;
        for (int i = 0; i < CLASSES; i++)
            if (i != labels[r % N]) rivals = fmax(rivals, guarded_value(&log_prob, r, i));
        correct += guarded_value(&log_prob, r, labels[r % N]) > rivals;
    }
    near(sums[SUM_CORRECT], 10 + correct, 0, "right answers");
    near(sums[SUM_NLL], 100 + expected[0], 1e-9, "nll");
    near(sums[SUM_GLIMPSE_NLL], expected[1], 1e-9, "glimpse_nll");
    near(evaluated[SUM_NLL], expected[0], 1e-9, "nll at evaluation");
    assert_float_equal(evaluated[SUM_GLIMPSE_NLL], 0, 0);
    guarded_close(&log_prob, "log_prob");
    guarded_close(&d, "d_logits");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),         cmocka_unit_test(test_no_rows),
        cmocka_unit_test(test_relu_backward),  cmocka_unit_test(test_activations),
        cmocka_unit_test(test_extremes),       cmocka_unit_test(test_lstm),
        cmocka_unit_test(test_lstm_backward),  cmocka_unit_test(test_log_softmax),
        cmocka_unit_test(test_reward),         cmocka_unit_test(test_credit),
        cmocka_unit_test(test_classification), cmocka_unit_test(test_lstm_extremes),
    };
    return cmocka_run_group_tests(tests, backend_set_up, backend_tear_down);
}
