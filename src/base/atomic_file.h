/* Atomic files: the one place that creates, writes, syncs, renames and deletes what counts as committed to disk, and
 * the one seam where tests make such operations fail. Must not know what the files hold. Nothing here is collective:
 * one rank commits, the others wait. Beside the errors that are named, RAM_USAGE is a path that is too long. */
#ifndef RAM_BASE_ATOMIC_FILE_H
#define RAM_BASE_ATOMIC_FILE_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

enum { FILE_PATH = 4096 };

/* out = folder/name. */
Status atomic_file_join(char out[FILE_PATH], const char *folder, const char *name);

/* Whether the open file or folder is the one at `path`, which may have been moved, deleted or replaced. */
bool atomic_file_is_at(const char *path, int file);

/* The folder that `path` lies in: "." where it names none, "/" for what is in the root. */
Status atomic_file_parent(const char *path, char parent[FILE_PATH]);

/* Whether `folder` has something of that name. Where it cannot be looked into it has nothing: who opens it tells. */
bool atomic_file_is_in(const char *folder, const char *name);

/* RAM_IO: "cannot WHAT PATH: why; what to do about it" for an errno of an operation that writes. */
Status atomic_file_error(const char *what, const char *path, int error);

/* Replaces `path` in one step: a temporary beside it, fsync, rename, fsync of the folder. A failure or a crash leaves
 * the old content. RAM_IO; also where `path` is something else than a regular file, a device for one, and where another
 * process is writing it. */
Status atomic_file_write(const char *path, const void *data, size_t bytes);

/* Writes and syncs a file inside a folder that is not committed yet. RAM_IO. */
Status atomic_file_create(const char *path, const void *data, size_t bytes);

/* Whether `path` is a folder, or a link to one. */
bool atomic_file_is_folder(const char *path);

/* Makes the folder and the missing ones above it, synced; an existing one is fine. RAM_IO. */
Status atomic_file_make_folder(const char *path);

/* Makes a folder that need not outlive a crash, in one that exists. RAM_IO. */
Status atomic_file_make_temporary(const char *path);

/* Gives the finished folder `temporary` its name in one step; `path` must not exist. RAM_IO. */
Status atomic_file_commit_folder(const char *temporary, const char *path);

/* The same where `path` may exist: the two change places in one step, then the old one is deleted. Where the file
 * system cannot do that (NFS), the old one is gone a moment before the new one is there. RAM_IO. */
Status atomic_file_replace_folder(const char *temporary, const char *path);

/* Renames within one folder, synced. RAM_IO. */
Status atomic_file_rename(const char *from, const char *to);

/* Points the symbolic link `link` at `target` in one step: a crash leaves the old link or the new one. For the new one
 * to last, sync its folder. RAM_IO. */
Status atomic_file_switch_link(const char *target, const char *link);

/* Makes what happened to the names in a folder last. RAM_IO. */
Status atomic_file_sync_folder(const char *path);

/* Deletes a file or a folder and all that is in it: first renamed `.trash-NAME`, so that no half-deleted folder can
 * pass for a whole one. What does not exist counts as deleted. RAM_IO. */
Status atomic_file_remove_tree(const char *path);

/* Reads a regular file of at most `most` bytes. free() *data. RAM_DATA: it is missing, larger, or no file. RAM_IO: it
 * cannot be read now. RAM_USAGE: there is no memory for it, either. *data is set on success alone. Never waits, not
 * even for a pipe in its place. */
Status atomic_file_read(const char *path, size_t most, void **data, size_t *bytes);

/* The seam. Every open for writing, write, fsync, rename, unlink, rmdir, mkdir and symlink above is one operation. */
typedef enum {
    FAULT_NONE,
    FAULT_KILL,   /* SIGKILL to the own process in place of the operation */
    FAULT_ENOSPC, /* the operation fails; a write, halfway */
    FAULT_EIO,
    FAULT_SHORT /* a write takes half of what it was given and says so, as the system may at any time */
} FaultKind;

typedef struct {
    FaultKind kind;
    int64_t operation; /* which one from atomic_file_set_fault on, counted from 1 */
    bool lasting;      /* and all that follow */
} FileFault;

/* Arms the seam and starts counting anew. */
void atomic_file_set_fault(FileFault fault);

/* Operations since then. */
int64_t atomic_file_operations(void);

/* "KIND:N", "KIND:N+" (lasting) or either with "@RANK" (the others are spared); KIND: kill enospc eio short.
 * What the documented environment variable RAM_FAULT holds. RAM_USAGE. */
Status atomic_file_parse_fault(const char *text, int rank, FileFault *fault);

#endif
