#include "cmd/resume.h"
#include "base/log.h"
#include "cmd/saved_model.h"
#include "train/metrics.h"
#include "train/train.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Refuses what may not change. */
static Status check_changes(const Config *saved, const Config *config, const SavedState *state) {
    const int optimizer = config_find_key("train.optimizer");
    for (int key = -1; (key = config_next_difference(saved, config, key)) >= 0;) {
        char before[CONFIG_TEXT], now[CONFIG_TEXT];
        const KeyInfo *info = config_key(key);
        config_get_text(saved, key, before, sizeof before);
        config_get_text(config, key, now, sizeof now);
        if (key == optimizer && state->step == 0) continue; /* imported weights, without moments */
        if (info->change == CHANGE_FIXED)
            return status_error(RAM_USAGE,
                                "%.64s was '%.128s' and cannot become '%.128s' in a run that goes on: leave it, "
                                "or start a new run with --run-dir DIR",
                                info->name, before, now);
        if (info->change == CHANGE_EPOCH && state->batch > 0)
            return status_error(RAM_USAGE,
                                "%.64s was '%.128s' and cannot become '%.128s' in the middle of an epoch: finish the "
                                "epoch without the change first",
                                info->name, before, now);
    }
    return status_ok();
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

/* Reads the line once more, over a saved configuration. The run folder is chosen already, and may not be the one that
 * was saved. */
static Status parse_over(Session *session, const Config *saved) {
    Config base = *saved;
    memcpy(base.run_dir, session->arguments.config.run_dir, sizeof base.run_dir);
    return session_parse_again(session, &base);
}

/* A run that was killed before its first checkpoint begins again as it was configured, unless --config says otherwise.
 */
static Status take_saved_config(Session *session, const char *folder) {
    char path[FILE_PATH];
    Config saved;
    TRY(atomic_file_join(path, folder, "config.yaml"));
    if (session->arguments.config_path || access(path, F_OK) != 0) return status_ok();
    config_default(&saved);
    TRY(config_read_file(&saved, path));
    return parse_over(session, &saved);
}

/* Where no epoch is to come: a change that could only matter in an epoch to come would be a false label. */
static Status check_finished(const Config *saved, const Config *config, const SavedState *state) {
    for (int key = -1; (key = config_next_difference(saved, config, key)) >= 0;)
        if (config_key(key)->change == CHANGE_EPOCH)
            return status_error(RAM_USAGE,
                                "this run is finished, so %.64s cannot change any more: start a new run with --run-dir "
                                "DIR, or raise %s to go on",
                                config_key(key)->name, train_ended_by(config, state));
    return status_ok();
}

/* Whether validation errors from before the changes do not compare with those to come. */
static bool is_judged_anew(const Config *saved, const Config *config) {
    for (int key = -1; (key = config_next_difference(saved, config, key)) >= 0;) {
        const KeyInfo *info = config_key(key);
        const bool draws = strcmp(info->name, "seed") == 0; /* of the measured roll-outs */
        if (draws || strcmp(info->section, "eval") == 0 ||
            (strcmp(info->section, "data") == 0 && info->change != CHANGE_FREE))
            return true;
    }
    return false;
}

/* The configuration of what goes on from a checkpoint: its own, unless --config says otherwise; of a start that is
 * repeated, what that had taken over it. */
static Status settle(Session *session, const Config *saved, bool repeated, const char *folder) {
    if (session->arguments.config_path) {
        config_settle_auto(&session->arguments.config, saved);
        return status_ok();
    }
    TRY(parse_over(session, saved));
    return repeated ? take_saved_config(session, folder) : status_ok();
}

static Status read_origin(const char *folder, bool configured, char origin[FILE_PATH]) {
    char note[FILE_PATH];
    void *text;
    size_t bytes;
    TRY(atomic_file_join(note, folder, RESUME_ORIGIN));
    if (access(note, F_OK) != 0 && errno == ENOENT) return status_ok();
    TRY(atomic_file_read(note, FILE_PATH - 1, &text, &bytes));
    snprintf(origin, FILE_PATH, "%.*s", (int)bytes, (const char *)text);
    free(text);
    if (!configured && !atomic_file_is_in(folder, "config.yaml"))
        return status_error(RAM_USAGE,
                            "the start in %.300s was broken off before it had noted its configuration: give the "
                            "command again, with --resume %.300s",
                            folder, origin);
    if (access(origin, F_OK) == 0) return status_ok();
    return status_error(RAM_DATA,
                        "the checkpoint that this run began with is not there: %.300s, says %.300s; put it back, or "
                        "start again with --resume PATH",
                        origin, note);
}

/* "": the run began with random weights, or has not begun. @collective */
static Status find_origin(const Session *session, const char *folder, const char *checkpoints, char path[FILE_PATH]) {
    Comm *comm = session->comm;
    const bool configured = session->arguments.config_path;
    char origin[FILE_PATH] = "";
    TRY(comm_agree(comm, comm_rank(comm) == 0 ? read_origin(folder, configured, origin) : status_ok()));
    comm_broadcast(comm, origin, sizeof origin, 0);
    return *origin ? checkpoint_find(comm, checkpoints, origin, path) : status_ok();
}

Status resume_note_origin(const Resume *resume, const char *folder) {
    char note[FILE_PATH];
    TRY(atomic_file_join(note, folder, RESUME_ORIGIN));
    if (resume->checkpoint && !resume->own) {
        char *origin = realpath(resume->path, NULL);
        const Status status = origin ? atomic_file_write(note, origin, strlen(origin))
                                     : status_error(RAM_IO, "cannot find %.400s any more", resume->path);
        free(origin);
        return status;
    }
    if (resume->checkpoint || unlink(note) == 0 || errno == ENOENT) return status_ok();
    return status_error(RAM_IO, "cannot delete %s: %s", note, strerror(errno));
}

/* Whether the curve goes with the checkpoint: asked before the folder is changed. */
static Status check_metrics(const Resume *resume, const char *folder) {
    char path[FILE_PATH];
    if (!*resume->state.metrics_hash)
        return status_error(RAM_USAGE,
                            "%.400s holds imported weights, which are of no run: give --run-dir DIR for the one "
                            "that goes on from them",
                            resume->path);
    TRY(atomic_file_join(path, folder, "metrics.jsonl"));
    return metrics_cut(path, NULL, resume->state.metrics_bytes, resume->state.metrics_hash);
}

/* The checkpoint at resume->path. @collective */
static Status open_found(Resume *resume, Comm *comm, const char *folder, const char *checkpoints, Config *saved) {
    TRY(checkpoint_open(comm, resume->path, &resume->checkpoint));
    resume->own = is_inside(resume->path, checkpoints);
    bool taken = !resume->own && checkpoint_any(checkpoints);  /* a curve alone is kept beside the new one */
    comm_broadcast(comm, &resume->own, sizeof resume->own, 0); /* rank 0's view of the folders counts */
    comm_broadcast(comm, &taken, sizeof taken, 0);
    if (taken)
        return status_error(RAM_USAGE,
                            "%.400s holds a run of its own: give --run-dir DIR for the one that goes on from "
                            "another's checkpoint",
                            folder);
    TRY(saved_state_read_config(resume->checkpoint, saved));
    TRY(saved_state_read(resume->checkpoint, &resume->state));
    if (!resume->own) resume->state.schedule = schedule_forget_errors(&resume->state.schedule);
    return status_ok();
}

/* What the settled configuration means for the training, and whether it may; newest: the run has gone no further. */
static Status judge(Resume *resume, const Config *saved, const Config *config, bool newest) {
    const SavedState *state = &resume->state;
    TRY(check_changes(saved, config, state));
    const bool over = train_is_over(config, state);
    resume->judged_anew = !over && is_judged_anew(saved, config); /* else there is nothing to come */
    resume->rate_anew = saved->train_lr != config->train_lr;
    if (!over) return status_ok();
    if (!resume->own)
        return status_error(RAM_USAGE, "%.400s is of a training that is finished: raise %s to go on from it",
                            resume->path, train_ended_by(config, state));
    resume->finished = train_is_finished(saved, state) || !newest;
    return check_finished(saved, config, state);
}

Status resume_open(Resume *resume, Session *session, const char *folder) {
    const Config *config = &session->arguments.config;
    const char *wish = session->arguments.resume;
    char checkpoints[FILE_PATH];
    Config saved;
    *resume = (Resume){0};
    if (!wish) return status_ok();
    TRY(atomic_file_join(checkpoints, folder, "checkpoints"));
    TRY(checkpoint_find(session->comm, checkpoints, wish, resume->path));
    if (!*resume->path) TRY(find_origin(session, folder, checkpoints, resume->path));
    if (!*resume->path) {
        log_info("no checkpoint in %s: starting from the beginning", checkpoints);
        return take_saved_config(session, folder);
    }
    TRY(open_found(resume, session->comm, folder, checkpoints, &saved));
    const bool newest = checkpoint_is_newest(session->comm, checkpoints, resume->state.step);
    /* no more that is collective: from here on one rank alone may fail */
    TRY(settle(session, &saved, !resume->own && strcmp(wish, "auto") == 0, folder));
    TRY(judge(resume, &saved, config, newest));
    if (resume->own && !resume->finished && comm_rank(session->comm) == 0) TRY(check_metrics(resume, folder));
    log_info("going on from %s", resume->path);
    saved_model_tell_changes(&saved, config, NULL);
    return status_ok();
}

Status resume_check_data(Resume *resume, const Experiment *experiment, const Provenance *provenance) {
    bool same;
    if (!resume->checkpoint) return status_ok();
    TRY(saved_model_check_images(resume->checkpoint, resume->path, experiment));
    TRY(saved_state_tell_products(resume->checkpoint, provenance->products));
    TRY(saved_state_same_data(resume->checkpoint, provenance->data_hashes, &same));
    if (same) return status_ok();
    if (resume->state.batch > 0)
        return status_error(RAM_USAGE,
                            "the images are not those that the checkpoint was trained on, and cannot change in "
                            "the middle of an epoch: give the same data (data.dir, data.seed)");
    log_info("changed: the images are not those that the checkpoint was trained on");
    resume->judged_anew = !train_is_over(&experiment->config, &resume->state);
    return status_ok();
}

void resume_close(Resume *resume) {
    checkpoint_close(resume->checkpoint);
    *resume = (Resume){0};
}
