#include "base/log.h"
#include "cmd/commands.h"
#include "cmd/session.h"
#include "store/checkpoint.h"
#include "store/run_folder.h"
#include "train/saved_state.h"
#include "train/stop.h"
#include "train/train.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const ArgumentsSpec SPEC = {
    .command = "train",
    .summary = "Trains a model, keeps checkpoints and figures in the run folder, and measures the best model on the "
               "test set at the end.",
    .takes = TAKES_NP | TAKES_RESUME,
};

/* run.dir, or logs/<name>. */
static Status run_path(const Arguments *arguments, char path[FILE_PATH]) {
    if (*arguments->config.run_dir) {
        snprintf(path, FILE_PATH, "%s", arguments->config.run_dir);
        return status_ok();
    }
    return atomic_file_join(path, "logs", arguments->name);
}

/* What can be refused before the run folder is made: without --resume a folder that holds a run is not touched, and a
 * run that starts anew needs a lane for each rank. Rank 0 looks. */
static Status check_start(const Session *session, const char *path) {
    char metrics[FILE_PATH];
    const char *resume = session->arguments.resume;
    if (comm_rank(session->comm) != 0) return status_ok();
    TRY(atomic_file_join(metrics, path, "metrics.jsonl"));
    const bool exists = access(metrics, F_OK) == 0;
    if (exists && !resume)
        return status_error(RAM_USAGE,
                            "%s holds a run already: add --resume auto to go on with it, or --run-dir DIR for a new "
                            "one",
                            path);
    if (exists || (resume && strcmp(resume, "auto") != 0)) return status_ok(); /* the checkpoint's lanes count */
    return experiment_check_ranks(&session->arguments.config, comm_size(session->comm));
}

/* Refuses what may not change. */
static Status check_changes(const Config *saved, const Config *config, bool within_epoch) {
    for (int key = -1; (key = config_next_difference(saved, config, key)) >= 0;) {
        char before[CONFIG_TEXT], now[CONFIG_TEXT];
        const KeyInfo *info = config_key(key);
        config_get_text(saved, key, before, sizeof before);
        config_get_text(config, key, now, sizeof now);
        if (info->change == CHANGE_FIXED)
            return status_error(RAM_USAGE,
                                "%.64s was '%.128s' and cannot become '%.128s' in a run that goes on: leave it, "
                                "or start a new run with --run-dir DIR",
                                info->name, before, now);
        if (info->change == CHANGE_EPOCH && within_epoch)
            return status_error(RAM_USAGE,
                                "%.64s was '%.128s' and cannot become '%.128s' in the middle of an epoch: finish the "
                                "epoch without the change first",
                                info->name, before, now);
    }
    return status_ok();
}

static void tell_changes(const Config *saved, const Config *config) {
    for (int key = -1; (key = config_next_difference(saved, config, key)) >= 0;) {
        char before[CONFIG_TEXT], now[CONFIG_TEXT];
        config_get_text(saved, key, before, sizeof before);
        config_get_text(config, key, now, sizeof now);
        log_info("changed: %s was %s, is %s", config_key(key)->name, *before ? before : "''", *now ? now : "''");
    }
}

/* Whether the set at `path` is one of the folder's, however the user wrote the path. */
static bool is_inside(const char *path, const char *folder) {
    char *inner = realpath(path, NULL), *outer = realpath(folder, NULL);
    const size_t length = outer ? strlen(outer) : 0;
    const bool inside = inner && outer && strncmp(inner, outer, length) == 0 && inner[length] == '/';
    free(inner);
    free(outer);
    return inside;
}

