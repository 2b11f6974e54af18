#include "model/infer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SCALES_MOST = 8, PATCH_MOST = 256, SIZE_MOST = 8192 /* as configuration allows */, QUOTED = 64 };

typedef struct {
    int tensors;
    const NamedShape *tensor;
} Shapes;

static int find(const Shapes *shapes, const char *name) {
    for (int i = 0; i < shapes->tensors; i++)
        if (strcmp(shapes->tensor[i].name, name) == 0) return i;
    return -1;
}

/* A bias tells how many outputs its layer has, whichever way the weight lies. */
static Status outputs_of(const Shapes *shapes, const char *bias, int *outputs) {
    const int at = find(shapes, bias);
    if (at < 0)
        return status_error(RAM_DATA,
                            "there is no tensor '%s': not the weights of a RAM under the usual names (README, Weights "
                            "in and out)",
                            bias);
    const NamedShape *tensor = &shapes->tensor[at];
    if (tensor->dimensions != 1 || tensor->shape[0] < 1 || tensor->shape[0] > SIZE_MOST)
        return status_error(RAM_DATA, "tensor '%s' is not a vector of 1 to %d elements", bias, SIZE_MOST);
    *outputs = (int)tensor->shape[0];
    return status_ok();
}

/* --- the retina */

typedef struct {
    int patch, scales, channels;
} Sensor;

enum { SENSORS_MOST = CHANNELS_MOST * SCALES_MOST };

/* Adds all retinas of so many channels whose output has `features` values, as far as the hints allow. */
static void add_sensors(int64_t features, int channels, const InferHints *hints, Sensor list[SENSORS_MOST],
                        int *count) {
    if (hints->channels && hints->channels != channels) return;
    for (int scales = 1; scales <= SCALES_MOST; scales++) {
        const int64_t square = features / (channels * scales), side = (int64_t)llround(sqrt((double)square));
        if (side * side * channels * scales != features || side < 1 || side > PATCH_MOST) continue;
        if ((hints->scales && hints->scales != scales) || (hints->patch && hints->patch != side)) continue;
        list[(*count)++] = (Sensor){(int)side, scales, channels};
    }
}

/* The retinas that fit: of grey or coloured images, else of those with another number of channels. */
static int list_sensors(int64_t features, const InferHints *hints, Sensor list[SENSORS_MOST]) {
    int count = 0;
    add_sensors(features, 1, hints, list, &count);
    add_sensors(features, 3, hints, list, &count);
    if (count > 0) return count;
    add_sensors(features, 2, hints, list, &count);
    add_sensors(features, 4, hints, list, &count);
    return count;
}

/* All of the list but `omitted`. */
static void write_choices(int count, const Sensor *list, int omitted, char text[INFER_OTHERS]) {
    *text = '\0';
    for (int i = 0, used = 0; i < count && used < INFER_OTHERS - 56; i++) {
        if (i == omitted) continue;
        used += snprintf(text + used, INFER_OTHERS - (size_t)used, "%s%d of %d x %d", used ? ", " : "", list[i].scales,
                         list[i].patch, list[i].patch);
        if (list[i].channels > 1)
            used += snprintf(text + used, INFER_OTHERS - (size_t)used, " with %d channels", list[i].channels);
    }
}

/* The usual one of the list where nothing is known of it, else -1. */
static int find_usual(int count, const Sensor *list, const InferHints *hints) {
    for (int i = 0; i < count && !hints->patch && !hints->scales; i++)
        if (list[i].patch == hints->usual_patch && list[i].scales == hints->usual_scales &&
            (list[i].channels == 1 || hints->channels))
            return i;
    return -1;
}

static Status choose_sensor(int64_t features, const InferHints *hints, Sensor *sensor, char others[INFER_OTHERS]) {
    Sensor list[SENSORS_MOST];
    char choices[INFER_OTHERS];
    const bool hinted = hints->patch || hints->scales || hints->channels;
    const int count = list_sensors(features, hints, list), usual = count > 1 ? find_usual(count, list, hints) : 0;
    if (count == 0)
        return status_error(
            hinted ? hints->misfit : RAM_DATA,
            "sensor.fc1.weight has %lld inputs, which is no number of square patches%s; set model.patch "
            "and model.scales as they were in training",
            (long long)features, hinted ? " of the size given" : "");
    write_choices(count, list, usual, choices);
    if (usual < 0)
        return status_error(RAM_USAGE,
                            "sensor.fc1.weight has %lld inputs, which may be as many scales and patches as %s: say "
                            "which with --set model.scales=K --set model.patch=G",
                            (long long)features, choices);
    *sensor = list[usual];
    if (count > 1) snprintf(others, INFER_OTHERS, "%s", choices);
    return status_ok();
}

/* --- fields */

static Status describe_mismatch(const NamedShape *tensor, const Field *field) {
    char is[64] = "neither a matrix nor a vector", wanted[64];
    if (tensor->dimensions == 1) snprintf(is, sizeof is, "of %lld", (long long)tensor->shape[0]);
    if (tensor->dimensions == 2)
        snprintf(is, sizeof is, "%lld x %lld", (long long)tensor->shape[0], (long long)tensor->shape[1]);
    if (field->dimensions == 1) snprintf(wanted, sizeof wanted, "of %lld", (long long)field->shape[0]);
    if (field->dimensions == 2)
        snprintf(wanted, sizeof wanted, "%lld x %lld", (long long)field->shape[0], (long long)field->shape[1]);
    return status_error(RAM_DATA, "tensor '%s' is %s where the other tensors want it %s", field->name, is, wanted);
}

