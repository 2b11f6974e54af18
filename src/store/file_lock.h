/* File lock: a kernel lock on a file, which keeps other processes out and vanishes with its owner, however that ends.
 * Owns what the file says: who holds it. Must not know what it guards. Nothing here is collective: one rank locks for
 * all. */
#ifndef RAM_STORE_FILE_LOCK_H
#define RAM_STORE_FILE_LOCK_H

#include "base/status.h"

/* Locks the file `path`, made where missing; *lock is its descriptor, -1 on failure. RAM_USAGE where another process
 * holds it: "WHAT is in use by process N on HOST; ADVICE". RAM_IO. A file system that cannot lock is a warning. */
Status file_lock_take(const char *path, const char *what, const char *advice, int *lock);

/* Locks a file that exists, if it is certain that nobody holds it. */
bool file_lock_try(const char *path, int *lock);

/* Whether another process is known to hold the file: not where it is missing, or the file system cannot lock. */
bool file_lock_is_held(const char *path);

/* Unlocks; -1 is allowed. */
void file_lock_release(int *lock);

/* Unlocks and deletes the file at `path`, which is the locked one. */
void file_lock_delete(const char *path, int *lock);

#endif
