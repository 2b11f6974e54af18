#include "base/log.h"
#include "base/memory.h"
#include "cmd/commands.h"
#include "cmd/option_values.h"
#include "cmd/saved_model.h"
#include "store/samples.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_TASK = OWN_OPTION, OPTION_EXPORT, OPTION_COUNT, OPTION_SPLIT, OPTION_EPOCH };
enum { COUNT = 1000, FACTS = 32 };

typedef struct {
    const char *task, *output;
    int64_t count, epoch;
    Split split;
} Wanted;

static const struct argp_option OWN_OPTIONS[] = {
    {"task", OPTION_TASK, "mnist|translated|cluttered", 0, "What to draw: the same as --set data.task=...", 0},
    {"export", OPTION_EXPORT, "FILE", 0, "The HDF5 file to write; it must not exist", 0},
    {"count", OPTION_COUNT, "N", 0, "How many samples, the first of the split (default: 1000)", 0},
    {"split", OPTION_SPLIT, "train|validation|test", 0, "Which samples (default: test)", 0},
    {"epoch", OPTION_EPOCH, "N", 0, "Training samples as this epoch shows them (default: 1)", 0},
    {0},
};

static Status take(void *input, int key, const char *value) {
    Wanted *wanted = input;
    switch (key) {
    case OPTION_TASK:
        wanted->task = value;
        return status_ok();
    case OPTION_EXPORT:
        return option_take_path("export", value, &wanted->output);
    case OPTION_COUNT:
        return option_take_count("count", value, INT32_MAX, &wanted->count);
    case OPTION_SPLIT:
        return saved_model_take_split(value, &wanted->split);
    default:
        return option_take_count("epoch", value, INT32_MAX, &wanted->epoch);
    }
}

static Status check_line(const Wanted *wanted) {
    if (!wanted->output)
        return status_error(RAM_USAGE, "data needs a file to write: ram_dist data --task cluttered --export FILE.h5");
    return option_check_new("export", wanted->output);
}

/* --task wins over --config, as every option does, but has no place in an order with --set. */
static Status take_task(const Arguments *arguments, const Wanted *wanted, Config *config) {
    if (!wanted->task) return status_ok();
    TRY(config_set_value(config, "data.task", wanted->task, "--task"));
    if (!arguments->set[config_find_key("data.task")] || config->data_task == arguments->config.data_task)
        return status_ok();
    return status_error(RAM_USAGE, "--task %s contradicts --set data.task: leave one of them out", wanted->task);
}

/* Pictures and file are held in memory. */
static Status check_room(const Task *task, int64_t count) {
    const int64_t most = (int64_t)2 << 30, bytes = (int64_t)task->height * task->width * task->channels;
    if (count * bytes <= most)
        return memory_room((size_t)(3 * count * bytes), "drawing %" PRId64 " pictures (--count)", count);
    return status_error(RAM_USAGE,
                        "%" PRId64 " pictures of %d x %d pixels take %.1f GiB, more than the 2 GiB that a file may "
                        "take: give --count %" PRId64 " or less%s",
                        count, task->height, task->width, (double)(count * bytes) / (1 << 30), most / bytes,
                        task->options.kind == TASK_MNIST ? "" : ", or a smaller data.canvas");
}

/* Whether a key decided what the pictures show: folders of this machine did not, nor what only a training sees. */
static bool tells(int key, const Wanted *wanted) {
    const KeyInfo *info = config_key(key);
    if (info->type == KEY_TEXT) return false;
    if (strcmp(info->section, "augment") == 0) return wanted->split == SPLIT_TRAIN;
    return strcmp(info->section, "data") == 0 || strcmp(info->name, "seed") == 0;
}

typedef struct {
    int count;
    PlainFact fact[FACTS];
    char epoch[24], hashes[DATASET_HASHES];
    ConfigTexts texts;
} Facts;

