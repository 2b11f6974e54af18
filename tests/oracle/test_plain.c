/* First link of the chain of trust: the plain reference's gradients against central differences in double, the
 * trajectory, the rewards and the advantages held constant as REINFORCE has it (DESIGN 2). */
#include "plain_ram.h"
#include "random_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The step is small enough that no ReLU of these cases changes sides, large enough for 1e-6. */
static const double STEP = 1e-5, TOLERANCE = 1e-6;
enum { ENTRIES = 8 };

static PlainCase small_case(Core core, Locator locator, Baseline baseline, double glimpse_nll) {
    return (PlainCase){.dims = {.glimpses = 3,
                                .retina = {.patch = 3,
                                           .scales = 2,
                                           .scale = 2,
                                           .height = 9,
                                           .width = 7,
                                           .channels = 2,
                                           .mean = {0.3f, 0.5f},
                                           .stddev = {0.4f, 0.6f}},
                                .classes = 3,
                                .hidden = 6,
                                .glimpse_hidden = 5,
                                .location_hidden = 4,
                                .locator_hidden = 5,
                                .core = core,
                                .locator = locator,
                                .sigma = 0.4f},
                       .batch = 5,
                       .samples = 3,
                       .baseline = baseline,
                       .moving_average = 0.35,
                       .reinforce_weight = 0.3,
                       .glimpse_nll = glimpse_nll};
}

static double loss_at(PlainCase *c, const PlainGiven *given, PlainOutcome *scratch, size_t entry, double value) {
    const double kept = c->values[entry];
    c->values[entry] = value;
    plain_forward(c, given, scratch);
    c->values[entry] = kept;
    return scratch->terms.total;
}

/* The gradient of one field against differences at some entries; true where one of its entries is not zero. */
static bool check_field(PlainCase *c, const Field *field, const PlainOutcome *out, PlainOutcome *scratch) {
    const PlainGiven given = {out->location, out->hidden, out->sample, out->credit, out->advantage};
    double largest = 0;
    for (size_t i = 0; i < field->count; i++) largest = fmax(largest, fabs(out->gradient[field->offset + i]));
    for (int i = 0; i < ENTRIES; i++) {
        const size_t entry = field->offset + (size_t)i * field->count / ENTRIES;
        const double value = c->values[entry];
        const double difference =
            (loss_at(c, &given, scratch, entry, value + STEP) - loss_at(c, &given, scratch, entry, value - STEP)) /
            (2 * STEP);
        if (!(fabs(difference - out->gradient[entry]) <= TOLERANCE * fmax(largest, 1e-3)))
            fail_msg("%s[%zu]: gradient %.12g, difference %.12g", field->name, entry - field->offset,
                     out->gradient[entry], difference);
    }
    return largest > 0;
}

static void check_case(Core core, Locator locator, Baseline baseline, double glimpse_nll, bool locator_gradient,
                       Credit credit, int glimpses) {
    PlainCase c = small_case(core, locator, baseline, glimpse_nll);
    c.locator_gradient = locator_gradient;
    c.credit = credit;
    c.credit_decay = 0.6;
    PlainOutcome out, scratch;
    c.dims.glimpses = glimpses;
    random_case_open(&c, 11);
    plain_outcome_open(&out, &c);
    plain_outcome_open(&scratch, &c);
    plain_forward(&c, &(PlainGiven){0}, &out);
    plain_backward(&c, &out);
    for (int i = 0; i < c.parameters.layout.fields; i++) {
        const Field *field = &c.parameters.layout.field[i];
        const bool expected = (strncmp(field->name, "baseliner", 9) != 0 || baseline == BASELINE_LEARNED) &&
                              (i != c.parameters.recurrent.weight || glimpses > 1);
        if (check_field(&c, field, &out, &scratch) != expected)
            fail_msg("the gradient of %s is %szero (core %d, locator %d, baseline %d, T %d)", field->name,
                     expected ? "" : "not ", core, locator, baseline, glimpses);
    }
    plain_outcome_close(&scratch);
    plain_outcome_close(&out);
    plain_case_close(&c);
}

/* Every parameter group has a gradient; only the learned baseline trains the baseliner. */
static void test_gradients(void **state) {
    (void)state;
    for (Core core = CORE_RNN; core <= CORE_LSTM; core++)
        for (Locator locator = LOCATOR_MLP; locator <= LOCATOR_LINEAR; locator++)
            for (Baseline baseline = BASELINE_LEARNED; baseline <= BASELINE_NONE; baseline++)
                for (int choice = 0; choice < 8; choice++)
                    check_case(core, locator, baseline, 0.7 * (choice % 2), choice / 2 % 2,
                               choice / 4 ? CREDIT_GAIN : CREDIT_FINAL, 3);
}

