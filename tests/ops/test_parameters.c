/* The parameters' names, shapes and initial values: what RAM users have in their checkpoints (DESIGN 2). */
#include "base/memory.h"
#include "model/parameters.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct {
    const char *name;
    int rows, columns; /* 0 columns: a vector */
    int fan_in;
} Expected;

static Dims default_dims(Core core, Locator locator) {
    return (Dims){.glimpses = 6,
                  .retina = {.patch = 8, .scales = 3, .scale = 2, .height = 28, .width = 28, .channels = 3},
                  .classes = 10,
                  .hidden = 256,
                  .glimpse_hidden = 128,
                  .location_hidden = 96,
                  .locator_hidden = 64,
                  .core = core,
                  .locator = locator,
                  .sigma = 0.05f};
}

/* Values fill their range evenly: mean, variance and extremes of a uniform distribution. */
static void check_values(const Field *field, const float *values, int fan_in) {
    const double bound = 1 / sqrt((double)fan_in), count = (double)field->count;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < field->count; i++) {
        const double value = (double)values[field->offset + i];
        if (!(fabs(value) <= bound * (1 + 1e-6))) fail_msg("%s: %g beyond %g", field->name, value, bound);
        sum += value;
        squares += value * value;
    }
    assert_true(squares > 0);
    if (field->count < 1000) return;
    assert_true(fabs(sum / count) < 4 * bound / sqrt(3 * count));
    assert_true(fabs(squares / count / (bound * bound / 3) - 1) < 5 / sqrt(count));
}

static void check_layout(const Dims *dims, int count, const Expected *expected) {
    Parameters p;
    parameters_define(dims, &p);
    float *values = memory_new(p.layout.total, sizeof *values), *again = memory_new(p.layout.total, sizeof *again);
    memset(values, 0xff, p.layout.total * sizeof *values);
    parameters_initialize(&p, 42, values);
    parameters_initialize(&p, 42, again);
    assert_memory_equal(values, again, p.layout.total * sizeof *values);
    parameters_initialize(&p, 42 + (UINT64_C(1) << 32), again);
    assert_int_equal(p.layout.fields, count);
    size_t end = 0;
    for (int i = 0; i < count; i++) {
        const int number = layout_find(&p.layout, expected[i].name);
        if (number < 0) fail_msg("no field %s", expected[i].name);
        const Field *field = &p.layout.field[number];
        assert_int_equal(field->shape[0], expected[i].rows);
        assert_int_equal(field->dimensions, expected[i].columns ? 2 : 1);
        if (expected[i].columns) assert_int_equal(field->shape[1], expected[i].columns);
        check_values(field, values, expected[i].fan_in);
        assert_memory_not_equal(values + field->offset, again + field->offset, field->count * sizeof(float));
    }
    for (int i = 0; i < count; i++) { /* padding is zero */
        for (; end < p.layout.field[i].offset; end++) assert_true(values[end] == 0.0f);
        end = p.layout.field[i].offset + p.layout.field[i].count;
    }
    for (; end < p.layout.total; end++) assert_true(values[end] == 0.0f);
    free(values);
    free(again);
}

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static void test_rnn(void **state) {
    (void)state;
    const Expected expected[] = {
        {"sensor.fc1.weight", 128, 576, 576},   {"sensor.fc1.bias", 128, 0, 576},
        {"sensor.fc2.weight", 96, 2, 2},        {"sensor.fc2.bias", 96, 0, 2},
        {"sensor.fc3.weight", 256, 128, 128},   {"sensor.fc3.bias", 256, 0, 128},
        {"sensor.fc4.weight", 256, 96, 96},     {"sensor.fc4.bias", 256, 0, 96},
        {"rnn.i2h.weight", 256, 256, 256},      {"rnn.i2h.bias", 256, 0, 256},
        {"rnn.h2h.weight", 256, 256, 256},      {"rnn.h2h.bias", 256, 0, 256},
        {"locator.fc.weight", 64, 256, 256},    {"locator.fc.bias", 64, 0, 256},
        {"locator.fc_lt.weight", 2, 64, 64},    {"locator.fc_lt.bias", 2, 0, 64},
        {"baseliner.fc.weight", 1, 256, 256},   {"baseliner.fc.bias", 1, 0, 256},
        {"classifier.fc.weight", 10, 256, 256}, {"classifier.fc.bias", 10, 0, 256},
    };
    const Dims dims = default_dims(CORE_RNN, LOCATOR_MLP);
    check_layout(&dims, COUNT(expected), expected);
}

static void test_lstm_linear(void **state) {
    (void)state;
    const Expected expected[] = {
        {"sensor.fc1.weight", 128, 576, 576},   {"sensor.fc1.bias", 128, 0, 576},
        {"sensor.fc2.weight", 96, 2, 2},        {"sensor.fc2.bias", 96, 0, 2},
        {"sensor.fc3.weight", 256, 128, 128},   {"sensor.fc3.bias", 256, 0, 128},
        {"sensor.fc4.weight", 256, 96, 96},     {"sensor.fc4.bias", 256, 0, 96},
        {"rnn.weight_ih", 1024, 256, 256},      {"rnn.bias_ih", 1024, 0, 256},
        {"rnn.weight_hh", 1024, 256, 256},      {"rnn.bias_hh", 1024, 0, 256},
        {"locator.fc.weight", 2, 256, 256},     {"locator.fc.bias", 2, 0, 256},
        {"baseliner.fc.weight", 1, 256, 256},   {"baseliner.fc.bias", 1, 0, 256},
        {"classifier.fc.weight", 10, 256, 256}, {"classifier.fc.bias", 10, 0, 256},
    };
    const Dims dims = default_dims(CORE_LSTM, LOCATOR_LINEAR);
    check_layout(&dims, COUNT(expected), expected);
}

/* Dimensions that cannot be computed are refused in words; large ones that can be are not. */
static void test_dims_check(void **state) {
    (void)state;
    Dims dims = default_dims(CORE_RNN, LOCATOR_MLP);
    assert_int_equal(dims_check(&dims).code, RAM_OK);
    dims.retina.scales = 1;
    dims.retina.channels = 1;
    dims.retina.patch = 1024;
    assert_int_equal(dims_check(&dims).code, RAM_OK); /* 2^20 values */
    dims.retina.patch = 1025;
    assert_int_equal(dims_check(&dims).code, RAM_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rnn),
        cmocka_unit_test(test_lstm_linear),
        cmocka_unit_test(test_dims_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
