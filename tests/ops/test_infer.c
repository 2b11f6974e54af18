/* The dimensions of a RAM from names and shapes alone, at the ends of what is allowed and beyond; what is said where
 * shapes leave something open or contradict each other. */
#include "model/infer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* A file's tensors, and what is found in them. */
typedef struct {
    Parameters parameters;
    NamedShape tensor[LAYOUT_FIELDS];
    int tensors;
    Dims found;
    int place[LAYOUT_FIELDS];
    bool transposed[LAYOUT_FIELDS];
    char others[INFER_OTHERS];
} Case;

static const InferHints NONE = {.usual_patch = 8, .usual_scales = 1, .misfit = RAM_USAGE};

static Dims dims_of(int patch, int scales, int channels) {
    return (Dims){.retina = {.patch = patch, .scales = scales, .channels = channels},
                  .classes = 5,
                  .hidden = 16,
                  .glimpse_hidden = 11,
                  .location_hidden = 12,
                  .locator_hidden = 13,
                  .core = CORE_RNN,
                  .locator = LOCATOR_MLP};
}

/* The tensors of such a RAM, the last one first; matrices as Paddle has them where `swapped`. */
static void make(Case *made, Dims dims, bool swapped) {
    made->tensors = 0;
    parameters_define(&dims, &made->parameters);
    const Layout *layout = &made->parameters.layout;
    for (int f = layout->fields - 1; f >= 0; f--) {
        const Field *field = &layout->field[f];
        NamedShape *tensor = &made->tensor[made->tensors++];
        *tensor = (NamedShape){field->name, field->dimensions, {field->shape[0], field->shape[1]}};
        if (!swapped || field->dimensions < 2 || strncmp(field->name, "rnn.weight_", 11) == 0) continue;
        tensor->shape[0] = field->shape[1];
        tensor->shape[1] = field->shape[0];
    }
}

static NamedShape *tensor_of(Case *made, const char *name) {
    return &made->tensor[made->tensors - 1 - layout_find(&made->parameters.layout, name)];
}

static Status infer(Case *made, WeightOrder order, InferHints hints) {
    made->found = (Dims){.glimpses = 7};
    return infer_dims(made->tensors, made->tensor, order, &hints, &made->found, made->place, made->transposed,
                      made->others);
}

static void assert_finds(Dims dims, bool swapped, InferHints hints, const char *others) {
    Case made;
    make(&made, dims, swapped);
    const Status status = infer(&made, ORDER_AUTO, hints);
    assert_string_equal(status.message, "");
    assert_string_equal(made.others, others);
    dims.glimpses = 7; /* all that shapes do not tell is left alone */
    assert_memory_equal(&made.found.retina, &dims.retina, sizeof dims.retina);
    assert_int_equal(made.found.classes, dims.classes);
    assert_int_equal(made.found.hidden, dims.hidden);
    assert_int_equal(made.found.glimpse_hidden, dims.glimpse_hidden);
    assert_int_equal(made.found.location_hidden, dims.location_hidden);
    if (dims.locator == LOCATOR_MLP) assert_int_equal(made.found.locator_hidden, dims.locator_hidden);
    assert_true(made.found.core == dims.core && made.found.locator == dims.locator && made.found.glimpses == 7);
    for (int f = 0; f < made.parameters.layout.fields; f++) {
        const Field *field = &made.parameters.layout.field[f];
        const bool turned = swapped && field->dimensions == 2 && strncmp(field->name, "rnn.weight_", 11) != 0;
        assert_int_equal(made.place[f], made.tensors - 1 - f);
        assert_int_equal(made.transposed[f], turned);
    }
}

static void assert_refuses(Case *made, WeightOrder order, InferHints hints, ExitCode code, const char *words) {
    const Status status = infer(made, order, hints);
    assert_int_equal(status.code, code);
    if (!strstr(status.message, words)) fail_msg("'%s' does not say '%s'", status.message, words);
}

static void test_every_kind(void **state) {
    (void)state;
    for (int i = 0; i < 8; i++) {
        Dims dims = dims_of(7, 1, 1);
        dims.core = i & 1 ? CORE_LSTM : CORE_RNN;
        dims.locator = i & 2 ? LOCATOR_LINEAR : LOCATOR_MLP;
        assert_finds(dims, i & 4, NONE, "");
    }
    Dims square = dims_of(7, 1, 1); /* the square ones among others lie as these do */
    square.hidden = square.glimpse_hidden = square.location_hidden = square.locator_hidden = 16;
    assert_finds(square, true, NONE, "");
}

