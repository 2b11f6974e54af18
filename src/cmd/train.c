#include "base/log.h"
#include "cmd/commands.h"
#include "cmd/run_start.h"
#include "store/checkpoint.h"
#include "store/run_folder.h"
#include "train/saved_state.h"
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
    .takes = TAKES_NP | TAKES_RESUME | TAKES_DEVICE,
};

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

/* A run that was killed before its first checkpoint begins again as it was configured, unless --config says otherwise.
 */
static Status take_saved_config(Session *session, const RunFolder *folder) {
    char path[FILE_PATH];
    Config saved;
    TRY(atomic_file_join(path, folder->path, "config.yaml"));
    if (session->arguments.config_path || access(path, F_OK) != 0) return status_ok();
    config_default(&saved);
    TRY(config_read_file(&saved, path));
    return session_parse_again(session, SPEC, &saved);
}

/* Where no epoch is to come: a change that could only matter in an epoch to come would be a false label. */
static Status check_finished(const Config *saved, const Config *config) {
    for (int key = -1; (key = config_next_difference(saved, config, key)) >= 0;)
        if (config_key(key)->change == CHANGE_EPOCH)
            return status_error(RAM_USAGE,
                                "this run is finished, so %.64s cannot change any more: start a new run with --run-dir "
                                "DIR, or raise train.epochs to go on",
                                config_key(key)->name);
    return status_ok();
}

/* Whether validation errors from before the changes do not compare with those to come. */
static bool is_judged_anew(const Config *saved, const Config *config) {
    for (int key = -1; (key = config_next_difference(saved, config, key)) >= 0;) {
        const KeyInfo *info = config_key(key);
        if (strcmp(info->section, "eval") == 0 || (strcmp(info->section, "data") == 0 && info->change != CHANGE_FREE))
            return true;
    }
    return false;
}

/* What --resume led to. */
typedef struct {
    Checkpoint *checkpoint; /* NULL: from the beginning */
    SavedState state;       /* of it */
    bool own;               /* it is one of this run's */
    bool finished;          /* the run is, or has gone further than it is asked to */
    bool judged_anew;
} Resume;

/* Finds and opens the checkpoint that --resume asks for, if any, and settles the configuration. @collective */
static Status open_resume(Session *session, const RunFolder *folder, Resume *resume) {
    char path[FILE_PATH];
    Config saved;
    const Config *config = &session->arguments.config;
    if (!session->arguments.resume) return status_ok();
    TRY(checkpoint_find(session->comm, folder->checkpoints, session->arguments.resume, path));
    if (!*path) {
        log_info("no checkpoint in %s: starting from the beginning", folder->checkpoints);
        return take_saved_config(session, folder);
    }
    TRY(checkpoint_open(session->comm, path, &resume->checkpoint));
    resume->own = is_inside(path, folder->checkpoints);
    bool taken = !resume->own && checkpoint_any(folder->checkpoints);   /* a curve alone is kept beside the new one */
    comm_broadcast(session->comm, &resume->own, sizeof resume->own, 0); /* rank 0's view of the folders counts */
    comm_broadcast(session->comm, &taken, sizeof taken, 0);
    if (taken)
        return status_error(RAM_USAGE,
                            "%.400s holds a run of its own: give --run-dir DIR for the one that goes on from "
                            "another's checkpoint",
                            folder->path);
    TRY(saved_state_read_config(resume->checkpoint, &saved));
    TRY(saved_state_read(resume->checkpoint, &resume->state));
    if (!session->arguments.config_path) TRY(session_parse_again(session, SPEC, &saved));
    TRY(check_changes(&saved, config, resume->state.batch > 0));
    resume->judged_anew = is_judged_anew(&saved, config);
    if (train_is_finished(config, &resume->state)) {
        TRY(check_finished(&saved, config));
        resume->finished = train_is_finished(&saved, &resume->state) ||
                           !checkpoint_is_newest(session->comm, folder->checkpoints, resume->state.step);
    }
    log_info("going on from %s", path);
    tell_changes(&saved, config);
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
    const int lanes = experiment_training_lanes(experiment, 0, 1).lanes;
    log_info("run folder: %s", folder->path);
    log_info("%d rank%s x %d thread%s on %s (%s), messages by %s", comm_size(session->comm),
             comm_size(session->comm) == 1 ? "" : "s", experiment->threads, experiment->threads == 1 ? "" : "s",
             experiment->backend->kernels->name, experiment->backend->note, comm_library(session->comm));
    if (experiment->backend->stream) {
        devices_tell(experiment->devices);
        log_info("gradients are summed %s", experiment->link);
        log_info("a training batch is cut into %d lane%s (train.reduction %s)", lanes, lanes == 1 ? "" : "s",
                 experiment->fast ? "fast" : "tree");
    }
    log_info("data: %s, %lld training, %lld validation, %lld test images", dataset->directory,
             (long long)dataset->count[SPLIT_TRAIN], (long long)dataset->count[SPLIT_VALIDATION],
             (long long)dataset->count[SPLIT_TEST]);
    log_info("model: %zu parameters in %d fields", layout_elements(layout), layout->fields);
}

