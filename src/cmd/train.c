#include "base/log.h"
#include "cmd/beginning.h"
#include "cmd/commands.h"
#include "cmd/resume.h"
#include "cmd/run_start.h"
#include "store/checkpoint.h"
#include "store/run_folder.h"
#include "train/progress.h"
#include "train/saved_state.h"
#include "train/stop.h"
#include "train/train.h"

#include <signal.h>
#include <stdio.h>

static const ArgumentsSpec SPEC = {
    .command = "train",
    .summary = "Trains a model, keeps checkpoints and figures in the run folder, and measures the best model on the "
               "test set at the end.",
    .takes = TAKES_NP | TAKES_RESUME | TAKES_DEVICE,
    .check = run_start_check,
};

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
    if (experiment->device == DEVICE_CUDA) {
        devices_tell(experiment->devices);
        log_info("gradients are summed %s", experiment->link);
        log_info("a training batch is cut into %d lane%s (train.reduction %s)", lanes, lanes == 1 ? "" : "s",
                 experiment->fast ? "fast" : "tree");
    }
    log_info("data: %s, %lld training, %lld validation, %lld test images", dataset->directory,
             (long long)dataset->count[SPLIT_TRAIN], (long long)dataset->count[SPLIT_VALIDATION],
             (long long)dataset->count[SPLIT_TEST]);
    progress_augmentation(&experiment->config);
    log_info("model: %zu parameters in %d fields", layout_elements(layout), layout->fields);
}

/* A folder that cannot be written to is no reason not to train; what must be written says so itself. @collective */
static void watch_ranks(const Session *session, const RunFolder *folder) {
    char path[FILE_PATH];
    Status status = atomic_file_join(path, folder->path, ".ranks");
    if (!status_failed(&status)) status = comm_watch(session->comm, session->arguments.config.comm_timeout, path);
    if (status_failed(&status)) log_warning("%s; a rank that hangs would not be named", status.message);
}

/* @collective */
static Status train_experiment(Session *session, RunFolder *folder, Resume *resume, Beginning *beginning) {
    Experiment experiment;
    Provenance provenance;
    Comm *comm = session->comm;
    TRY(session_open_experiment(session, &experiment));
    session_provenance(session, &experiment, &provenance);
    Status status = experiment_link(&experiment);
    if (!status_failed(&status)) status = comm_agree(comm, resume_check_data(resume, &experiment, &provenance));
    if (!status_failed(&status)) {
        describe(session, &experiment, folder);
        const TrainOptions options = {
            .folder = folder,
            .resume = resume->checkpoint,
            .own = resume->own,
            .judged_anew = resume->judged_anew,
            .rate_anew = resume->rate_anew,
            .provenance = &provenance,
            .stop = {folder->path, session->started, session->arguments.config.train_time_limit, launch_job_end()},
            .fault = session->fault,
            .begin = beginning_confirm,
            .context = beginning};
        status = train_run(&experiment, &options);
    }
    experiment_close(&experiment);
    return status;
}

/* With the configuration settled and something left to do. @collective */
static Status train_on(Session *session, RunFolder *folder, Resume *resume) {
    Beginning beginning;
    watch_ranks(session, folder);
    Status status = beginning_open(&beginning, session, resume, folder->path);
    if (!status_failed(&status)) status = train_experiment(session, folder, resume, &beginning);
    beginning_close(&beginning);
    return status;
}

/* A finished run is only told of; links that a crash left behind are mended. An older set that is only asked about
 * changes nothing. @collective */
static Status tell_finished(const Session *session, const RunFolder *folder, const Resume *resume) {
    const SavedState *state = &resume->state;
    log_info("this run is finished: nothing is left to train (epoch %lld of %lld); raise %s to go on",
             (long long)state->epoch - 1, (long long)session->arguments.config.train_epochs,
             train_ended_by(&session->arguments.config, state));
    if (comm_rank(session->comm) == 0) stop_forget(folder->path);
    if (!resume->own || !checkpoint_is_newest(session->comm, folder->checkpoints, state->step)) return status_ok();
    return checkpoint_take_up(session->comm, folder->checkpoints, state->step, state->best_step);
}

/* Everything with the run folder open. @collective */
static Status train_in(Session *session, RunFolder *folder) {
    Resume resume = {0};
    Comm *comm = session->comm;
    TRY(run_start_agree(session, folder->path)); /* again: another run may have held the folder till now */
    TRY(comm_agree(comm, open_log(folder)));
    Status status = comm_agree(comm, resume_open(&resume, session, folder->path));
    if (!status_failed(&status) && resume.finished)
        status = tell_finished(session, folder, &resume);
    else if (!status_failed(&status))
        status = train_on(session, folder, &resume);
    if (!status_failed(&status))
        log_info("all of it lies in %s: checkpoints/best, metrics.jsonl, config.yaml, run.log", folder->path);
    resume_close(&resume);
    return status;
}

int command_train(int argc, char **argv) {
    Session session;
    RunFolder folder;
    char path[FILE_PATH];
    int code;
    stop_watch();             /* before anything else: a signal that comes early must not end a rank */
    signal(SIGPIPE, SIG_IGN); /* who read the output has gone: run.log has it all */
    if (!session_open(&session, &SPEC, argc, argv, &code)) return code;
    Status status = arguments_run_path(&session.arguments, path);
    if (!status_failed(&status)) status = run_start_agree(&session, path);
    if (!status_failed(&status)) status = run_folder_open(session.comm, path, &folder);
    if (!status_failed(&status)) {
        status = train_in(&session, &folder);
        comm_watch(session.comm, session.arguments.config.comm_timeout, NULL); /* the next run's places lie there too */
        run_folder_close(&folder);
    }
    return session_close(&session, status);
}
