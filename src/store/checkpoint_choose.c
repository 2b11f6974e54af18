#include "base/log.h"
#include "store/checkpoint.h"
#include "store/manifest.h"
#include "store/step_folder.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Verifies folder/name; a damaged one is named in a warning. What says nothing about the set (no memory to read it) is
 * an error: an older set in its place would cost what was learnt since. */
static Status try_set(const char *folder, const char *name, char path[FILE_PATH], bool *good) {
    TRY(atomic_file_join(path, folder, name));
    const Status status = checkpoint_verify(path);
    *good = !status_failed(&status);
    if (status.code == RAM_IO)
        return status_error(RAM_IO, "%.600s, or move %.200s away to do without it", status.message, name);
    if (*good || status.code != RAM_DATA) return status;
    log_warning("passed over the checkpoint %s: %s", name, status.message);
    return status_ok();
}

/* The newest good set, or RAM_DATA; path "" where there are no sets at all. Those set aside come last: they count when
 * a crash between two renames left no other. `tried` was found damaged before. */
static Status find_newest(const char *folder, const char *tried, char path[FILE_PATH]) {
    StepList list;
    path[0] = 0;
    TRY(step_folder_list(folder, &list));
    bool found = false;
    Status status = status_ok();
    for (int i = 0; i < list.count && !found && !status_failed(&status); i++)
        if (strcmp(list.folder[i].name, tried) != 0) status = try_set(folder, list.folder[i].name, path, &found);
    free(list.folder);
    TRY(status);
    if (found || list.count == 0) return status_ok();
    path[0] = 0;
    return status_error(RAM_DATA, "no checkpoint in %.400s is good; start again in another run folder (run.dir)",
                        folder);
}

static Status find_best(const char *folder, char path[FILE_PATH]) {
    char best[STEP_NAME] = "", link[STEP_NAME];
    bool good = false;
    for (;;) { /* a training may move the link, and delete what it pointed at, while that is verified */
        step_folder_read_link(folder, "best", link);
        if (strcmp(link, best) == 0) break;
        snprintf(best, sizeof best, "%s", link);
        TRY(try_set(folder, best, path, &good));
        if (good) return status_ok();
    }
    TRY(find_newest(folder, best, path));
    if (path[0]) log_warning("there is no good best checkpoint in %s; the newest takes its place", folder);
    return status_ok();
}

static bool holds_folder(const char *folder, const char *name) {
    char path[FILE_PATH];
    const Status joined = atomic_file_join(path, folder, name);
    return !status_failed(&joined) && atomic_file_is_folder(path);
}

/* A path given by the user: a set, a file of a set, a folder of sets or a run folder. */
static Status find_path(const char *request, char path[FILE_PATH]) {
    char folder[FILE_PATH];
    struct stat facts;
    TRY(atomic_file_join(folder, request, "checkpoints"));
    if (stat(request, &facts) != 0)
        return status_error(RAM_DATA, "there is no checkpoint %.400s; give latest, best or the path of one", request);
    if (S_ISDIR(facts.st_mode))
        snprintf(path, FILE_PATH, "%s", request); /* shorter than what was joined to it */
    else
        TRY(atomic_file_parent(request, path));
    TRY(step_folder_follow(path));
    if (manifest_exists(path)) return checkpoint_verify(path);
    if (!S_ISDIR(facts.st_mode))
        return status_error(
            RAM_DATA, "%.400s is no checkpoint and no file of one; give latest, best or the path of one", request);
    snprintf(folder, sizeof folder, holds_folder(request, "checkpoints") ? "%s/checkpoints" : "%s", request);
    TRY(find_newest(folder, "", path));
    if (path[0]) return status_ok();
    return status_error(RAM_DATA, "there is no checkpoint in %.400s; give latest, best or the path of one", request);
}

static Status find_request(const char *folder, const char *request, char path[FILE_PATH]) {
    path[0] = 0;
    bool latest = strcmp(request, "latest") == 0;
    if (!latest && strcmp(request, "auto") != 0 && strcmp(request, "best") != 0) return find_path(request, path);
    TRY(strcmp(request, "best") == 0 ? find_best(folder, path) : find_newest(folder, "", path));
    if (path[0] || strcmp(request, "auto") == 0) return status_ok();
    return status_error(RAM_DATA, "there is no checkpoint in %.400s; train first, or name another run folder", folder);
}

Status checkpoint_find(Comm *comm, const char *folder, const char *request, char path[FILE_PATH]) {
    TRY(comm_agree(comm, comm_rank(comm) == 0 ? find_request(folder, request, path) : status_ok()));
    comm_broadcast(comm, path, FILE_PATH, 0);
    return status_ok();
}

Status checkpoint_path(const char *folder, int64_t step, char path[FILE_PATH]) {
    char name[STEP_NAME];
    step_folder_name(name, step);
    return atomic_file_join(path, folder, name);
}

