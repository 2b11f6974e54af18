#define _GNU_SOURCE /* F_OFD_SETLK */
#include "store/file_lock.h"
#include "base/atomic_file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* 0, or an errno. An open-file-description lock: unlike flock() it reaches over NFS, unlike POSIX locks no other
 * close() drops it. */
static int lock_file(int file) {
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(file, F_OFD_SETLK, &whole) == 0 ? 0 : errno;
}

/* Whether the error says that another process has the lock, rather than that the file system has none. */
static bool is_held(int error) { return error == EAGAIN || error == EACCES; }

static Status in_use(const char *what, const char *advice, int file) {
    char holder[300] = "";
    ssize_t length = pread(file, holder, sizeof holder - 1, 0);
    holder[length > 0 ? length : 0] = 0;
    holder[strcspn(holder, "\n")] = 0;
    return status_error(RAM_USAGE, "%.200s is in use by %.120s; %.100s", what, holder[0] ? holder : "another process",
                        advice);
}

/* Tells those who come later who holds the lock. Only a courtesy, so a failure is no error. */
static void sign(int file) {
    char host[256] = "?", text[300];
    gethostname(host, sizeof host - 1);
    int length = snprintf(text, sizeof text, "process %d on %s\n", (int)getpid(), host);
    if (ftruncate(file, 0) == 0 && pwrite(file, text, (size_t)length, 0) != length) ftruncate(file, 0);
}

Status file_lock_take(const char *path, const char *what, const char *advice, int *lock) {
    for (;;) {
        *lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (*lock < 0)
            return status_error(RAM_IO,
                                "cannot write the lock file %.300s: %s; make its folder writable or choose another",
                                path, strerror(errno));
        const int error = lock_file(*lock);
        if (is_held(error)) {
            Status status = in_use(what, advice, *lock);
            file_lock_release(lock);
            return status;
        }
        if (error)
            log_warning("cannot lock %s (%s): take care that no other process uses it", what, strerror(error));
        else if (!atomic_file_is_at(path, *lock)) { /* who held it before may have deleted it meanwhile */
            file_lock_release(lock);
            continue;
        }
        sign(*lock);
        return status_ok();
    }
}

bool file_lock_try(const char *path, int *lock) {
    *lock = open(path, O_RDWR | O_CLOEXEC);
    if (*lock >= 0 && lock_file(*lock) == 0 && atomic_file_is_at(path, *lock)) return true;
    file_lock_release(lock);
    return false;
}

bool file_lock_is_held(const char *path) {
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET}; /* only asked for: whoever takes it now gets it */
    int file = open(path, O_RDONLY | O_CLOEXEC);
    const bool held = file >= 0 && fcntl(file, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
    file_lock_release(&file);
    return held;
}

void file_lock_release(int *lock) {
    if (*lock >= 0) close(*lock);
    *lock = -1;
}

void file_lock_delete(const char *path, int *lock) {
    unlink(path); /* before others can have it */
    file_lock_release(lock);
}
