/* test_engine cpu|cuda|cpu-check: the engine on that backend against the plain reference in double, over random
 * configurations: every intermediate, every term of the loss and every gradient within 2e-5 of its largest entry. */
#include "base/memory.h"
#include "device.h"
#include "engine_run.h"
#include "random_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const double TOLERANCE = 2e-5;

static void agree(const PlainCase *c, const char *what, int64_t count, const double *engine, const double *plain) {
    const double deviation = plain_deviation(count, engine, plain);
    if (deviation <= TOLERANCE) return;
    fail_msg("%s is off by %.3g of its largest entry (batch %d, samples %d, core %d, locator %d, baseline %d, T %d, "
             "K %d, scale %d, H %d)",
             what, deviation, (int)c->batch, c->samples, c->dims.core, c->dims.locator, c->baseline, c->dims.glimpses,
             c->dims.retina.scales, c->dims.retina.scale, c->dims.hidden);
}

static void compare(const PlainCase *c, const PlainOutcome *engine, const PlainOutcome *plain) {
    const Dims *dims = &c->dims;
    const int64_t rows = plain_rows(c), all = dims->glimpses * rows;
    agree(c, "glimpse", all * dims_glimpse(dims), engine->glimpse, plain->glimpse);
    agree(c, "hidden", all * dims->hidden, engine->hidden, plain->hidden);
    agree(c, "mean", all * 2, engine->mean, plain->mean);
    agree(c, "log_pi", all, engine->log_pi, plain->log_pi);
    agree(c, "baseline", all, engine->baseline, plain->baseline);
    agree(c, "log_prob", all * dims->classes, engine->log_prob, plain->log_prob);
    agree(c, "reward", rows, engine->reward, plain->reward);
    agree(c, "credit", all, engine->credit, plain->credit);
    const struct {
        const char *name;
        double engine, plain;
    } terms[] = {
        {"nll", engine->terms.nll, plain->terms.nll},
        {"glimpse_nll", engine->terms.glimpse_nll, c->glimpse_nll > 0 ? plain->terms.glimpse_nll : 0},
        {"baseline loss", engine->terms.baseline, plain->terms.baseline},
        {"mean reward", engine->terms.reward, plain->terms.reward},
        {"total", engine->terms.total, plain->terms.total},
    };
    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++)
        agree(c, terms[i].name, 1, &terms[i].engine, &terms[i].plain);
    /* a sum of terms of both signs: measured against their size */
    double size = 0;
    for (int64_t i = 0; i < all; i++) size += fabs(plain->log_pi[i] * plain->advantage[i]) / (double)rows;
    assert_true(fabs(engine->terms.reinforce - plain->terms.reinforce) <= TOLERANCE * size);
    for (int i = 0; i < c->parameters.layout.fields; i++) {
        const Field *field = &c->parameters.layout.field[i];
        agree(c, field->name, (int64_t)field->count, engine->gradient + field->offset, plain->gradient + field->offset);
    }
}

/* Where the plain one would look next, as the engine's locations after the first: from where the engine looked. */
static void compare_locations(const PlainCase *c, const PlainOutcome *engine, const PlainOutcome *plain) {
    const int64_t rows = plain_rows(c), count = c->dims.glimpses * rows * 2;
    double *location = memory_new((size_t)count, sizeof *location);
    for (int64_t i = 0; i < count; i++) location[i] = fmin(fmax(plain->sample[i], -1), 1);
    agree(c, "location", count, engine->location + rows * 2, location);
    free(location);
}

/* Runs a case on both. The plain one looks where the engine looked, so that the rounding of a location cannot put the
 * two on different pixels, after which everything would differ. */
static void check(PlainCase *c, uint64_t seed, const EngineOptions *options, bool every_group) {
    PlainOutcome engine, plain;
    EngineResult result;
    random_case_open(c, seed);
    plain_outcome_open(&engine, c);
    plain_outcome_open(&plain, c);
    engine_run(c, options, &result, &engine);
    plain_forward(c, &(PlainGiven){0}, &plain);
    agree(c, "start", plain_rows(c) * 2, engine.location, plain.location);
    plain_forward(c, &(PlainGiven){.location = engine.location}, &plain);
    compare_locations(c, &engine, &plain);
    plain_backward(c, &plain);
    compare(c, &engine, &plain);
    for (int i = 0; i < c->parameters.layout.fields && every_group; i++) {
        const Field *field = &c->parameters.layout.field[i];
        bool some = strncmp(field->name, "baseliner", 9) == 0 && c->baseline != BASELINE_LEARNED;
        for (size_t j = 0; j < field->count; j++) some = some || result.gradient[field->offset + j] != 0;
        if (!some) fail_msg("%s receives no gradient", field->name);
    }
    engine_result_close(&result);
    plain_outcome_close(&plain);
    plain_outcome_close(&engine);
    plain_case_close(c);
}

static PlainCase usual_case(void) {
    return (PlainCase){.dims = {.glimpses = 3,
                                .retina = {.patch = 4,
                                           .scales = 2,
                                           .scale = 2,
                                           .height = 14,
                                           .width = 14,
                                           .channels = 1,
                                           .mean = {0.13f, 0.4f, 0.5f, 0.6f},
                                           .stddev = {0.31f, 0.2f, 0.3f, 0.4f}},
                                .classes = 10,
                                .hidden = 24,
                                .glimpse_hidden = 17,
                                .location_hidden = 13,
                                .locator_hidden = 11,
                                .sigma = 0.2f},
                       .batch = 33,
                       .samples = 1,
                       .moving_average = 0.3,
                       .reinforce_weight = 0.4};
}

