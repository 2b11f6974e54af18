#define _GNU_SOURCE /* F_OFD_SETLK */
#include "store/run_folder.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The lock file stays when the run ends: deleting it would let two later runs lock two different files of its name. */
static const char LOCK[] = ".lock";

static Status in_use(const char *path, int lock) {
    char holder[300] = "";
    ssize_t length = pread(lock, holder, sizeof holder - 1, 0);
    holder[length > 0 ? length : 0] = 0;
    holder[strcspn(holder, "\n")] = 0;
    return status_error(RAM_USAGE,
                        "the run folder %.200s is in use by %.200s; wait for it to end, stop it, or choose another "
                        "folder (run.dir)",
                        path, holder[0] ? holder : "another process");
}

/* Tells those who come later who holds the lock. Only a courtesy, so a failure is no error. */
static void sign(int lock) {
    char host[256] = "?", text[300];
    gethostname(host, sizeof host - 1);
    int length = snprintf(text, sizeof text, "process %d on %s\n", (int)getpid(), host);
    if (ftruncate(lock, 0) == 0 && pwrite(lock, text, (size_t)length, 0) != length) ftruncate(lock, 0);
}

static Status take_lock(const char *path, int *lock) {
    char file[FILE_PATH];
    TRY(atomic_file_join(file, path, LOCK));
    *lock = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (*lock < 0)
        return status_error(RAM_IO,
                            "cannot write into the run folder %.400s: %s; make it writable or choose another (run.dir)",
                            path, strerror(errno));
    /* an open-file-description lock: unlike flock() it reaches over NFS, unlike POSIX locks no other close() drops it
     */
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(*lock, F_OFD_SETLK, &whole) == 0) {
        sign(*lock);
        return status_ok();
    }
    if (errno != EAGAIN && errno != EACCES) {
        log_warning("cannot lock the run folder %s (%s): take care that no second run uses it", path, strerror(errno));
        return status_ok();
    }
    Status status = in_use(path, *lock);
    close(*lock);
    *lock = -1;
    return status;
}

static Status open_on_first_rank(RunFolder *folder) {
    TRY(atomic_file_make_folder(folder->path));
    TRY(take_lock(folder->path, &folder->lock));
    TRY(atomic_file_make_folder(folder->checkpoints));
    return atomic_file_make_folder(folder->traces);
}

Status run_folder_open(Comm *comm, const char *path, RunFolder *folder) {
    *folder = (RunFolder){.lock = -1};
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

void run_folder_close(RunFolder *folder) {
    if (folder->lock >= 0) close(folder->lock);
    folder->lock = -1;
}