static Status repair_link(const char *folder, const char *link, int64_t step) {
    char name[STEP_NAME], target[STEP_NAME];
    step_folder_name(name, step);
    step_folder_read_link(folder, link, target);
    if (strcmp(name, target) == 0 || !holds_folder(folder, name)) return status_ok();
    return step_folder_point(folder, link, name);
}

static Status mark_best(const char *folder, int64_t step) {
    char name[STEP_NAME];
    step_folder_name(name, step);
    if (!holds_folder(folder, name))
        return status_error(RAM_IO, "the best checkpoint %.400s/%s is gone; someone deleted it", folder, name);
    TRY(repair_link(folder, "best", step));
    return atomic_file_sync_folder(folder);
}

Status checkpoint_mark_best(Comm *comm, const char *folder, int64_t step) {
    return comm_agree(comm, comm_rank(comm) == 0 ? mark_best(folder, step) : status_ok());
}

/* A good set that was put aside while its step was saved anew, by a start that was killed before it had, is the step's
 * again. Of several, none: which one would be a guess. */
static Status restore(const char *folder, int64_t step) {
    char name[STEP_NAME], path[FILE_PATH], plain[FILE_PATH], aside[STEP_NAME] = "";
    StepList list;
    step_folder_name(name, step);
    if (holds_folder(folder, name)) return status_ok();
    TRY(step_folder_list(folder, &list));
    int found = 0;
    for (int i = 0; i < list.count; i++)
        if (list.folder[i].step == step && ++found == 1) snprintf(aside, sizeof aside, "%s", list.folder[i].name);
    free(list.folder);
    if (found != 1) return status_ok();
    TRY(atomic_file_join(path, folder, aside));
    TRY(atomic_file_join(plain, folder, name));
    const Status verified = checkpoint_verify(path);
    if (verified.code == RAM_DATA) return status_ok();
    return status_failed(&verified) ? verified : atomic_file_rename(path, plain);
}

/* The sets of `latest` and before, and nothing else, are this run's from now on. */
static Status take_up(const char *folder, int64_t latest, int64_t best) {
    TRY(restore(folder, latest));
    TRY(restore(folder, best));
    TRY(step_folder_set_aside(folder, latest + 1));
    TRY(repair_link(folder, "latest", latest));
    TRY(repair_link(folder, "best", best));
    return atomic_file_sync_folder(folder);
}

Status checkpoint_take_up(Comm *comm, const char *folder, int64_t latest, int64_t best) {
    return comm_agree(comm, comm_rank(comm) == 0 ? take_up(folder, latest, best) : status_ok());
}

bool checkpoint_is_newest(Comm *comm, const char *folder, int64_t step) {
    bool newest = true;
    if (comm_rank(comm) == 0) {
        StepList list = {0};
        const Status listed = step_folder_list(folder, &list);
        for (int i = 0; i < list.count && !status_failed(&listed); i++)
            if (!list.folder[i].set_aside && list.folder[i].step > step) newest = false;
        free(list.folder);
    }
    comm_broadcast(comm, &newest, sizeof newest, 0);
    return newest;
}

bool checkpoint_has(Comm *comm, const char *folder, int64_t step) {
    char name[STEP_NAME];
    step_folder_name(name, step);
    bool has = comm_rank(comm) == 0 && holds_folder(folder, name);
    comm_broadcast(comm, &has, sizeof has, 0);
    return has;
}

bool checkpoint_any(const char *folder) {
    StepList list = {0};
    const Status listed = step_folder_list(folder, &list);
    const bool any = !status_failed(&listed) && list.count > 0;
    free(list.folder);
    return any;
}

/* Deletes what is older than the last `keep` and not the best; sets set aside go with those of their age. */
static Status prune(const char *folder, int64_t keep, int64_t best_step) {
    char best[STEP_NAME], linked[STEP_NAME], path[FILE_PATH];
    StepList list;
    require(keep >= 1);
    step_folder_name(best, best_step);
    step_folder_read_link(folder, "best", linked); /* another one where the link could not be written */
    Status first = step_folder_sweep(folder);
    TRY(step_folder_list(folder, &list));
    int64_t kept = 0, oldest = 0;
    for (int i = 0; i < list.count; i++) {
        const StepFolder *set = &list.folder[i];
        if (!set->set_aside && kept < keep) {
            kept++;
            oldest = set->step;
        } else if (strcmp(set->name, best) != 0 && strcmp(set->name, linked) != 0 && kept > 0 && set->step < oldest) {
            Status status = atomic_file_join(path, folder, set->name);
            if (!status_failed(&status)) status = atomic_file_remove_tree(path);
            if (!status_failed(&first)) first = status;
        }
    }
    free(list.folder);
    return first;
}

Status checkpoint_prune(Comm *comm, const char *folder, int64_t keep, int64_t best) {
    return comm_agree(comm, comm_rank(comm) == 0 ? prune(folder, keep, best) : status_ok());
}
