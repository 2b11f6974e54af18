#include "cmd/restart.h"
#include "base/log.h"
#include "base/memory.h"
#include "store/run_folder.h"
#include "store/step_folder.h"
#include "train/stop.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* Seconds that the last run may still hold its folder: a lost node's lock lasts as long as its file server's lease. */
static const double RELEASE = 120;

typedef struct {
    char run[FILE_PATH], checkpoints[FILE_PATH], log[FILE_PATH];
} Folders;

static Status find_folders(const Arguments *arguments, Folders *folders) {
    TRY(arguments_run_path(arguments, folders->run));
    TRY(atomic_file_join(folders->log, folders->run, "run.log"));
    return atomic_file_join(folders->checkpoints, folders->run, "checkpoints");
}

/* Step of the newest set in use; -1: there is none. */
static int64_t newest_step(const char *checkpoints) {
    StepList list = {0};
    const Status listed = step_folder_list(checkpoints, &list);
    const int64_t step =
        !status_failed(&listed) && list.count > 0 && !list.folder[0].set_aside ? list.folder[0].step : -1;
    free(list.folder);
    return step;
}

/* A set is known by its step and its folder's inode, which it keeps when it is put aside. */
typedef struct {
    int count;
    struct {
        int64_t step;
        ino_t inode;
    } * set;
} KnownSets;

static KnownSets known_sets(const char *checkpoints) {
    KnownSets known = {0};
    StepList list = {0};
    const Status listed = step_folder_list(checkpoints, &list);
    if (!status_failed(&listed)) known.set = memory_new((size_t)list.count + 1, sizeof *known.set);
    for (int i = 0; i < list.count && !status_failed(&listed); i++) {
        char path[FILE_PATH];
        struct stat facts;
        const Status joined = atomic_file_join(path, checkpoints, list.folder[i].name);
        if (status_failed(&joined) || stat(path, &facts) != 0) continue;
        known.set[known.count].step = list.folder[i].step;
        known.set[known.count++].inode = facts.st_ino;
    }
    free(list.folder);
    return known;
}

/* Whether there is a set that was not there before. */
static bool has_new_set(const char *checkpoints, const KnownSets *before) {
    KnownSets now = known_sets(checkpoints);
    bool found = false;
    for (int i = 0; i < now.count && !found; i++) {
        int j = 0;
        while (j < before->count &&
               (now.set[i].step != before->set[j].step || now.set[i].inode != before->set[j].inode))
            j++;
        found = j == before->count;
    }
    free(now.set);
    return found;
}

static void wait_for_release(const char *run) {
    const struct timespec pause = {.tv_nsec = 100000000};
    for (double waited = 0; waited < RELEASE && run_folder_in_use(run) && !stop_requested(); waited += 0.1)
        nanosleep(&pause, NULL);
}

/* The line with `--resume auto` at its end, where the last word counts; free() it. Without a checkpoint that these
 * ranks have saved a start from a certain one begins there again. */
static char **line_again(char **line, const Arguments *arguments, bool saved) {
    size_t words = 0;
    while (line[words]) words++;
    char **again = memory_new(words + 3, sizeof *again);
    memcpy(again, line, words * sizeof *again);
    if (saved || !arguments->resume) {
        again[words++] = "--resume";
        again[words] = "auto";
    }
    return again;
}

/* In run.log too, which no rank has open now. */
static void tell(const Folders *folders, const char *cause, int failures, int most) {
    const Status attached = log_attach(folders->log);
    (void)attached; /* a run that died before it had a folder has no log */
    log_warning("%s; starting all ranks again (%d of at most %d times without progress)", cause, failures, most);
    log_detach();
}

/* Whether the end is worth another start; counts it. */
static bool try_again(const Folders *folders, const RanksEnd *end, int most, int *failures, int64_t *newest) {
    if (!*end->cause || end->asked || stop_requested()) return false;
    const int64_t now = newest_step(folders->checkpoints);
    if (now > *newest) *failures = 0;
    *newest = now;
    if (*failures == most) {
        log_warning("gave up after %d restart%s without a newer checkpoint", most, most == 1 ? "" : "s");
        return false;
    }
    tell(folders, end->cause, ++*failures, most);
    wait_for_release(folders->run);
    return !stop_requested();
}

static Status run_watched(const Launch *launch, const Arguments *arguments, char **line, RanksEnd *end) {
    const int np = arguments->np ? arguments->np : 1, most = arguments->max_restarts;
    Folders folders;
    int failures = 0;
    TRY(find_folders(arguments, &folders));
    int64_t newest = newest_step(folders.checkpoints);
    KnownSets before = known_sets(folders.checkpoints);
    Status status = launch_ranks(launch, np, true, line, stop_requested, end);
    while (try_again(&folders, end, most, &failures, &newest)) {
        char **again = line_again(line, arguments, has_new_set(folders.checkpoints, &before));
        status = launch_ranks(launch, np, true, again, stop_requested, end);
        free(again);
    }
    free(before.set);
    return status;
}

Status restart_ranks(const Launch *launch, const Arguments *arguments, char **line, int *code) {
    RanksEnd end = {.code = -1};
    const bool watched = arguments->max_restarts > 0 && !launch_is_watched();
    *code = -1;
    if (watched && launch->kind != LAUNCH_ALONE)
        return status_error(RAM_USAGE, "--max-restarts is for ranks that this program starts itself: give --np N with "
                                       "it, without mpirun or srun");
    Status status = watched ? run_watched(launch, arguments, line, &end)
                            : launch_ranks(launch, arguments->np, false, line, stop_requested, &end);
    *code = end.code;
    if (arguments->may_stop && end.too_early) {
        *code = -1;
        status = status_error(RAM_STOPPED, "asked to stop before the ranks had begun: nothing is lost, --resume auto "
                                           "goes on");
    }
    if (arguments->may_stop && end.code == RANKS_UNREAD) {
        *code = -1;
        status = status_error(RAM_STOPPED, "who read the output has gone away, so mpirun stopped all ranks: --resume "
                                           "auto goes on from the newest checkpoint");
    }
    return status;
}
