#include "base/log.h"
#include "base/memory.h"
#include "cmd/commands.h"
#include "cmd/session.h"
#include "store/checkpoint.h"
#include "train/measure.h"
#include "train/saved_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPTION_SPLIT = OWN_OPTION, OPTION_CHECKPOINT };

typedef struct {
    Split split;
    const char *checkpoint;
} Wanted;

static const struct argp_option OWN_OPTIONS[] = {
    {"split", OPTION_SPLIT, "train|validation|test", 0, "Which images to evaluate (default: test)", 0},
    {"checkpoint", OPTION_CHECKPOINT, "PATH", 0, "A checkpoint: the same as giving PATH alone", 0},
    {0},
};

static Status take(void *input, int key, const char *value) {
    Wanted *wanted = input;
    if (key == OPTION_CHECKPOINT) {
        wanted->checkpoint = value;
        return status_ok();
    }
    for (int split = 0; split < SPLITS; split++)
        if (strcmp(value, split_name((Split)split)) == 0) {
            wanted->split = (Split)split;
            return status_ok();
        }
    return status_error(RAM_USAGE, "--split is '%.64s': give train, validation or test", value);
}

/* A run folder stands for its best model. @collective */
static Status find_checkpoint(const Session *session, const Wanted *wanted, char path[FILE_PATH]) {
    char run[FILE_PATH], checkpoints[FILE_PATH];
    const Arguments *arguments = &session->arguments;
    const char *asked = wanted->checkpoint ? wanted->checkpoint : arguments->operand;
    if (!asked && *arguments->config.run_dir) asked = arguments->config.run_dir;
    if (!asked) {
        TRY(atomic_file_join(run, "logs", arguments->name));
        asked = run;
    }
    TRY(atomic_file_join(checkpoints, asked, "checkpoints"));
    const bool is_run = access(checkpoints, F_OK) == 0;
    return checkpoint_find(session->comm, is_run ? checkpoints : "", is_run ? "best" : asked, path);
}

/* Reads the parameters and measures them. @collective */
static Status measure(Experiment *experiment, const Checkpoint *checkpoint, Split split) {
    Backend *backend = experiment->backend;
    const Layout *layout = &experiment->ram.parameters.layout;
    Metrics none = {0};
    Evaluation learned;
    SavedState state;
    float *host = memory_new(layout->total, sizeof *host);
    DevFloats values = backend_floats(backend, (int64_t)layout->total);
    Status status = saved_state_read_parameters(experiment->comm, checkpoint, layout, host);
    if (!status_failed(&status)) status = saved_state_read(checkpoint, &state);
    if (!status_failed(&status)) {
        backend->kernels->upload(backend, values.address, host, layout->total * sizeof *host);
        ram_load(&experiment->ram, values);
        status = measure_model(experiment, split, &none, state.epoch, checkpoint_step(checkpoint), &learned);
    }
    if (!status_failed(&status)) log_info("%s error: %.2f %%", split_name(split), learned.error);
    backend->kernels->release(backend, values.address);
    free(host);
    return status;
}

/* @collective */
static Status evaluate(Session *session, ArgumentsSpec spec, const Wanted *wanted) {
    char path[FILE_PATH];
    Checkpoint *checkpoint = NULL;
    Experiment experiment = {0};
    Config saved;
    Comm *comm = session->comm;
    TRY(find_checkpoint(session, wanted, path));
    TRY(checkpoint_open(comm, path, &checkpoint));
    Status status = saved_state_read_config(checkpoint, &saved);
    if (!status_failed(&status) && !session->arguments.config_path) status = session_parse_again(session, spec, &saved);
    status = comm_agree(comm, status);
    if (!status_failed(&status)) {
        const int threads = launch_threads(comm, session->arguments.config._threads);
        log_info("checkpoint: %s (step %lld)", path, (long long)checkpoint_step(checkpoint));
        status = experiment_open(&experiment, &session->arguments.config, comm, threads, launch_data_directory());
    }
    if (!status_failed(&status)) status = measure(&experiment, checkpoint, wanted->split);
    experiment_close(&experiment);
    checkpoint_close(checkpoint);
    return status;
}

int command_eval(int argc, char **argv) {
    Wanted wanted = {.split = SPLIT_TEST};
    const ArgumentsSpec spec = {
        .command = "eval",
        .summary = "Measures a trained model: its error with a 95 % interval, beside that of random and of centre-only "
                   "glimpses. The configuration is the checkpoint's; --set changes it.",
        .operand = "RUN|CHECKPOINT",
        .takes = TAKES_NP,
        .own = OWN_OPTIONS,
        .take = take,
        .input = &wanted,
    };
    Session session;
    int code;
    if (!session_open(&session, &spec, argc, argv, &code)) return code;
    return session_close(&session, evaluate(&session, spec, &wanted));
}
