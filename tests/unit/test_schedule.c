/* Schedule: the rate before, at and after the warm-up, to the end and beyond; when a plateau lowers it and early
 * stopping ends; what of both a new judge of errors leaves. */
#include "train/schedule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static Config config_of(ScheduleKind kind, double warmup) {
    Config config;
    config_default(&config);
    config.schedule_kind = kind;
    config.schedule_warmup = warmup;
    config.train_lr = 0.5;
    config.train_epochs = 10;
    return config;
}

static void assert_rate(const Config *config, double progress, double expected) {
    ScheduleState state = schedule_start();
    state.factor = 0.25;
    const double rate = schedule_rate(config, &state, progress);
    if (!(fabs(rate - expected) <= 1e-15)) fail_msg("rate %g at %g, not %g", rate, progress, expected);
}

static void test_rates(void **state) {
    (void)state;
    const ScheduleKind kind[] = {SCHEDULE_CONSTANT, SCHEDULE_COSINE, SCHEDULE_LINEAR, SCHEDULE_PLATEAU};
    const double quarter[] = {0.5, 0.25 * (1 + sqrt(0.5)), 0.375, 0.125}, end[] = {0.5, 0, 0, 0.125};
    for (int i = 0; i < 4; i++)
        for (int warmup = 0; warmup <= 2; warmup += 2) {
            const Config config = config_of(kind[i], warmup);
            if (warmup) assert_rate(&config, 0, 0);
            if (warmup) assert_rate(&config, 1.5, 0.375);
            assert_rate(&config, warmup, kind[i] == SCHEDULE_PLATEAU ? 0.125 : 0.5);
            assert_rate(&config, warmup + (10 - warmup) / 4.0, quarter[i]);
            assert_rate(&config, 10, end[i]);
            assert_rate(&config, 14, end[i]); /* it neither rises again nor falls below nothing */
        }
}

/* Nothing is left to follow a warm-up as long as the training. */
static void test_warmup_to_the_end(void **state) {
    (void)state;
    const Config cosine = config_of(SCHEDULE_COSINE, 10), linear = config_of(SCHEDULE_LINEAR, 10);
    assert_rate(&cosine, 5, 0.25);
    assert_rate(&linear, 5, 0.25);
    assert_rate(&cosine, 10, 0);
    assert_rate(&linear, 10, 0);
}

/* An error as small as the best one is no better: the plateau's count begins anew with each reduction, the other goes
 * on. */
static void test_waits(void **state) {
    (void)state;
    Config config = config_of(SCHEDULE_PLATEAU, 0);
    config.schedule_patience = 2;
    config.schedule_factor = 0.5;
    config.train_patience = 5;
    const double error[] = {100, 40, 60, 39, 39, 50, 39, 45, 39};
    const double factor[] = {1, 1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25};
    const int64_t since[] = {0, 0, 1, 0, 1, 2, 3, 4, 5};
    ScheduleState seen = schedule_start();
    for (int i = 0; i < 9; i++) {
        assert_false(schedule_exhausted(&config, &seen));
        schedule_observe(&config, &seen, error[i]);
        assert_true(seen.factor == factor[i]);
        assert_int_equal(seen.since_better, since[i]);
        assert_int_equal(seen.observed, i + 1);
    }
    assert_true(seen.best_error == 39);
    assert_true(schedule_exhausted(&config, &seen));
    config.train_patience = 0; /* for ever */
    assert_false(schedule_exhausted(&config, &seen));

    config.schedule_kind = SCHEDULE_COSINE;
    seen = schedule_start();
    for (int i = 0; i < 9; i++) schedule_observe(&config, &seen, 100); /* the worst there is is better than nothing */
    assert_int_equal(seen.since_better, 8);
    assert_true(seen.factor == 1);
}

/* The average that chooses the best model is of the last eval.average epochs, of fewer at first. */
static void test_average(void **state) {
    (void)state;
    Config config = config_of(SCHEDULE_CONSTANT, 0);
    ScheduleState seen = schedule_start();
    config.eval_average = 2;
    const double error[] = {80, 40, 20}, mean[] = {80, 60, 40};
    for (int i = 0; i < 3; i++) {
        schedule_observe(&config, &seen, error[i]);
        assert_true(fabs(seen.mean_error - mean[i]) < 1e-12);
    }
}

static void test_forgets_errors_alone(void **state) {
    (void)state;
    const ScheduleState before = {
        .factor = 0.25, .mean_error = 7, .observed = 6, .best_error = 5, .waited = 4, .since_better = 3};
    const ScheduleState after = schedule_forget_errors(&before);
    assert_true(after.factor == 0.25 && after.best_error == 101 && after.mean_error == 0);
    assert_int_equal(after.observed + after.waited + after.since_better, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rates), cmocka_unit_test(test_warmup_to_the_end),
                                       cmocka_unit_test(test_waits), cmocka_unit_test(test_average),
                                       cmocka_unit_test(test_forgets_errors_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
