#include "base/log.h"
#include "base/memory.h"
#include "base/version.h"
#include "cmd/commands.h"
#include "cmd/option_values.h"
#include "cmd/saved_model.h"
#include "config/text.h"
#include "store/inspect.h"
#include "store/plain_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_FORMAT = OWN_OPTION, OPTION_OUTPUT };

typedef struct {
    int format; /* a PlainFormat, or BY_ENDING */
    const char *output;
} Wanted;

enum { BY_ENDING = -1 };

static const struct argp_option OWN_OPTIONS[] = {
    {"format", OPTION_FORMAT, "safetensors|hdf5", 0,
     "What to write (default: hdf5 where FILE ends in .h5 or .hdf5, else safetensors)", 0},
    {"output", OPTION_OUTPUT, "FILE", 0, "The file to write; it must not exist", 0},
    {0},
};

static Status take(void *input, int key, const char *value) {
    static const char FORMATS[] = "safetensors hdf5"; /* in the order of PlainFormat */
    Wanted *wanted = input;
    if (key == OPTION_OUTPUT) return option_take_path("output", value, &wanted->output);
    const int format = text_find_word(FORMATS, value);
    if (format < 0)
        return status_error(RAM_USAGE, "--format is '%s': give safetensors or hdf5", text_excerpt(value).text);
    wanted->format = format;
    return status_ok();
}

static PlainFormat find_format(const Wanted *wanted) {
    const char *ending = strrchr(wanted->output, '.');
    if (wanted->format != BY_ENDING) return (PlainFormat)wanted->format;
    const bool hdf5 = ending && (strcmp(ending, ".h5") == 0 || strcmp(ending, ".hdf5") == 0);
    return hdf5 ? PLAIN_HDF5 : PLAIN_SAFETENSORS;
}

/* Rank 0. */
static Status write_file(const Wanted *wanted, const Layout *layout, const float *values, const Config *config,
                         const char *normalisation) {
    char channels[16];
    PlainFact fact[CONFIG_KEYS + 4] = {
        {"format", "pt"}, {"ram_dist", version_number()}, {SAVED_MODEL_CHANNELS, channels}};
    ConfigTexts *texts = memory_new(1, sizeof *texts);
    int facts = 3;
    if (*normalisation) fact[facts++] = (PlainFact){SAVED_MODEL_NORMALISATION, normalisation};
    snprintf(channels, sizeof channels, "%lld", (long long)saved_model_channels(layout, config));
    for (int key = 0; key < CONFIG_KEYS; key++) {
        if (!saved_model_takes_along(key)) continue;
        config_get_text(config, key, texts->text[key], CONFIG_TEXT);
        fact[facts++] = (PlainFact){config_key(key)->name, texts->text[key]};
    }
    const Status status = plain_file_write(wanted->output, find_format(wanted), layout, values, facts, fact);
    free(texts);
    return status;
}

/* @collective */
static Status export_checkpoint(const Session *session, const Wanted *wanted, const Checkpoint *checkpoint) {
    const char *group = saved_state_evaluated(checkpoint);
    Config config;
    Layout layout;
    char normalisation[NORMALISATION_TEXT];
    TRY(comm_agree(session->comm, saved_state_read_config(checkpoint, &config)));
    TRY(comm_agree(session->comm, saved_state_normalisation(checkpoint, normalisation)));
    TRY(comm_agree(session->comm, inspect_layout(checkpoint, group, &layout)));
    float *values = memory_new(layout.total, sizeof *values);
    const StoreVector vector = {group, values};
    Status status = checkpoint_read_vectors(session->comm, checkpoint, &layout, 1, &vector);
    if (!status_failed(&status) && comm_rank(session->comm) == 0)
        status = write_file(wanted, &layout, values, &config, normalisation);
    status = comm_agree(session->comm, status);
    if (!status_failed(&status))
        log_info("%s: %d tensors of step %lld%s", wanted->output, layout.fields, (long long)checkpoint_step(checkpoint),
                 strcmp(group, "param") == 0 ? "" : ", the weight average, as eval measures it");
    free(values);
    return status;
}

static Status check_output(const Wanted *wanted) {
    if (!wanted->output) return status_error(RAM_USAGE, "export needs --output FILE");
    return option_check_new("output", wanted->output);
}

/* @collective */
static Status export_model(Session *session, const Wanted *wanted) {
    char path[FILE_PATH];
    Checkpoint *checkpoint;
    TRY(comm_agree(session->comm, check_output(wanted)));
    TRY(saved_model_find(session, session->arguments.operand, path));
    TRY(checkpoint_open(session->comm, path, &checkpoint));
    const Status status = export_checkpoint(session, wanted, checkpoint);
    checkpoint_close(checkpoint);
    return status;
}

int command_export(int argc, char **argv) {
    Wanted wanted = {.format = BY_ENDING};
    const ArgumentsSpec spec = {
        .command = "export",
        .summary = "Writes a checkpoint's parameters, as eval measures them, to one plain file: safetensors for "
                   "PyTorch and others, or HDF5. A run folder stands for its best model.",
        .operand = "RUN|CHECKPOINT",
        .own = OWN_OPTIONS,
        .take = take,
        .input = &wanted,
    };
    Session session;
    int code;
    if (!session_open(&session, &spec, argc, argv, &code)) return code;
    return session_close(&session, export_model(&session, &wanted));
}
