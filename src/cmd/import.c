#include "base/log.h"
#include "base/memory.h"
#include "cmd/commands.h"
#include "cmd/option_values.h"
#include "cmd/saved_model.h"
#include "config/text.h"
#include "model/infer.h"
#include "store/safetensors.h"
#include "train/saved_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPTION_OUTPUT = OWN_OPTION, OPTION_LAYOUT };

typedef struct {
    const char *output;
    WeightOrder order;
} Wanted;

static const struct argp_option OWN_OPTIONS[] = {
    {"output", OPTION_OUTPUT, "DIR", 0, "Folder for the checkpoint; it must not exist", 0},
    {"layout", OPTION_LAYOUT, "auto|out_in|in_out", 0,
     "How linear weights lie: as in PyTorch, or as in Paddle (default: as their shapes show)", 0},
    {0},
};

static Status take(void *input, int key, const char *value) {
    static const char ORDERS[] = "auto out_in in_out"; /* in the order of WeightOrder */
    Wanted *wanted = input;
    if (key == OPTION_OUTPUT) return option_take_path("output", value, &wanted->output);
    const int order = text_find_word(ORDERS, value);
    if (order < 0)
        return status_error(RAM_USAGE, "--layout is '%s': give auto, out_in or in_out", text_excerpt(value).text);
    wanted->order = (WeightOrder)order;
    return status_ok();
}

/* --- configuration */

/* What the file says of its model, as our own exports do; --config and --set win over it. */
static Status read_metadata(const Safetensors *file, Arguments *arguments, bool said[CONFIG_KEYS]) {
    for (int key = 0; key < CONFIG_KEYS; key++) {
        const char *name = config_key(key)->name, *text = safetensors_metadata(file, name);
        if (!text || !saved_model_takes_along(key) || arguments->given[key]) continue;
        Status status = config_set_value(&arguments->config, name, text, arguments->operand);
        if (status_failed(&status)) {
            status.code = RAM_DATA;
            return status;
        }
        said[key] = true;
    }
    return status_ok();
}

/* Sets what the weights show; the configuration and the file itself may say the same, but nothing else. */
static Status settle(Arguments *arguments, const bool said[CONFIG_KEYS], const char *name, const char *text) {
    const int key = config_find_key(name);
    char before[CONFIG_TEXT];
    config_get_text(&arguments->config, key, before, sizeof before);
    const bool differs = strcmp(before, text) != 0 && strcmp(before, "auto") != 0;
    if (arguments->given[key] && differs)
        return status_error(RAM_USAGE, "%s is given as %s, but these weights have %s", name, before, text);
    if (said[key] && differs)
        return status_error(RAM_DATA, "%s is %s in the metadata of %.300s, but its weights have %s", name, before,
                            arguments->operand, text);
    Status status = config_set_value(&arguments->config, name, text, "the weights");
    if (status_failed(&status)) status.code = RAM_DATA;
    return status;
}

static Status settle_all(Arguments *arguments, const bool said[CONFIG_KEYS], const Dims *dims) {
    const struct {
        const char *name;
        int value;
    } sizes[] = {{"model.patch", dims->retina.patch},
                 {"model.scales", dims->retina.scales},
                 {"model.hidden", dims->hidden},
                 {"model.glimpse_hidden", dims->glimpse_hidden},
                 {"model.location_hidden", dims->location_hidden},
                 {"model.locator_hidden", dims->locator_hidden},
                 {"data.classes", dims->classes}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", sizes[i].value);
        TRY(settle(arguments, said, sizes[i].name, text));
    }
    TRY(settle(arguments, said, "model.core", dims->core == CORE_LSTM ? "lstm" : "rnn"));
    TRY(settle(arguments, said, "model.locator", dims->locator == LOCATOR_LINEAR ? "linear" : "mlp"));
    return config_check(&arguments->config);
}

/* --- weights */

typedef struct {
    Dims dims;
    Parameters parameters;
    int place[LAYOUT_FIELDS];
    bool transposed[LAYOUT_FIELDS];
    char others[INFER_OTHERS]; /* retinas that fit as well */
    float *values;             /* (layout.total) */
} Model;

/* How many channels an export of ours says that the images have; 0: the file does not say. */
static Status read_channels(const Safetensors *file, const Arguments *arguments, int *channels) {
    const char *text = safetensors_metadata(file, SAVED_MODEL_CHANNELS);
    *channels = 0;
    if (!text) return status_ok();
    if (text[0] < '1' || text[0] > '0' + CHANNELS_MOST || text[1])
        return status_error(RAM_DATA, "%.300s: " SAVED_MODEL_CHANNELS " is '%s' in its metadata: 1 to %d are possible",
                            arguments->operand, text_excerpt(text).text, CHANNELS_MOST);
    *channels = text[0] - '0';
    return status_ok();
}

