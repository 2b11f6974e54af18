#define _GNU_SOURCE /* renameat2 */
#include "base/atomic_file.h"
#include "base/log.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* State of the process as a whole, like the log: a fault must reach every operation, whoever asks for it. */
static struct {
    FileFault fault;
    int64_t operations;
} the_seam;

void atomic_file_set_fault(FileFault fault) {
    the_seam.fault = fault;
    the_seam.operations = 0;
}

int64_t atomic_file_operations(void) { return the_seam.operations; }

/* Counts an operation and says which fault strikes it. */
static FaultKind pass_seam(void) {
    int64_t operation = ++the_seam.operations;
    const FileFault *fault = &the_seam.fault;
    if (fault->lasting ? operation < fault->operation : operation != fault->operation) return FAULT_NONE;
    if (fault->kind == FAULT_KILL) raise(SIGKILL);
    return fault->kind;
}

/* Sets errno and returns true where the operation about to happen must fail. */
static bool is_struck(void) {
    FaultKind kind = pass_seam();
    if (kind != FAULT_ENOSPC && kind != FAULT_EIO) return false;
    errno = kind == FAULT_ENOSPC ? ENOSPC : EIO;
    return true;
}

Status atomic_file_parse_fault(const char *text, int rank, FileFault *fault) {
    static const char *const names[] = {
        [FAULT_KILL] = "kill", [FAULT_ENOSPC] = "enospc", [FAULT_EIO] = "eio", [FAULT_SHORT] = "short"};
    *fault = (FileFault){.kind = FAULT_NONE};
    char kind[8] = "", lasting = 0, end = 0;
    long long operation = 0;
    int only_rank = rank, length = 0;
    if (sscanf(text, "%7[a-z]:%9lld%n", kind, &operation, &length) >= 2) {
        const char *rest = text + length;
        if (*rest == '+') lasting = *rest++;
        bool well_formed = *rest == 0 || sscanf(rest, "@%6d%c", &only_rank, &end) == 1;
        for (FaultKind k = FAULT_KILL; k <= FAULT_SHORT && well_formed && operation > 0; k++)
            if (strcmp(kind, names[k]) == 0) {
                if (only_rank == rank) *fault = (FileFault){k, operation, lasting != 0};
                return status_ok();
            }
    }
    return status_error(
        RAM_USAGE, "the fault '%s' (RAM_FAULT) is not KIND:N[+][@RANK] with KIND kill, enospc, eio or short", text);
}

Status atomic_file_error(const char *what, const char *path, int error) {
    const char *advice = "check the file system";
    if (error == ENOSPC || error == EDQUOT) advice = "free some space or choose another folder";
    if (error == EFBIG) advice = "raise the limit on the size of a file (ulimit -f) or choose another folder";
    if (error == EACCES || error == EPERM || error == EROFS) advice = "make it writable or choose another folder";
    if (error == ENOENT) advice = "make its folder first, or choose another";
    if (error == ENAMETOOLONG) advice = "choose a shorter name";
    if (error == EEXIST || error == ENOTDIR) advice = "something else has that name; move it or choose another folder";
    return status_error(RAM_IO, "cannot %s %.400s: %s; %s", what, path, strerror(error), advice);
}

Status atomic_file_join(char out[FILE_PATH], const char *folder, const char *name) {
    int length = snprintf(out, FILE_PATH, "%s/%s", folder, name);
    if (length < 0 || length >= FILE_PATH)
        return status_error(RAM_USAGE, "the path %.200s.../%.100s is too long; choose a shorter folder", folder, name);
    return status_ok();
}

bool atomic_file_is_in(const char *folder, const char *name) {
    char path[FILE_PATH];
    const Status joined = atomic_file_join(path, folder, name);
    return !status_failed(&joined) && access(path, F_OK) == 0;
}

bool atomic_file_is_at(const char *path, int file) {
    struct stat opened, named;
    return fstat(file, &opened) == 0 && stat(path, &named) == 0 && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
}

/* Length of the folder's part of `path`, without the slash before the name; 0: the working folder. */
static size_t parent_length(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return 0;
    return slash == path ? 1 : (size_t)(slash - path);
}

Status atomic_file_parent(const char *path, char parent[FILE_PATH]) {
    size_t length = parent_length(path);
    if (length >= FILE_PATH) return status_error(RAM_USAGE, "the path %.300s... is too long", path);
    memcpy(parent, length ? path : ".", length ? length : 1);
    parent[length ? length : 1] = 0;
    return status_ok();
}

/* out = path with `prefix` before its last name. */
static Status prefixed(const char *path, const char *prefix, char out[FILE_PATH]) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    int length = snprintf(out, FILE_PATH, "%.*s%s%s", (int)(name - path), path, prefix, name);
    if (length < 0 || length >= FILE_PATH) return status_error(RAM_USAGE, "the path %.300s... is too long", path);
    return status_ok();
}

