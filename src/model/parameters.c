#include "model/parameters.h"
#include "base/log.h"
#include "base/philox.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { GLIMPSE_MOST = 1 << 20 };

int dims_glimpse(const Dims *dims) {
    const Retina *retina = &dims->retina;
    return retina->scales * retina->channels * retina->patch * retina->patch;
}

Status dims_check(const Dims *dims) {
    const Retina *retina = &dims->retina;
    require(retina->channels <= CHANNELS_MOST);
    if ((int64_t)retina->scales * retina->channels * retina->patch * retina->patch <= GLIMPSE_MOST) return status_ok();
    return status_error(RAM_USAGE, "a glimpse would have more than %d values: lower model.patch or model.scales",
                        GLIMPSE_MOST);
}

/* `weight` and `bias` complete `prefix`, e.g. "sensor.fc1" + ".weight". */
static Linear define(Layout *layout, const char *prefix, const char *weight, const char *bias, int out, int in) {
    char name[LAYOUT_NAME];
    Linear linear = {.out = out, .in = in};
    snprintf(name, sizeof name, "%s.%s", prefix, weight);
    linear.weight = layout_add(layout, name, out, in);
    snprintf(name, sizeof name, "%s.%s", prefix, bias);
    linear.bias = layout_add(layout, name, out, 0);
    return linear;
}

void parameters_define(const Dims *dims, Parameters *p) {
    Layout *layout = &p->layout;
    const int H = dims->hidden;
    memset(p, 0, sizeof *p);
    p->fc1 = define(layout, "sensor.fc1", "weight", "bias", dims->glimpse_hidden, dims_glimpse(dims));
    p->fc2 = define(layout, "sensor.fc2", "weight", "bias", dims->location_hidden, 2);
    p->fc3 = define(layout, "sensor.fc3", "weight", "bias", H, dims->glimpse_hidden);
    p->fc4 = define(layout, "sensor.fc4", "weight", "bias", H, dims->location_hidden);
    if (dims->core == CORE_LSTM) {
        p->input = define(layout, "rnn", "weight_ih", "bias_ih", 4 * H, H);
        p->recurrent = define(layout, "rnn", "weight_hh", "bias_hh", 4 * H, H);
    } else {
        p->input = define(layout, "rnn.i2h", "weight", "bias", H, H);
        p->recurrent = define(layout, "rnn.h2h", "weight", "bias", H, H);
    }
    if (dims->locator == LOCATOR_MLP) {
        p->locator = define(layout, "locator.fc", "weight", "bias", dims->locator_hidden, H);
        p->location = define(layout, "locator.fc_lt", "weight", "bias", 2, dims->locator_hidden);
    } else {
        p->location = define(layout, "locator.fc", "weight", "bias", 2, H);
    }
    p->baseliner = define(layout, "baseliner.fc", "weight", "bias", 1, H);
    p->classifier = define(layout, "classifier.fc", "weight", "bias", dims->classes, H);
}

static void initialize_field(const Layout *layout, int number, int fan_in, uint64_t seed, float *values) {
    const Field *field = &layout->field[number];
    const float bound = 1.0f / sqrtf((float)fan_in);
    DrawKey key = {.seed = seed, .purpose = DRAW_WEIGHTS, .sample = (uint32_t)number};
    for (size_t i = 0; i < field->count; i += 4) {
        /* a block's number has 24 bits; larger fields go on in the next epoch's */
        key.epoch = (uint32_t)(i / 4 >> 24);
        const philox4x32_ctr_t block = philox_block(key, (uint32_t)(i / 4 & 0xffffff));
        for (size_t j = 0; j < 4 && i + j < field->count; j++)
            values[field->offset + i + j] = bound * philox_signed(block.v[j]);
    }
}

void parameters_initialize(const Parameters *parameters, uint64_t seed, float *values) {
    const Linear *layers[] = {&parameters->fc1,      &parameters->fc2,       &parameters->fc3,
                              &parameters->fc4,      &parameters->input,     &parameters->recurrent,
                              &parameters->location, &parameters->baseliner, &parameters->classifier,
                              &parameters->locator};
    const int count = sizeof layers / sizeof *layers - (parameters->locator.out == 0);
    memset(values, 0, parameters->layout.total * sizeof *values);
    for (int i = 0; i < count; i++) {
        initialize_field(&parameters->layout, layers[i]->weight, layers[i]->in, seed, values);
        initialize_field(&parameters->layout, layers[i]->bias, layers[i]->in, seed, values);
    }
}
