/* REINFORCE is right on average: over many draws of the engine's own noise the locator's gradient has the mean
 * -w dE[R]/dtheta, where E[R] is the reward integrated over the density of the location. Two glimpses: the first
 * location decides what is seen last, and so the reward. */
#include "engine_run.h"
#include "random_case.h"
#include "base/memory.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 1 << 17, LANES = 128, GRID = 300, ENTRIES_MOST = 128 };
static const double REACH = 6; /* sigmas on each side of the mean that the grid covers */
static const double STANDARD_ERRORS = 4;

/* E[R] as a function of the locator's parameters; the reward at a location does not depend on them. */
typedef struct {
    PlainCase c; /* one image, one roll-out */
    PlainOutcome scratch;
    double centre[2], spacing;
    double *reward; /* (GRID, GRID): at the location centre + spacing * (i - GRID / 2 + 1/2), y outermost */
} Expectation;

static double grid_point(const Expectation *e, int axis, int i) {
    return e->centre[axis] + e->spacing * (i - GRID / 2 + 0.5);
}

static void expectation_open(Expectation *e, Locator locator) {
    *e = (Expectation){.c = {.dims = {.glimpses = 2,
                                      .retina = {.patch = 3,
                                                 .scales = 1,
                                                 .scale = 1,
                                                 .height = 8,
                                                 .width = 8,
                                                 .channels = 1,
                                                 .mean = {0.5f},
                                                 .stddev = {0.3f}},
                                      .classes = 2,
                                      .hidden = 6,
                                      .glimpse_hidden = 5,
                                      .location_hidden = 4,
                                      .locator_hidden = 4,
                                      .locator = locator,
                                      .sigma = 0.3f},
                             .batch = 1,
                             .samples = 1,
                             .reinforce_weight = 1}};
    PlainCase *c = &e->c;
    random_case_open(c, locator == LOCATOR_MLP ? 4 : 2);
    plain_outcome_open(&e->scratch, c);
    plain_forward(c, &(PlainGiven){0}, &e->scratch);
    const double sigma = (double)c->dims.sigma;
    e->spacing = 2 * REACH * sigma / GRID;
    memcpy(e->centre, e->scratch.mean, sizeof e->centre);
    e->reward = memory_new(GRID * GRID, sizeof(double));
    for (int y = 0; y < GRID; y++)
        for (int x = 0; x < GRID; x++) {
            c->noise[0] = (grid_point(e, 0, x) - e->centre[0]) / sigma;
            c->noise[1] = (grid_point(e, 1, y) - e->centre[1]) / sigma;
            plain_forward(c, &(PlainGiven){0}, &e->scratch);
            e->reward[y * GRID + x] = e->scratch.reward[0];
        }
}

static void expectation_close(Expectation *e) {
    free(e->reward);
    plain_outcome_close(&e->scratch);
    plain_case_close(&e->c);
}

static double expected_reward(Expectation *e) {
    const double sigma = (double)e->c.dims.sigma;
    double sum = 0;
    plain_forward(&e->c, &(PlainGiven){0}, &e->scratch);
    for (int y = 0; y < GRID; y++)
        for (int x = 0; x < GRID; x++) {
            const double dx = (grid_point(e, 0, x) - e->scratch.mean[0]) / sigma;
            const double dy = (grid_point(e, 1, y) - e->scratch.mean[1]) / sigma;
            sum += e->reward[y * GRID + x] * exp(-(dx * dx + dy * dy) / 2);
        }
    return sum * e->spacing * e->spacing / (2 * 3.14159265358979323846 * sigma * sigma);
}

static double expected_slope(Expectation *e, size_t entry) {
    const double step = 1e-4, kept = e->c.values[entry];
    e->c.values[entry] = kept + step;
    const double above = expected_reward(e);
    e->c.values[entry] = kept - step;
    const double below = expected_reward(e);
    e->c.values[entry] = kept;
    return (above - below) / (2 * step);
}