Status atomic_file_sync_folder(const char *path) {
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return atomic_file_error("open the folder", path, errno);
    /* EINVAL: a file system that has no such thing as syncing a folder */
    bool failed = is_struck() || (fsync(folder) != 0 && errno != EINVAL);
    int error = errno;
    close(folder);
    return failed ? atomic_file_error("sync the folder", path, error) : status_ok();
}

static Status sync_parent(const char *path) {
    char parent[FILE_PATH];
    TRY(atomic_file_parent(path, parent));
    return atomic_file_sync_folder(parent);
}

/* write(2) behind the seam. */
static ssize_t write_some(int file, const char *data, size_t bytes) {
    FaultKind kind = pass_seam();
    if (kind == FAULT_NONE || (kind == FAULT_SHORT && bytes < 2)) return write(file, data, bytes);
    ssize_t half = write(file, data, bytes / 2);
    if (kind == FAULT_SHORT) return half;
    errno = kind == FAULT_ENOSPC ? ENOSPC : EIO;
    return -1;
}

/* 0 or an errno. */
static int write_and_sync(int file, const char *data, size_t bytes) {
    for (size_t done = 0; done < bytes;) {
        ssize_t count = write_some(file, data + done, bytes - done);
        if (count < 0 && errno != EINTR) return errno;
        if (count > 0) done += (size_t)count;
    }
    if (is_struck() || fsync(file) != 0) return errno;
    return 0;
}

Status atomic_file_create(const char *path, const void *data, size_t bytes) {
    if (is_struck()) return atomic_file_error("create", path, errno);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0) return atomic_file_error("create", path, errno);
    int error = write_and_sync(file, data, bytes);
    if (close(file) != 0 && !error) error = errno; /* NFS reports a full disk as late as here */
    return error ? atomic_file_error("write", path, error) : status_ok();
}

/* rename(2), not yet synced. */
static Status rename_unsynced(const char *from, const char *to) {
    if (is_struck() || rename(from, to) != 0) return atomic_file_error("rename to", to, errno);
    return status_ok();
}

Status atomic_file_rename(const char *from, const char *to) {
    TRY(rename_unsynced(from, to));
    return sync_parent(to);
}

static Status unlink_one(const char *path) {
    if (is_struck() || (unlink(path) != 0 && errno != ENOENT)) return atomic_file_error("delete", path, errno);
    return status_ok();
}

/* Opens the temporary for this process alone, empty; one that a killed process left behind is taken over. Where the
 * file system knows no locks, nothing keeps two writers apart. */
