#include "store/run_folder.h"
#include "store/file_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* The lock file stays when the run ends: deleting it would let two later runs lock two different files of its name. */
static const char LOCK[] = ".lock";

static Status take_lock(const char *path, int *lock) {
    char file[FILE_PATH], what[300];
    TRY(atomic_file_join(file, path, LOCK));
    snprintf(what, sizeof what, "the run folder %.200s", path);
    return file_lock_take(file, what, "wait for it to end, stop it, or choose another folder (run.dir)", lock);
}

static Status open_on_first_rank(RunFolder *folder) {
    TRY(atomic_file_make_folder(folder->path));
    TRY(take_lock(folder->path, &folder->lock));
    folder->self = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->self < 0) return atomic_file_error("open the folder", folder->path, errno);
    TRY(atomic_file_make_folder(folder->checkpoints));
    return atomic_file_make_folder(folder->traces);
}

Status run_folder_open(Comm *comm, const char *path, RunFolder *folder) {
    *folder = (RunFolder){.lock = -1, .self = -1};
    Status status = status_ok();
    if (snprintf(folder->path, sizeof folder->path, "%s", path) >= FILE_PATH)
        status = status_error(RAM_USAGE, "the run folder's path %.200s... is too long; choose another (run.dir)", path);
    if (!status_failed(&status)) status = atomic_file_join(folder->checkpoints, path, "checkpoints");
    if (!status_failed(&status)) status = atomic_file_join(folder->traces, path, "traces");
    if (!status_failed(&status) && comm_rank(comm) == 0) status = open_on_first_rank(folder);
    status = comm_agree(comm, status);
    if (status_failed(&status)) run_folder_close(folder);
    return status;
}

Status run_folder_check(RunFolder *folder) {
    char file[FILE_PATH];
    TRY(atomic_file_join(file, folder->path, LOCK));
    if (atomic_file_is_at(file, folder->lock)) return status_ok();
    if (!atomic_file_is_at(folder->path, folder->self))
        return status_error(RAM_IO, "the run folder %.400s was moved or deleted: give it its name back", folder->path);
    file_lock_release(&folder->lock);
    const Status status = take_lock(folder->path, &folder->lock);
    if (status.code != RAM_USAGE) return status;
    return status_error(RAM_IO, "%.600s", status.message);
}

void run_folder_close(RunFolder *folder) {
    file_lock_release(&folder->lock);
    if (folder->self >= 0) close(folder->self);
    folder->self = -1;
}

bool run_folder_in_use(const char *path) {
    char file[FILE_PATH];
    const Status joined = atomic_file_join(file, path, LOCK);
    return !status_failed(&joined) && file_lock_is_held(file);
}