/* Which order the tensor's shape shows for the field; ORDER_AUTO where it shows none, being square. */
static Status order_of(const NamedShape *tensor, const Field *field, WeightOrder *order) {
    const int64_t *is = tensor->shape, *wanted = field->shape;
    *order = ORDER_AUTO;
    if (tensor->dimensions != field->dimensions) return describe_mismatch(tensor, field);
    if (field->dimensions == 1) return is[0] == wanted[0] ? status_ok() : describe_mismatch(tensor, field);
    const bool same = is[0] == wanted[0] && is[1] == wanted[1], swapped = is[0] == wanted[1] && is[1] == wanted[0];
    if (!same && !swapped) return describe_mismatch(tensor, field);
    if (same != swapped) *order = same ? ORDER_OUT_IN : ORDER_IN_OUT;
    return status_ok();
}

/* LSTM cells lie alike everywhere, whatever the order of the linear layers. */
static bool is_cell(const Field *field) { return strncmp(field->name, "rnn.weight_", 11) == 0; }

/* Settles the order of the linear layers by what their shapes show and the caller says. */
static Status settle_order(const Layout *layout, const WeightOrder shown[LAYOUT_FIELDS], WeightOrder *order) {
    const char *by = "--layout";
    for (int f = 0; f < layout->fields; f++) {
        const Field *field = &layout->field[f];
        if (shown[f] == ORDER_AUTO || is_cell(field)) continue;
        if (*order != ORDER_AUTO && *order != shown[f])
            return status_error(RAM_DATA, "tensor '%s' lies [%s], against %s", field->name,
                                shown[f] == ORDER_OUT_IN ? "out, in" : "in, out", by);
        *order = shown[f];
        by = field->name;
    }
    if (*order == ORDER_AUTO)
        return status_error(RAM_USAGE,
                            "all weights are square, so shapes do not tell how they lie: give --layout out_in "
                            "(PyTorch) or --layout in_out (Paddle)");
    return status_ok();
}

static Status fit_fields(const Shapes *shapes, WeightOrder order, const Layout *layout, int place[LAYOUT_FIELDS],
                         bool transposed[LAYOUT_FIELDS]) {
    WeightOrder shown[LAYOUT_FIELDS];
    for (int f = 0; f < layout->fields; f++) {
        const Field *field = &layout->field[f];
        place[f] = find(shapes, field->name);
        if (place[f] < 0) return status_error(RAM_DATA, "there is no tensor '%s'", field->name);
        TRY(order_of(&shapes->tensor[place[f]], field, &shown[f]));
    }
    for (int i = 0; i < shapes->tensors; i++)
        if (layout_find(layout, shapes->tensor[i].name) < 0)
            return status_error(RAM_DATA, "tensor '%.*s' is none of this RAM's: export its weights alone", QUOTED,
                                shapes->tensor[i].name);
    TRY(settle_order(layout, shown, &order));
    for (int f = 0; f < layout->fields; f++) {
        const WeightOrder lies = shown[f] != ORDER_AUTO ? shown[f] : order;
        transposed[f] = layout->field[f].dimensions == 2 && lies == ORDER_IN_OUT;
    }
    return status_ok();
}

/* Inputs of fc1: the side of its weight that is not its outputs. */
static Status inputs_of_sensor(const Shapes *shapes, int outputs, int64_t *inputs) {
    const int at = find(shapes, "sensor.fc1.weight");
    if (at < 0) return status_error(RAM_DATA, "there is no tensor 'sensor.fc1.weight'");
    const NamedShape *weight = &shapes->tensor[at];
    if (weight->dimensions != 2 || (weight->shape[0] != outputs && weight->shape[1] != outputs))
        return status_error(RAM_DATA, "tensor 'sensor.fc1.weight' is no matrix with a side of %d, as its bias has",
                            outputs);
    *inputs = weight->shape[0] == outputs ? weight->shape[1] : weight->shape[0];
    return status_ok();
}

Status infer_dims(int tensors, const NamedShape *tensor, WeightOrder order, const InferHints *hints, Dims *dims,
                  int place[LAYOUT_FIELDS], bool transposed[LAYOUT_FIELDS], char others[INFER_OTHERS]) {
    const Shapes shapes = {tensors, tensor};
    Parameters parameters;
    Sensor sensor = {0};
    int64_t features = 0;
    *others = '\0';
    dims->core = find(&shapes, "rnn.weight_ih") >= 0 ? CORE_LSTM : CORE_RNN;
    dims->locator = find(&shapes, "locator.fc_lt.weight") >= 0 ? LOCATOR_MLP : LOCATOR_LINEAR;
    TRY(outputs_of(&shapes, "sensor.fc1.bias", &dims->glimpse_hidden));
    TRY(outputs_of(&shapes, "sensor.fc2.bias", &dims->location_hidden));
    TRY(outputs_of(&shapes, "sensor.fc3.bias", &dims->hidden));
    if (dims->locator == LOCATOR_MLP) TRY(outputs_of(&shapes, "locator.fc.bias", &dims->locator_hidden));
    TRY(outputs_of(&shapes, "classifier.fc.bias", &dims->classes));
    TRY(inputs_of_sensor(&shapes, dims->glimpse_hidden, &features));
    TRY(choose_sensor(features, hints, &sensor, others));
    dims->retina.patch = sensor.patch;
    dims->retina.scales = sensor.scales;
    dims->retina.channels = sensor.channels;
    parameters_define(dims, &parameters);
    return fit_fields(&shapes, order, &parameters.layout, place, transposed);
}