static Status open_temporary(const char *path, const char *temporary, int *file) {
    if (is_struck()) return atomic_file_error("create", temporary, errno);
    for (;;) {
        *file = open(temporary, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        if (*file < 0) /* what is wrong with the temporary's own name is told of it */
            return atomic_file_error("create", errno == ENOENT || errno == ENAMETOOLONG ? path : temporary, errno);
        if (flock(*file, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
            close(*file);
            return status_error(RAM_IO, "another process is writing %.400s: wait for it, or choose another name", path);
        }
        const bool is_named = atomic_file_is_at(temporary, *file);
        if (is_named && ftruncate(*file, 0) == 0) return status_ok();
        const int error = errno;
        close(*file);
        if (is_named) return atomic_file_error("write", temporary, error);
        /* else its writer has just given it its name, or deleted it */
    }
}

Status atomic_file_write(const char *path, const void *data, size_t bytes) {
    char temporary[FILE_PATH];
    struct stat facts;
    int file = -1;
    if (stat(path, &facts) == 0 && !S_ISREG(facts.st_mode)) /* a rename would put a file in a device's place */
        return status_error(RAM_IO, "%.400s is there and is no regular file: choose another name", path);
    TRY(prefixed(path, ".tmp-", temporary));
    TRY(open_temporary(path, temporary, &file));
    const int error = write_and_sync(file, data, bytes);
    Status status = error ? atomic_file_error("write", path, error) : rename_unsynced(temporary, path);
    if (status_failed(&status)) unlink_one(temporary); /* best effort: the first error is the one to tell */
    close(file); /* not before the rename, since it gives up the lock; what could fail did so in fsync */
    return status_failed(&status) ? status : sync_parent(path);
}

bool atomic_file_is_folder(const char *path) {
    struct stat facts;
    return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

Status atomic_file_make_temporary(const char *path) {
    if (is_struck()) return atomic_file_error("make the folder", path, errno);
    if (mkdir(path, 0777) == 0) return status_ok();
    int error = errno;
    if (error == EEXIST && atomic_file_is_folder(path))
        return status_ok(); /* someone else was quicker, or a trailing slash */
    return atomic_file_error("make the folder", path, error);
}

Status atomic_file_make_folder(const char *path) {
    char parent[FILE_PATH];
    if (atomic_file_is_folder(path)) return status_ok();
    TRY(atomic_file_parent(path, parent));
    if (strcmp(parent, path) != 0) TRY(atomic_file_make_folder(parent));
    TRY(atomic_file_make_temporary(path));
    return sync_parent(path);
}

Status atomic_file_commit_folder(const char *temporary, const char *path) {
    TRY(atomic_file_sync_folder(temporary));
    return atomic_file_rename(temporary, path);
}

Status atomic_file_switch_link(const char *target, const char *link) {
    char temporary[FILE_PATH];
    TRY(prefixed(link, ".tmp-", temporary));
    TRY(unlink_one(temporary));
    if (is_struck() || symlink(target, temporary) != 0) return atomic_file_error("make the link", temporary, errno);
    return rename_unsynced(temporary, link);
}

static Status delete_tree(const char *path);

static Status delete_content(const char *path, DIR *folder) {
    struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        char child[FILE_PATH];
        TRY(atomic_file_join(child, path, entry->d_name));
        TRY(delete_tree(child));
    }
    return status_ok();
}

static Status delete_tree(const char *path) {
    struct stat facts;
    if (lstat(path, &facts) != 0) return errno == ENOENT ? status_ok() : atomic_file_error("look at", path, errno);
    if (!S_ISDIR(facts.st_mode)) return unlink_one(path);
    DIR *folder = opendir(path);
    if (!folder) return atomic_file_error("open the folder", path, errno);
    Status status = delete_content(path, folder);
    closedir(folder);
    TRY(status);
    if (is_struck() || rmdir(path) != 0) return atomic_file_error("delete the folder", path, errno);
    return status_ok();
}

Status atomic_file_remove_tree(const char *path) {
    char trash[FILE_PATH];
    struct stat facts;
    if (lstat(path, &facts) != 0 && errno == ENOENT) return status_ok();
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (strncmp(name, ".trash-", 7) == 0) return delete_tree(path);
    TRY(prefixed(path, ".trash-", trash));
    TRY(delete_tree(trash)); /* left by a deletion that was cut short */
    TRY(atomic_file_rename(path, trash));
    return delete_tree(trash);
}

Status atomic_file_replace_folder(const char *temporary, const char *path) {
    TRY(atomic_file_sync_folder(temporary));
    if (is_struck()) return atomic_file_error("replace", path, errno);
    if (renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_EXCHANGE) == 0) {
        TRY(sync_parent(path));
        return atomic_file_remove_tree(temporary);
    }
    const bool cannot_exchange = errno == EINVAL || errno == ENOSYS;
    if (errno != ENOENT && !cannot_exchange) return atomic_file_error("replace", path, errno);
    if (!cannot_exchange) return atomic_file_rename(temporary, path);
    char trash[FILE_PATH]; /* named after `temporary`, as all else that a crash may leave */
    TRY(prefixed(temporary, ".trash-", trash));
    TRY(delete_tree(trash));
    TRY(rename_unsynced(path, trash));
    TRY(atomic_file_rename(temporary, path));
    return delete_tree(trash);
}

/* What is not there, or is no file, is bad data; what cannot be read now may be right, and is not to be given up for
 * that. */
static Status cannot_read(const char *path, int error) {
    if (error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENODATA)
        return status_error(RAM_DATA, "cannot read %.400s: %s", path,
                            error == ENODATA ? "it ends early" : strerror(error));
    return status_error(RAM_IO, "cannot read %.400s: %s; make it readable", path, strerror(error));
}

/* 0, or an errno; ENODATA where the file ends early. */
static int read_all(int file, char *data, size_t bytes) {
    for (size_t done = 0; done < bytes;) {
        ssize_t count = read(file, data + done, bytes - done);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return errno;
        if (count == 0) return ENODATA;
        done += (size_t)count;
    }
    return 0;
}

Status atomic_file_read(const char *path, size_t most, void **data, size_t *bytes) {
    int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) return cannot_read(path, errno);
    void *content = NULL;
    struct stat facts;
    Status status = status_ok();
    if (fstat(file, &facts) != 0 || !S_ISREG(facts.st_mode))
        status = status_error(RAM_DATA, "%.400s is not a file", path);
    else if ((uint64_t)facts.st_size > most)
        status = status_error(RAM_DATA,
                              "%.400s holds %lld bytes where at most %zu are expected; it was changed or is not "
                              "what it is taken for",
                              path, (long long)facts.st_size, most);
    if (!status_failed(&status)) {
        *bytes = (size_t)facts.st_size;
        status = memory_new_for(*bytes + 1, &content, "reading %s", path); /* a text can be read as a string */
    }
    if (!status_failed(&status)) {
        const int error = read_all(file, content, *bytes);
        if (error) status = cannot_read(path, error);
    }
    close(file);
    if (status_failed(&status))
        free(content);
    else
        *data = content;
    return status;
}