/* Other images than the checkpoint's are like a changed key of the kind `epoch`. */
static Status check_data(Resume *resume, const Provenance *provenance) {
    bool same;
    if (!resume->checkpoint) return status_ok();
    TRY(saved_state_same_data(resume->checkpoint, provenance, &same));
    if (same) return status_ok();
    if (resume->state.batch > 0)
        return status_error(RAM_USAGE,
                            "the images are not those that the checkpoint was trained on, and cannot change in "
                            "the middle of an epoch: give the same data (data.dir, data.seed)");
    log_info("changed: the images are not those that the checkpoint was trained on");
    resume->judged_anew = true;
    return status_ok();
}

/* A folder that cannot be written to is no reason not to train; what must be written says so itself. @collective */
static void watch_ranks(const Session *session, const RunFolder *folder) {
    char path[FILE_PATH];
    Status status = atomic_file_join(path, folder->path, ".ranks");
    if (!status_failed(&status)) status = comm_watch(session->comm, session->arguments.config.comm_timeout, path);
    if (status_failed(&status)) log_warning("%s; a rank that hangs would not be named", status.message);
}

/* With the configuration settled and something left to do. @collective */
static Status train_on(Session *session, const RunFolder *folder, Resume *resume) {
    Experiment experiment;
    Provenance provenance;
    Comm *comm = session->comm;
    watch_ranks(session, folder);
    const int threads = launch_threads(comm, session->arguments.config._threads);
    TRY(experiment_open(&experiment, &session->arguments.config, comm, threads, launch_data_directory()));
    session_provenance(session, &experiment, &provenance);
    Status status = experiment_link(&experiment);
    if (!status_failed(&status)) status = comm_agree(comm, check_data(resume, &provenance));
    if (!status_failed(&status)) status = comm_agree(comm, write_config(session, folder->path));
    if (!status_failed(&status)) {
        describe(session, &experiment, folder);
        const TrainOptions options = {
            .folder = folder,
            .resume = resume->checkpoint,
            .own = resume->own,
            .judged_anew = resume->judged_anew,
            .provenance = &provenance,
            .stop = {folder->path, session->started, session->arguments.config.train_time_limit, launch_job_end()},
            .fault = session->fault};
        status = train_run(&experiment, &options);
    }
    experiment_close(&experiment);
    return status;
}

/* A finished run is only told of; links that a crash left behind are mended. An older set that is only asked about
 * changes nothing. @collective */
static Status tell_finished(const Session *session, const RunFolder *folder, const Resume *resume) {
    const SavedState *state = &resume->state;
    log_info("this run is finished: nothing is left to train (epoch %lld of %lld)", (long long)state->epoch - 1,
             (long long)session->arguments.config.train_epochs);
    if (!resume->own || !checkpoint_is_newest(session->comm, folder->checkpoints, state->step)) return status_ok();
    return checkpoint_take_up(session->comm, folder->checkpoints, state->step, state->best_step);
}

/* Everything with the run folder open. @collective */
static Status train_in(Session *session, const RunFolder *folder) {
    Resume resume = {0};
    Comm *comm = session->comm;
    TRY(comm_agree(comm,
                   run_start_check(session, folder->path))); /* again: another run may have held the folder till now */
    TRY(comm_agree(comm, open_log(folder)));
    Status status = comm_agree(comm, open_resume(session, folder, &resume));
    if (!status_failed(&status) && resume.finished)
        status = tell_finished(session, folder, &resume);
    else if (!status_failed(&status))
        status = train_on(session, folder, &resume);
    if (!status_failed(&status))
        log_info("all of it lies in %s: checkpoints/best, metrics.jsonl, config.yaml, run.log", folder->path);
    checkpoint_close(resume.checkpoint);
    return status;
}

int command_train(int argc, char **argv) {
    Session session;
    RunFolder folder;
    char path[FILE_PATH];
    int code;
    stop_watch(); /* before anything else: a signal that comes early must not end a rank */
    if (!session_open(&session, &SPEC, argc, argv, &code)) return code;
    Status status = arguments_run_path(&session.arguments, path);
    if (!status_failed(&status)) status = comm_agree(session.comm, run_start_check(&session, path));
    if (!status_failed(&status)) status = run_folder_open(session.comm, path, &folder);
    if (!status_failed(&status)) {
        status = train_in(&session, &folder);
        comm_watch(session.comm, session.arguments.config.comm_timeout, NULL); /* the next run's places lie there too */
        run_folder_close(&folder);
    }
    return session_close(&session, status);
}