/* Finds and opens the checkpoint that --resume asks for, if any, and settles the configuration. @collective */
static Status open_resume(Session *session, const RunFolder *folder, Checkpoint **checkpoint, bool *own) {
    char path[FILE_PATH];
    Config saved;
    SavedState state;
    if (!session->arguments.resume) return status_ok();
    TRY(checkpoint_find(session->comm, folder->checkpoints, session->arguments.resume, path));
    if (!*path) {
        log_info("no checkpoint in %s: starting from the beginning", folder->checkpoints);
        return status_ok();
    }
    TRY(checkpoint_open(session->comm, path, checkpoint));
    *own = is_inside(path, folder->checkpoints);
    comm_broadcast(session->comm, own, sizeof *own, 0); /* rank 0's view of the folders counts */
    TRY(saved_state_read_config(*checkpoint, &saved));
    TRY(saved_state_read(*checkpoint, &state));
    if (!session->arguments.config_path) TRY(session_parse_again(session, SPEC, &saved));
    TRY(check_changes(&saved, &session->arguments.config, state.batch > 0));
    log_info("going on from %s", path);
    tell_changes(&saved, &session->arguments.config);
    return status_ok();
}

/* The resolved configuration beside the results: running it again repeats the run. Rank 0 writes. */
static Status write_config(const Session *session, const char *folder) {
    char path[FILE_PATH], *text = NULL;
    size_t bytes = 0;
    if (comm_rank(session->comm) != 0) return status_ok();
    TRY(atomic_file_join(path, folder, "config.yaml"));
    FILE *memory = open_memstream(&text, &bytes);
    if (!memory) fatal("open_memstream: %s", strerror(errno));
    config_write_yaml(&session->arguments.config, memory, false);
    fclose(memory);
    const Status status = atomic_file_write(path, text, bytes);
    free(text);
    return status;
}

static Status open_log(const RunFolder *folder) {
    char path[FILE_PATH];
    TRY(atomic_file_join(path, folder->path, "run.log"));
    return log_attach(path);
}

static void describe(const Session *session, const Experiment *experiment, const RunFolder *folder) {
    const Dataset *dataset = &experiment->dataset;
    const Layout *layout = &experiment->ram.parameters.layout;
    log_info("run folder: %s", folder->path);
    log_info("%d rank%s x %d thread%s on %s (%s), messages by %s", comm_size(session->comm),
             comm_size(session->comm) == 1 ? "" : "s", experiment->threads, experiment->threads == 1 ? "" : "s",
             experiment->backend->kernels->name, experiment->backend->note, comm_library(session->comm));
    log_info("data: %s, %lld training, %lld validation, %lld test images", dataset->directory,
             (long long)dataset->count[SPLIT_TRAIN], (long long)dataset->count[SPLIT_VALIDATION],
             (long long)dataset->count[SPLIT_TEST]);
    log_info("model: %zu parameters in %d fields", layout_elements(layout), layout->fields);
}

/* Everything with the run folder open. @collective */
static Status train_in(Session *session, const RunFolder *folder) {
    Checkpoint *checkpoint = NULL;
    Experiment experiment = {0};
    Provenance provenance;
    bool own = false;
    Comm *comm = session->comm;
    Status status = comm_agree(comm, open_log(folder));
    if (!status_failed(&status)) status = comm_agree(comm, open_resume(session, folder, &checkpoint, &own));
    if (!status_failed(&status)) {
        const int threads = launch_threads(comm, session->arguments.config._threads);
        status = experiment_open(&experiment, &session->arguments.config, comm, threads, launch_data_directory());
    }
    if (!status_failed(&status)) status = comm_agree(comm, write_config(session, folder->path));
    if (!status_failed(&status)) {
        describe(session, &experiment, folder);
        session_provenance(session, &experiment, &provenance);
        const TrainOptions options = {folder, checkpoint, own, &provenance};
        status = train_run(&experiment, &options);
    }
    if (!status_failed(&status))
        log_info("all of it lies in %s: checkpoints/best, metrics.jsonl, config.yaml, run.log", folder->path);
    checkpoint_close(checkpoint);
    experiment_close(&experiment);
    return status;
}

int command_train(int argc, char **argv) {
    Session session;
    RunFolder folder;
    char path[FILE_PATH];
    int code;
    if (!session_open(&session, &SPEC, argc, argv, &code)) return code;
    stop_watch();
    Status status = run_path(&session.arguments, path);
    if (!status_failed(&status)) status = comm_agree(session.comm, check_start(&session, path));
    if (!status_failed(&status)) status = run_folder_open(session.comm, path, &folder);
    if (!status_failed(&status)) {
        status = train_in(&session, &folder);
        run_folder_close(&folder);
    }
    return session_close(&session, status);
}