/* The one image again and again, each time a sample of its own to the draws. */
static PlainCase many_rows(const PlainCase *one, Baseline baseline) {
    PlainCase c = *one;
    const size_t bytes = (size_t)(c.dims.retina.height * c.dims.retina.width);
    c.baseline = baseline;
    c.moving_average = 0.4;
    c.samples = baseline == BASELINE_OTHERS ? 4 : 1;
    c.batch = ROWS / c.samples;
    plain_case_open(&c);
    memcpy(c.values, one->values, c.parameters.layout.total * sizeof(double));
    for (int64_t i = 0; i < c.batch; i++) {
        memcpy(c.pixels + (size_t)i * bytes, one->pixels, bytes);
        c.labels[i] = one->labels[0];
    }
    for (int64_t i = 0; i < ROWS; i++) memcpy(c.start + 2 * i, one->start, 2 * sizeof(double));
    return c;
}

/* The mean of one entry over lanes, and the standard error of that mean. */
static double lane_mean(const EngineResult *result, size_t total, size_t entry, double *standard_error) {
    double sum = 0, squares = 0;
    for (int lane = 0; lane < LANES; lane++) {
        const double value = (double)result->lane_gradient[(size_t)lane * total + entry] * LANES;
        sum += value;
        squares += value * value;
    }
    const double mean = sum / LANES;
    *standard_error = sqrt((squares / LANES - mean * mean) / (LANES - 1));
    return mean;
}

/* `gain` without decay leads to the same: R_T less a constant, as all rows see the same first glimpse. */
static void check(const Expectation *e, Baseline baseline, Credit credit, int count, const size_t *entry,
                  const double *slope) {
    PlainCase c = many_rows(&e->c, baseline);
    c.credit = credit;
    c.credit_decay = 1;
    c.glimpse_nll = credit == CREDIT_GAIN;
    EngineResult result;
    double worst = 0, clearest = 0;
    engine_run(&c, &(EngineOptions){.device = DEVICE_CPU, .lanes = LANES, .threads = 2, .draw_seed = 5}, &result, NULL);
    for (int i = 0; i < count; i++) {
        double standard_error;
        const double mean = lane_mean(&result, c.parameters.layout.total, entry[i], &standard_error);
        if (standard_error == 0 && mean == 0 && slope[i] == 0) continue; /* behind a ReLU that is off */
        const double off = fabs(mean + slope[i]) / standard_error;
        worst = fmax(worst, off);
        clearest = fmax(clearest, fabs(slope[i]) / standard_error);
        if (!(off <= STANDARD_ERRORS))
            fail_msg("baseline %d, credit %d, entry %zu: mean %.6g, analytic %.6g, standard error %.2g", baseline,
                     credit, entry[i], mean, -slope[i], standard_error);
    }
    printf("  baseline %d, credit %d: %d entries, worst %.2f standard errors, largest gradient %.0f standard errors, "
           "E[R] %.3f\n",
           baseline, credit, count, worst, clearest, result.sums[SUM_REWARD] / ROWS);
    assert_true(clearest > 20); /* else agreement would mean nothing */
    engine_result_close(&result);
    plain_case_close(&c);
}

static void check_locator(Locator locator) {
    Expectation e;
    expectation_open(&e, locator);
    const Parameters *p = &e.c.parameters;
    size_t entry[ENTRIES_MOST];
    double slope[ENTRIES_MOST];
    int count = 0;
    for (int i = 0; i < p->layout.fields; i++)
        if (strncmp(p->layout.field[i].name, "locator", 7) == 0)
            for (size_t j = 0; j < p->layout.field[i].count; j++) entry[count++] = p->layout.field[i].offset + j;
    assert_true(count > 10 && count <= ENTRIES_MOST);
    for (int i = 0; i < count; i++) slope[i] = expected_slope(&e, entry[i]);
    for (Baseline baseline = BASELINE_LEARNED; baseline <= BASELINE_NONE; baseline++)
        for (Credit credit = CREDIT_FINAL; credit <= CREDIT_GAIN; credit++)
            check(&e, baseline, credit, count, entry, slope);
    expectation_close(&e);
}

static void test_mlp(void **state) {
    (void)state;
    check_locator(LOCATOR_MLP);
}

static void test_linear(void **state) {
    (void)state;
    check_locator(LOCATOR_LINEAR);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mlp), cmocka_unit_test(test_linear)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
