#include "base/log.h"
#include "cmd/commands.h"
#include "cmd/option_values.h"
#include "cmd/saved_model.h"
#include "store/trace.h"
#include "train/tracer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPTION_SPLIT = OWN_OPTION,
    OPTION_CHECKPOINT,
    OPTION_ROLLOUTS,
    OPTION_LIMIT,
    OPTION_NAME,
    OPTION_OUTPUT,
    OPTION_FORCE
};

typedef struct {
    Split split;
    const char *checkpoint, *name, *output;
    int64_t limit, rollouts; /* 0: all; as configured */
    bool force;
} Wanted;

static const struct argp_option OWN_OPTIONS[] = {
    {"split", OPTION_SPLIT, "train|validation|test", 0, "Which images to trace (default: test)", 0},
    {"checkpoint", OPTION_CHECKPOINT, "PATH", 0, "A checkpoint: the same as giving PATH alone", 0},
    {"rollouts", OPTION_ROLLOUTS, "M", 0, "Glimpse sequences of each image (default: eval.rollouts)", 0},
    {"limit", OPTION_LIMIT, "N", 0, "Only the first N images of the split", 0},
    {"name", OPTION_NAME, "NAME", 0, "Name of the trace (default: SPLIT-step-STEP)", 0},
    {"output", OPTION_OUTPUT, "DIR", 0,
     "Folder to put it into (default: traces/ in the checkpoint's run folder, or beside a checkpoint without one)", 0},
    {"force", OPTION_FORCE, NULL, 0, "Replace a trace of that name", 0},
    {0},
};

static Status take(void *input, int key, const char *value) {
    Wanted *wanted = input;
    switch (key) {
    case OPTION_SPLIT:
        return saved_model_take_split(value, &wanted->split);
    case OPTION_ROLLOUTS:
        return option_take_count("rollouts", value, config_key(config_find_key("eval.rollouts"))->most_int,
                                 &wanted->rollouts);
    case OPTION_LIMIT:
        return option_take_count("limit", value, INT32_MAX, &wanted->limit);
    case OPTION_CHECKPOINT:
        wanted->checkpoint = value;
        break;
    case OPTION_NAME:
        wanted->name = value;
        break;
    case OPTION_OUTPUT:
        return option_take_path("output", value, &wanted->output);
    case OPTION_FORCE:
        wanted->force = true;
        break;
    default:
        fatal("option %d", key);
    }
    return status_ok();
}

/* Cuts the last name off. */
static void cut_name(char *path) {
    char *slash = strrchr(path, '/');
    if (slash) *(slash == path ? slash + 1 : slash) = 0;
}

/* RUN/traces for RUN/checkpoints/SET, wherever `checkpoints` may be a link to, else `traces` beside the set. Rank 0. */
static Status find_folder(const char *checkpoint, char folder[FILE_PATH]) {
    char *run = strdup(checkpoint);
    require(run);
    cut_name(run);
    const char *slash = strrchr(run, '/');
    if (!slash || strcmp(slash, "/checkpoints") != 0) { /* named from within */
        free(run);
        run = realpath(checkpoint, NULL);
        if (!run)
            return status_error(RAM_DATA, "cannot find the folder of %.400s: %s; give one with --output DIR",
                                checkpoint, strerror(errno));
        cut_name(run);
        slash = strrchr(run, '/');
    }
    if (slash && strcmp(slash, "/checkpoints") == 0) cut_name(run);
    const Status status = atomic_file_join(folder, run, "traces");
    free(run);
    return status;
}

/* @collective */
static Status choose_folder(Comm *comm, const Wanted *wanted, const char *checkpoint, char folder[FILE_PATH]) {
    Status status = status_ok();
    if (wanted->output && snprintf(folder, FILE_PATH, "%s", wanted->output) >= FILE_PATH)
        status = status_error(RAM_USAGE, "--output is too long: %.200s...", wanted->output);
    else if (!wanted->output && comm_rank(comm) == 0)
        status = find_folder(checkpoint, folder);
    TRY(comm_agree(comm, status));
    comm_broadcast(comm, folder, FILE_PATH, 0);
    return status_ok();
}

/* The checkpoint's path from the root, as rank 0 sees it. @collective */
static void find_origin(Comm *comm, const SavedModel *model, char path[FILE_PATH], char hash[HASH_TEXT]) {
    char *real = realpath(model->path, NULL);
    snprintf(path, FILE_PATH, "%s", real ? real : model->path);
    free(real);
    comm_broadcast(comm, path, FILE_PATH, 0);
    checkpoint_hash(model->checkpoint, hash);
}

/* @collective */
static Status record(const Session *session, SavedModel *model, const Wanted *wanted) {
    const Config *config = &model->experiment.config;
    const int64_t step = checkpoint_step(model->checkpoint), count = model->experiment.dataset.count[wanted->split];
    const TracePlan plan = {.split = wanted->split,
                            .images = wanted->limit && wanted->limit < count ? wanted->limit : count,
                            .policy = (Policy)config->eval_policy,
                            .rollouts = wanted->rollouts ? wanted->rollouts : config->eval_rollouts};
    char folder[FILE_PATH] = "", standard[64], path[FILE_PATH], hash[HASH_TEXT];
    const TraceOrigin origin = {
        .step = step, .epoch = saved_state_epoch(&model->state), .checkpoint = path, .checkpoint_hash = hash};
    Provenance provenance;
    int64_t taken;
    if (wanted->name && !wanted->output && trace_is_epoch_name(wanted->name, &taken))
        return status_error(RAM_USAGE,
                            "--name %.64s: a training calls its own traces so, and sets aside what is of later "
                            "epochs; give another name",
                            wanted->name);
    TRY(choose_folder(session->comm, wanted, model->path, folder));
    snprintf(standard, sizeof standard, "%s-step-%08" PRId64, split_name(wanted->split), step);
    const char *name = wanted->name ? wanted->name : standard;
    find_origin(session->comm, model, path, hash);
    session_provenance(session, &model->experiment, &provenance);
    Tracer *tracer = tracer_new(&model->experiment, &plan);
    Status status = comm_agree(session->comm, backend_room(model->experiment.backend));
    if (!status_failed(&status)) status = tracer_save(tracer, folder, name, wanted->force, origin, &provenance);
    tracer_free(tracer);
    if (!status_failed(&status))
        log_info("trace: %" PRId64 " %s images, %" PRId64 " roll-out%s of %d glimpses each: %s/%s/index.h5",
                 plan.images, split_name(plan.split), plan.rollouts, plan.rollouts == 1 ? "" : "s",
                 model->experiment.ram.dims.glimpses, folder, name);
    return status;
}

/* @collective */
static Status trace(Session *session, const Wanted *wanted) {
    SavedModel model;
    TRY(saved_model_open(session, wanted->checkpoint, &model));
    Status status = record(session, &model, wanted);
    saved_model_close(&model);
    return status;
}

int command_trace(int argc, char **argv) {
    Wanted wanted = {.split = SPLIT_TEST};
    const ArgumentsSpec spec = {
        .command = "trace",
        .summary = "Records where a trained model looks and what it thinks at each glimpse, as HDF5 with named axes. "
                   "The configuration is the checkpoint's; --set changes it (eval.policy, for one).",
        .operand = "RUN|CHECKPOINT",
        .takes = TAKES_NP | TAKES_DEVICE,
        .own = OWN_OPTIONS,
        .take = take,
        .input = &wanted,
    };
    Session session;
    int code;
    if (!session_open(&session, &spec, argc, argv, &code)) return code;
    return session_close(&session, trace(&session, &wanted));
}