/* What an export of ours says; without it `auto` is measured when the model is first used. */
static Status take_normalisation(const Safetensors *file, const Arguments *arguments, Retina *retina) {
    const Config *config = &arguments->config;
    const char *text = safetensors_metadata(file, SAVED_MODEL_NORMALISATION);
    if (!text) return status_ok();
    for (int c = 0; c < retina->channels; c++) {
        retina->mean[c] = (float)config->data_mean;
        retina->stddev[c] = (float)config->data_stddev;
    }
    return normalisation_take(text, arguments->operand, config, retina);
}

static Status infer(const Safetensors *file, const Arguments *arguments, const bool said[CONFIG_KEYS],
                    WeightOrder order, Model *model) {
    const Config *config = &arguments->config;
    const int count = safetensors_count(file);
    const int patch = config_find_key("model.patch"), scales = config_find_key("model.scales");
    const bool *given = arguments->given;
    int channels;
    Config usual;
    config_default(&usual);
    TRY(read_channels(file, arguments, &channels));
    const InferHints hints = {.patch = said[patch] || given[patch] ? (int)config->model_patch : 0,
                              .scales = said[scales] || given[scales] ? (int)config->model_scales : 0,
                              .channels = channels,
                              .usual_patch = (int)usual.model_patch,
                              .usual_scales = (int)usual.model_scales,
                              .misfit = given[patch] || given[scales] ? RAM_USAGE : RAM_DATA};
    NamedShape *shape = memory_new((size_t)count + 1, sizeof *shape);
    for (int i = 0; i < count; i++) {
        const Tensor *tensor = safetensors_tensor(file, i);
        shape[i] = (NamedShape){tensor->name, tensor->dimensions, {tensor->shape[0], tensor->shape[1]}};
    }
    model->dims = (Dims){.glimpses = (int)config->model_glimpses,
                         .retina = {.scale = (int)config->model_scale, .height = 1, .width = 1},
                         .locator_hidden = (int)config->model_locator_hidden,
                         .sigma = (float)config->model_sigma};
    const Status status =
        infer_dims(count, shape, order, &hints, &model->dims, model->place, model->transposed, model->others);
    free(shape);
    if (!status_failed(&status)) return take_normalisation(file, arguments, &model->dims.retina);
    if (status.code != RAM_DATA) return status;
    return status_error(RAM_DATA, "%.300s: %.600s", arguments->operand, status.message);
}

static void transpose(const float *from, const Field *field, float *to) {
    const int64_t rows = field->shape[0], columns = field->shape[1];
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) to[r * columns + c] = from[c * rows + r];
}

static Status read_values(const Safetensors *file, Model *model) {
    const Layout *layout = &model->parameters.layout;
    void *memory;
    TRY(memory_new_for(layout->total * sizeof(float), &memory, "transposing parameters"));
    float *plain = memory;
    Status status = status_ok();
    for (int f = 0; f < layout->fields && !status_failed(&status); f++) {
        const Field *field = &layout->field[f];
        float *to = model->values + field->offset;
        const Tensor *tensor = safetensors_tensor(file, model->place[f]);
        status = safetensors_values(file, tensor, model->transposed[f] ? plain : to);
        if (model->transposed[f]) transpose(plain, field, to);
    }
    free(plain);
    return status;
}

/* --- the checkpoint */

/* A training that has not begun, with these weights. @collective */
static Status save(const Session *session, const Wanted *wanted, const Model *model) {
    const Config *config = &session->arguments.config;
    Experiment experiment = {.config = *config, .comm = session->comm, .threads = 1};
    const BackendOptions options = {.device = DEVICE_CPU, .threads = 1};
    Optimizer optimizer;
    Provenance provenance;
    SavedState state = saved_state_start();
    TRY(comm_agree(session->comm, backend_open(&options, &experiment.backend)));
    ram_open(&experiment.ram, experiment.backend, &model->dims);
    optimizer_open(&optimizer, experiment.backend, config, (int64_t)model->parameters.layout.total, model->values);
    session_provenance(session, &experiment, &provenance);
    provenance.data_hashes[0] = '\0'; /* which images these weights have seen is not known, */
    provenance.products[0] = '\0';    /* nor what computed them */
    Status status = saved_state_room(&experiment, &optimizer);
    if (!status_failed(&status))
        status = saved_state_save(&experiment, wanted->output, &state, &optimizer, &provenance);
    if (status_failed(&status) && comm_rank(session->comm) == 0)
        rmdir(wanted->output); /* ours, where it is empty: in the way of another try */
    optimizer_close(&optimizer);
    ram_close(&experiment.ram);
    backend_close(experiment.backend);
    return status;
}