/* *state: the device. */
static EngineOptions lanes_on(void **state, int lanes) {
    return (EngineOptions){.device = *(const DeviceChoice *)*state, .lanes = lanes, .threads = 2, .poisoned = true};
}

/* Every combination of the model's choices; every parameter group receives a gradient. */
static void test_choices(void **state) {
    const EngineOptions eight_lanes = lanes_on(state, 8);
    uint64_t seed = 100;
    for (Core core = CORE_RNN; core <= CORE_LSTM; core++)
        for (Locator locator = LOCATOR_MLP; locator <= LOCATOR_LINEAR; locator++)
            for (Baseline baseline = BASELINE_LEARNED; baseline <= BASELINE_NONE; baseline++)
                for (int variant = 0; variant < 4; variant++) {
                    PlainCase c = usual_case();
                    c.dims.core = core;
                    c.dims.locator = locator;
                    c.baseline = baseline;
                    const bool other = variant % 2;
                    c.locator_gradient = variant / 2;
                    c.glimpse_nll = other ? 0.6 : 0;
                    c.reward = other == (locator == LOCATOR_MLP) ? REWARD_LOG_LIKELIHOOD : REWARD_CORRECT;
                    c.credit = other ? CREDIT_GAIN : CREDIT_FINAL;
                    c.credit_decay = 0.7;
                    c.samples = other || baseline == BASELINE_OTHERS ? 3 : 1;
                    check(&c, seed++, &eight_lanes, true);
                }
}

/* Batches that lanes cut unevenly or leave lanes empty, down to one row. */
static void test_batches(void **state) {
    static const int batch[] = {1, 2, 6, 7, 33, 125}, lanes[] = {1, 2, 8, 64};
    uint64_t seed = 200;
    for (size_t i = 0; i < sizeof batch / sizeof *batch; i++)
        for (size_t j = 0; j < sizeof lanes / sizeof *lanes; j++) {
            PlainCase c = usual_case();
            c.batch = batch[i];
            c.dims.core = seed % 2 ? CORE_LSTM : CORE_RNN;
            c.samples = j % 2 ? 3 : 1;
            c.baseline = j % 2 ? BASELINE_OTHERS : BASELINE_LEARNED;
            const EngineOptions options = lanes_on(state, lanes[j]);
            check(&c, seed++, &options, false);
        }
}

/* Sizes and geometries at random: odd and single units, colour, pictures that are not square or smaller than a glimpse.
 */
static void test_geometries(void **state) {
    const EngineOptions eight_lanes = lanes_on(state, 8);
    Dice dice = {302};
    for (uint64_t seed = 300; seed < 340; seed++) {
        PlainCase c = usual_case();
        Retina *retina = &c.dims.retina;
        int *sizes[] = {&c.dims.hidden,         &c.dims.glimpse_hidden, &c.dims.location_hidden,
                        &c.dims.locator_hidden, &retina->height,        &retina->width};
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) *sizes[i] = 1 + (int)(dice_bits(&dice) % 40);
        retina->patch = 1 + (int)(dice_bits(&dice) % 9);
        retina->scales = 1 + (int)(dice_bits(&dice) % 3);
        retina->scale = 1 + (int)(dice_bits(&dice) % 3);
        retina->channels = 1 + (int)(dice_bits(&dice) % 4);
        c.dims.classes = 2 + (int)(dice_bits(&dice) % 20);
        c.dims.glimpses = 1 + (int)(dice_bits(&dice) % 4);
        c.dims.core = dice_bits(&dice) % 2 ? CORE_LSTM : CORE_RNN;
        c.dims.locator = dice_bits(&dice) % 2 ? LOCATOR_LINEAR : LOCATOR_MLP;
        c.batch = 1 + (int64_t)(dice_bits(&dice) % 40);
        c.glimpse_nll = dice_bits(&dice) % 2 ? 0.5 : 0;
        c.credit = c.glimpse_nll > 0 ? CREDIT_GAIN : CREDIT_FINAL;
        c.credit_decay = 0.4;
        c.locator_gradient = seed % 2;
        check(&c, seed, &eight_lanes, false);
    }
}

/* The default model: the widths for which the products' kernels are made. */
static void test_default_model(void **state) {
    const EngineOptions eight_lanes = lanes_on(state, 8);
    PlainCase c = usual_case();
    c.dims.glimpses = 6;
    c.dims.retina.patch = 8;
    c.dims.retina.scales = 1;
    c.dims.retina.height = c.dims.retina.width = 28;
    c.dims.hidden = 256;
    c.dims.glimpse_hidden = c.dims.location_hidden = c.dims.locator_hidden = 128;
    c.dims.sigma = 0.05f;
    c.reinforce_weight = 0.01;
    /* With seed 400 an input of a ReLU is so near to 0 that its sign is a matter of the order of summation, and with it
     * a two-hundredth of a gradient. */
    check(&c, 401, &eight_lanes, true);
}

int main(int argc, char **argv) {
    DeviceChoice device;
    device_choose(argc > 1 ? argv[1] : "cpu", &device);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_choices, &device),
        cmocka_unit_test_prestate(test_batches, &device),
        cmocka_unit_test_prestate(test_geometries, &device),
        cmocka_unit_test_prestate(test_default_model, &device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
