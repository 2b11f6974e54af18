/* Folder check: whether the place of a run folder is one where checkpoints can be kept: files are written, synced and
 * renamed there, and every rank sees them. Leaves nothing behind and makes no folder. */
#ifndef RAM_STORE_FOLDER_CHECK_H
#define RAM_STORE_FOLDER_CHECK_H

#include "base/atomic_file.h"
#include "mpi/comm.h"

typedef struct {
    char path[FILE_PATH]; /* the run folder, or the nearest folder above it that exists */
    char system[32];      /* "nfs", "lustre", "ext4"; a number where it is unknown */
    double seconds;       /* of a small file: write, fsync, rename, fsync of the folder */
    int64_t free_bytes;
    double clock_ahead; /* seconds by which the file system's clock is ahead of rank 0's */
} FolderFacts;

/* `run`: the run folder, which need not exist. RAM_IO where it cannot be written, is not seen by a rank, or is full;
 * RAM_USAGE where another process is training in it. The same on all ranks; `facts` on rank 0. @collective */
Status folder_check(Comm *comm, const char *run, FolderFacts *facts);

#endif
