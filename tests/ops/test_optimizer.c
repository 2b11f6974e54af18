/* The optimiser as a configuration asks for it, step by step, against its rules in double. (The kernels that it calls
 * have tests of their own, which choose the numbers themselves.) */
#include "guarded.h"
#include "train/optimizer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { COUNT = 16, STEPS = 30 };

typedef struct {
    double parameter[COUNT], first[COUNT], second[COUNT], average[COUNT];
} Plain;

static Config configured(const char *const settings[], int count) {
    Config config;
    config_default(&config);
    for (int i = 0; i < count; i++) {
        const Status status = config_set(&config, settings[i]);
        assert_string_equal(status.message, "");
    }
    return config;
}

static double rate_of(int step) { return 0.01 / step; } /* another one at every step */

/* Kingma and Ba 2015; the decay of Loshchilov and Hutter 2019. */
static double plain_adam(double lr, double g, int step, double *first, double *second) {
    *first = 0.9 * *first + 0.1 * g;
    *second = 0.999 * *second + 0.001 * g * g;
    return lr * *first / (1 - pow(0.9, step)) / (sqrt(*second / (1 - pow(0.999, step))) + 1e-8);
}

static double plain_sgd(const Config *config, double lr, double g, double *velocity) {
    *velocity = config->train_momentum * *velocity + g;
    return lr * (config->train_nesterov ? g + config->train_momentum * *velocity : *velocity);
}

static void plain_step(const Config *config, int step, const float gradient[COUNT], Plain *plain) {
    const double lr = rate_of(step), early = (1.0 + step) / (10.0 + step);
    const double keep = fmin(config->train_ema, early);
    double norm = 0;
    for (int i = 0; i < COUNT; i++) norm += (double)gradient[i] * (double)gradient[i];
    norm = sqrt(norm);
    const double scale = config->train_clip > 0 && norm > config->train_clip ? config->train_clip / norm : 1;
    for (int i = 0; i < COUNT; i++) {
        const double g = scale * (double)gradient[i];
        const double move = config->train_optimizer == OPTIMIZER_ADAM
                                ? plain_adam(lr, g, step, &plain->first[i], &plain->second[i])
                                : plain_sgd(config, lr, g, &plain->first[i]);
        plain->parameter[i] -= lr * config->train_weight_decay * plain->parameter[i] + move;
        plain->average[i] = keep * plain->average[i] + (1 - keep) * plain->parameter[i];
    }
}

/* Gradients are up to `slope`. */
static void check(Backend *backend, float slope, const char *const settings[], int count) {
    const Config config = configured(settings, count);
    Dice dice = {7};
    Guarded initial = guarded_random(1, COUNT, COUNT, &dice);
    Optimizer optimizer;
    Plain plain;
    memset(&plain, 0, sizeof plain);
    for (int i = 0; i < COUNT; i++) plain.parameter[i] = plain.average[i] = (double)initial.at[i];
    optimizer_open(&optimizer, backend, &config, COUNT, initial.at);
    for (int step = 1; step <= STEPS; step++) {
        double squares;
        Guarded gradient = guarded_random(1, COUNT, COUNT, &dice);
        for (int i = 0; i < COUNT; i++) gradient.at[i] *= slope;
        Update update = optimizer_next(&optimizer, &config, rate_of(step));
        optimizer_update(&optimizer, (DevUpdate){&update}, guarded_floats(&gradient), (DevDoubles){&squares});
        optimizer.steps++;
        plain_step(&config, step, gradient.at, &plain);
        for (int i = 0; i < COUNT; i++) {
            near((double)optimizer_parameters(&optimizer).address[i], plain.parameter[i], 1e-6, settings[0]);
            near((double)optimizer_evaluated(&optimizer).address[i],
                 config.train_ema > 0 ? plain.average[i] : plain.parameter[i], 1e-6, "what is evaluated");
        }
        guarded_close(&gradient, "gradient");
    }
    optimizer_close(&optimizer);
    guarded_close(&initial, "initial parameters");
}

#define CHECK(slope, ...)                                                                                              \
    do {                                                                                                               \
        static const char *const settings[] = {__VA_ARGS__};                                                           \
        check(*state, slope, settings, sizeof settings / sizeof *settings);                                            \
    } while (0)

static void test_adam(void **state) {
    CHECK(1, "train.optimizer=adam");
    CHECK(1e-7f, "train.optimizer=adam"); /* near its epsilon */
    CHECK(1, "train.optimizer=adam", "train.weight_decay=3", "train.clip=0.1", "train.ema=0.99");
    CHECK(1, "train.optimizer=adam",
          "train.ema=0.3"); /* from some step on the configured decay is the shorter memory */
}

static void test_sgd(void **state) {
    CHECK(1, "train.optimizer=sgd");
    CHECK(1, "train.optimizer=sgd", "train.momentum=0.5", "train.weight_decay=3");
    CHECK(1, "train.optimizer=sgd", "train.momentum=0.8", "train.nesterov=true", "train.clip=0.1", "train.ema=0.5");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_adam), cmocka_unit_test(test_sgd)};
    return cmocka_run_group_tests(tests, backend_set_up, backend_tear_down);
}