static void list_facts(const Experiment *experiment, const Wanted *wanted, Facts *facts) {
    Config config = experiment->config;
    config.data_classes = experiment->dataset.classes; /* `auto` would tell nothing */
    snprintf(facts->epoch, sizeof facts->epoch, "%" PRId64, wanted->epoch);
    dataset_hashes(&experiment->dataset, facts->hashes);
    facts->fact[facts->count++] = (PlainFact){"split", split_name(wanted->split)};
    facts->fact[facts->count++] = (PlainFact){"data_hashes", facts->hashes};
    if (wanted->split == SPLIT_TRAIN) facts->fact[facts->count++] = (PlainFact){"epoch", facts->epoch};
    for (int key = 0; key < CONFIG_KEYS; key++) {
        if (!tells(key, wanted)) continue;
        require(facts->count < FACTS);
        config_get_text(&config, key, facts->texts.text[key], CONFIG_TEXT);
        facts->fact[facts->count++] = (PlainFact){config_key(key)->name, facts->texts.text[key]};
    }
}

static void draw_samples(const Experiment *experiment, const Wanted *wanted, int64_t count, uint8_t *pixels,
                         int32_t *label) {
    const Task *task = &experiment->task;
    const int32_t *sample = experiment->dataset.sample[wanted->split];
    const size_t bytes = (size_t)task->height * (size_t)task->width * (size_t)task->channels;
    void *scratch = memory_new(task_scratch_bytes(task), 1);
    for (int64_t i = 0; i < count; i++) {
        task_draw(task, wanted->split, (uint32_t)wanted->epoch, sample[i], scratch, pixels + (size_t)i * bytes);
        label[i] = dataset_images(&experiment->dataset, wanted->split)->labels[sample[i]];
    }
    free(scratch);
}

static Status write_samples(const Experiment *experiment, const Wanted *wanted) {
    const Task *task = &experiment->task;
    const int64_t all = experiment->dataset.count[wanted->split], count = wanted->count < all ? wanted->count : all;
    TRY(check_room(task, count));
    uint8_t *pixels = memory_new((size_t)count, (size_t)task->height * (size_t)task->width * (size_t)task->channels);
    int32_t *label = memory_new((size_t)count, sizeof *label);
    Facts *facts = memory_new(1, sizeof *facts);
    draw_samples(experiment, wanted, count, pixels, label);
    list_facts(experiment, wanted, facts);
    const Samples samples = {
        count, task->height, task->width, task->channels, pixels, label, experiment->dataset.sample[wanted->split]};
    const Status status = samples_write(wanted->output, &samples, facts->count, facts->fact);
    if (!status_failed(&status))
        log_info("%s: %" PRId64 " %s samples%s of %d x %d pixels", wanted->output, count, split_name(wanted->split),
                 wanted->count > all ? " (all there are)" : "", task->height, task->width);
    free(facts);
    free(label);
    free(pixels);
    return status;
}

/* Rank 0. */
static Status data(const Session *session, const Wanted *wanted) {
    Experiment experiment = {.config = session->arguments.config};
    if (comm_rank(session->comm) != 0) return status_ok();
    TRY(check_line(wanted));
    TRY(take_task(&session->arguments, wanted, &experiment.config));
    Status status = experiment_open_data(&experiment, launch_data_directory());
    if (!status_failed(&status)) status = write_samples(&experiment, wanted);
    experiment_close(&experiment);
    return status;
}

int command_data(int argc, char **argv) {
    Wanted wanted = {.count = COUNT, .epoch = 1, .split = SPLIT_TEST};
    const ArgumentsSpec spec = {
        .command = "data",
        .summary = "Writes the pictures that a task shows, as the model sees them before normalisation, to an HDF5 "
                   "file: /images (N, H, W, C), /label, /index.",
        .own = OWN_OPTIONS,
        .take = take,
        .input = &wanted,
    };
    Session session;
    int code;
    if (!session_open(&session, &spec, argc, argv, &code)) return code;
    return session_close(&session, comm_agree(session.comm, data(&session, &wanted)));
}