/* With one glimpse h_0 = 0 leaves the recurrent weight, and glimpse_nll, without effect. */
static void test_one_glimpse(void **state) {
    (void)state;
    check_case(CORE_RNN, LOCATOR_MLP, BASELINE_LEARNED, 0.5, true, CREDIT_FINAL, 1);
    check_case(CORE_LSTM, LOCATOR_LINEAR, BASELINE_OTHERS, 0, false, CREDIT_FINAL, 1);
}

/* A case small enough to work out by hand: one cell of one pixel, one unit everywhere. */
static void test_by_hand(void **state) {
    (void)state;
    PlainCase c = small_case(CORE_RNN, LOCATOR_LINEAR, BASELINE_LEARNED, 0);
    c.dims = (Dims){.glimpses = 1,
                    .retina = {.patch = 1, .scales = 1, .scale = 1, .height = 2, .width = 3, .channels = 1},
                    .classes = 2,
                    .hidden = 1,
                    .glimpse_hidden = 1,
                    .location_hidden = 1,
                    .locator = LOCATOR_LINEAR,
                    .sigma = 0.5f};
    c.dims.retina.mean[0] = 0.5f;
    c.dims.retina.stddev[0] = 0.25f;
    c.batch = c.samples = 1;
    plain_case_open(&c);
    for (int i = 0; i < c.parameters.layout.fields; i++)
        for (size_t j = 0; j < c.parameters.layout.field[i].count; j++)
            c.values[c.parameters.layout.field[i].offset + j] = 0.5;
    c.values[c.parameters.layout.field[c.parameters.classifier.bias].offset + 1] = 1.5;
    c.pixels[5] = 255; /* bottom right: x 2 of 3, y 1 of 2 */
    c.labels[0] = 1;
    c.start[0] = 0.9;
    c.start[1] = 0.1;
    c.noise[0] = 3;
    c.noise[1] = -1;
    PlainOutcome out;
    plain_outcome_open(&out, &c);
    plain_forward(&c, &(PlainGiven){0}, &out);
    assert_float_equal(out.glimpse[0], 2, 1e-12);                   /* (1 - 0.5) / 0.25 */
    assert_float_equal(out.what[0], 1.5, 1e-12);                    /* 0.5 * 2 + 0.5 */
    assert_float_equal(out.where[0], 1, 1e-12);                     /* 0.5 * (0.9 + 0.1) + 0.5 */
    assert_float_equal(out.feature[0], 2.25, 1e-12);                /* 0.5 * 1.5 + 0.5 + 0.5 * 1 + 0.5 */
    assert_float_equal(out.hidden[0], 2.125, 1e-12);                /* 0.5 * 2.25 + 0.5 + 0.5 */
    assert_float_equal(out.baseline[0], 1.5625, 1e-12);             /* 0.5 * 2.125 + 0.5 */
    assert_float_equal(out.mean[0], tanh(1.5625), 1e-12);           /* the same sum */
    assert_float_equal(out.location[2], 1, 0);                      /* clamped */
    assert_float_equal(out.location[3], tanh(1.5625) - 0.5, 1e-12); /* one sigma below */
    assert_float_equal(out.log_prob[1], -log(1 + exp(-1)), 1e-12);  /* logits 1.5625 and 2.5625 */
    assert_float_equal(out.reward[0], 1, 0);                        /* the second class */
    assert_float_equal(out.log_pi[0], -5 - 2 * log(0.5) - log(2 * 3.14159265358979323846), 1e-12);
    assert_float_equal(out.terms.baseline, 0.5625 * 0.5625, 1e-12);
    assert_float_equal(out.terms.reinforce, out.log_pi[0] * 0.5625, 1e-12);
    assert_float_equal(out.terms.total, out.terms.nll + out.terms.baseline + 0.3 * out.terms.reinforce, 1e-12);
    plain_outcome_close(&out);
    plain_case_close(&c);
}

/* A deviation that is not finite is no agreement. */
static void test_deviation(void **state) {
    (void)state;
    const double a[] = {1, 2.5, -4}, b[] = {1, 2, -4}, broken[] = {1, NAN, -4}, zeros[3] = {0};
    assert_float_equal(plain_deviation(3, a, b), 0.125, 0);
    assert_float_equal(plain_deviation(3, zeros, zeros), 0, 0);
    assert_true(isinf(plain_deviation(3, broken, b)));
    assert_true(isinf(plain_deviation(3, b, broken)));
    assert_true(isinf(plain_deviation(3, a, zeros)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_one_glimpse),
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_deviation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