static void tell(const Config *config, const Wanted *wanted, const Model *model) {
    const Dims *dims = &model->dims;
    char mean[CONFIG_TEXT], stddev[CONFIG_TEXT], channels[32] = "";
    if (dims->retina.channels > 1) snprintf(channels, sizeof channels, " with %d channels", dims->retina.channels);
    config_get_text(config, config_find_key("data.mean"), mean, sizeof mean);
    config_get_text(config, config_find_key("data.stddev"), stddev, sizeof stddev);
    log_info("%zu parameters: %s core of %d, %s locator, %d scale%s of %d x %d%s, %d classes",
             layout_elements(&model->parameters.layout), dims->core == CORE_LSTM ? "lstm" : "rnn", dims->hidden,
             dims->locator == LOCATOR_LINEAR ? "linear" : "two-layer", dims->retina.scales,
             dims->retina.scales == 1 ? "" : "s", dims->retina.patch, dims->retina.patch, channels, dims->classes);
    log_info(
        "taken as configured, having no shape: %d glimpses, sigma %g, starts within %g, scale %d, mean %s, stddev %s",
        dims->glimpses, (double)dims->sigma, config->model_start, dims->retina.scale, mean, stddev);
    if (*model->others)
        log_warning("%d scale%s of %d x %d, as is usual, but these fit the inputs of sensor.fc1.weight too: %s; say "
                    "which with --set model.scales=K --set model.patch=G",
                    dims->retina.scales, dims->retina.scales == 1 ? "" : "s", dims->retina.patch, dims->retina.patch,
                    model->others);
    log_info("checkpoint: %s/step-00000000; `ram_dist eval %s` measures it, `ram_dist train --resume %s --run-dir DIR` "
             "goes on from it",
             wanted->output, wanted->output, wanted->output);
}

static Status check_line(const Arguments *arguments, const Wanted *wanted) {
    if (!arguments->operand || !wanted->output)
        return status_error(RAM_USAGE, "import needs a file and a folder: ram_dist import F.safetensors --output DIR");
    return option_check_new("output", wanted->output);
}

/* Settles configuration and weights; not collective. */
static Status read_model(Arguments *arguments, const Wanted *wanted, const Safetensors *file, Model *model) {
    bool said[CONFIG_KEYS] = {false};
    TRY(read_metadata(file, arguments, said));
    TRY(infer(file, arguments, said, wanted->order, model));
    TRY(settle_all(arguments, said, &model->dims));
    TRY(dims_check(&model->dims));
    parameters_define(&model->dims, &model->parameters);
    void *values;
    TRY(memory_new_for(model->parameters.layout.total * sizeof(float), &values, "holding parameters"));
    model->values = values;
    return read_values(file, model);
}

/* @collective */
static Status import(Session *session, const Wanted *wanted) {
    Safetensors *file = NULL;
    Model model = {.values = NULL};
    TRY(comm_agree(session->comm, check_line(&session->arguments, wanted)));
    TRY(comm_agree(session->comm, safetensors_open(session->arguments.operand, &file)));
    Status status = comm_agree(session->comm, read_model(&session->arguments, wanted, file, &model));
    if (!status_failed(&status)) status = save(session, wanted, &model);
    if (!status_failed(&status)) tell(&session->arguments.config, wanted, &model);
    free(model.values);
    safetensors_close(file);
    return status;
}

int command_import(int argc, char **argv) {
    Wanted wanted = {.order = ORDER_AUTO};
    const ArgumentsSpec spec = {
        .command = "import",
        .summary = "Makes a checkpoint of weights in a safetensors file, named as RAM implementations name them. "
                   "Dimensions come from the shapes; what shapes cannot tell comes from --set, --config or the file's "
                   "own metadata: model.glimpses, model.sigma, model.start, model.scale, data.mean, data.stddev, and "
                   "model.patch and model.scales where several fit.",
        .operand = "FILE.safetensors",
        .own = OWN_OPTIONS,
        .take = take,
        .input = &wanted,
    };
    Session session;
    int code;
    if (!session_open(&session, &spec, argc, argv, &code)) return code;
    return session_close(&session, import(&session, &wanted));
}