/* As large as a configuration allows, and one more. */
static void test_largest(void **state) {
    (void)state;
    InferHints hints = NONE;
    Dims dims = dims_of(256, 8, 1);
    hints.scales = 8;
    assert_finds(dims, false, hints, "");
    dims = dims_of(257, 1, 1);
    Case made;
    make(&made, dims, false);
    assert_refuses(&made, ORDER_AUTO, NONE, RAM_DATA, "no number of square patches;");
    dims = dims_of(7, 9, 1);
    make(&made, dims, false);
    hints = NONE;
    hints.patch = 7; /* else it is one of 21 x 21, or of three channels */
    hints.channels = 1;
    assert_refuses(&made, ORDER_AUTO, hints, RAM_USAGE, "no number of square patches of the size given;");
    dims = dims_of(7, 1, 1);
    dims.hidden = 8192;
    assert_finds(dims, false, NONE, "");
    dims.hidden = 8193;
    make(&made, dims, false);
    assert_refuses(&made, ORDER_AUTO, NONE, RAM_DATA, "'sensor.fc3.bias' is not a vector of 1 to 8192 elements");
    dims = dims_of(7, 1, 1);
    make(&made, dims, false);
    tensor_of(&made, "sensor.fc2.bias")->shape[0] = 0;
    assert_refuses(&made, ORDER_AUTO, NONE, RAM_DATA, "'sensor.fc2.bias' is not a vector of 1 to 8192 elements");
    make(&made, dims, false);
    tensor_of(&made, "sensor.fc1.weight")->shape[1] = 0;
    assert_refuses(&made, ORDER_AUTO, NONE, RAM_DATA, "has 0 inputs, which is no number of square patches");
}

/* 768 inputs: three channels of 16 x 16 or four scales of 8 x 8 with three, 3 scales of 16 x 16 with one. */
static void test_retinas(void **state) {
    (void)state;
    InferHints hints = NONE;
    Case made;
    make(&made, dims_of(16, 3, 1), false);
    assert_refuses(&made, ORDER_AUTO, hints, RAM_USAGE,
                   "as many scales and patches as 3 of 16 x 16, 1 of 16 x 16 with 3 channels, 4 of 8 x 8 with 3 "
                   "channels: say which with --set model.scales=K --set model.patch=G");
    hints.channels = 3; /* the usual size is taken where the channels are known */
    hints.usual_scales = 4;
    assert_finds(dims_of(8, 4, 3), false, hints, "1 of 16 x 16 with 3 channels");
    hints = NONE;
    hints.patch = 16; /* what is known of the size is no reason to guess the rest, though it be usual */
    hints.usual_patch = 16;
    hints.usual_scales = 3;
    assert_refuses(&made, ORDER_AUTO, hints, RAM_USAGE, "3 of 16 x 16, 1 of 16 x 16 with 3 channels: say");
    hints.scales = 3;
    assert_finds(dims_of(16, 3, 1), false, hints, "");
    hints.misfit = RAM_DATA;
    hints.scales = 2;
    assert_refuses(&made, ORDER_AUTO, hints, RAM_DATA, "no number of square patches of the size given");
    hints = NONE;
    hints.scales = 1; /* two channels are rare, and the only ones that fit */
    assert_finds(dims_of(7, 1, 2), false, hints, "");
    hints = NONE;
    hints.usual_patch = 4;
    hints.usual_scales = 4;
    assert_finds(dims_of(4, 4, 1), false, hints, "1 of 8 x 8"); /* the usual one need not be the first */
}

/* Shapes that show no order, or two. */
static void test_orders(void **state) {
    (void)state;
    Case made;
    make(&made, dims_of(7, 1, 1), true);
    assert_refuses(&made, ORDER_OUT_IN, NONE, RAM_DATA, "lies [in, out], against --layout");
    NamedShape *weight = tensor_of(&made, "classifier.fc.weight");
    *weight = (NamedShape){weight->name, 2, {5, 16}};
    assert_refuses(&made, ORDER_AUTO, NONE, RAM_DATA,
                   "tensor 'classifier.fc.weight' lies [out, in], against baseliner.fc.weight");
}

/* A tensor too many, one of other dimensions, and one that is longer than it should be. */
static void test_misfits(void **state) {
    (void)state;
    Case made;
    make(&made, dims_of(7, 1, 1), false);
    NamedShape *tensor = tensor_of(&made, "rnn.h2h.bias");
    const NamedShape good = *tensor;
    *tensor = (NamedShape){good.name, 1, {17}};
    assert_refuses(&made, ORDER_AUTO, NONE, RAM_DATA, "'rnn.h2h.bias' is of 17 where the other tensors want it of 16");
    *tensor = (NamedShape){good.name, 2, {16, 1}};
    assert_refuses(&made, ORDER_AUTO, NONE, RAM_DATA, "is 16 x 1 where the other tensors want it of 16");
    *tensor = (NamedShape){good.name, 3, {16, 1}};
    assert_refuses(&made, ORDER_AUTO, NONE, RAM_DATA, "is neither a matrix nor a vector where");
    *tensor = good;
    made.tensor[made.tensors++] = (NamedShape){"baseliner.fc.more", 1, {1}};
    assert_refuses(&made, ORDER_AUTO, NONE, RAM_DATA, "'baseliner.fc.more' is none of this RAM's");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_kind), cmocka_unit_test(test_largest),
                                       cmocka_unit_test(test_retinas), cmocka_unit_test(test_orders),
                                       cmocka_unit_test(test_misfits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
