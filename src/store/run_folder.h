/* Run folder: the folder of one training run, and the kernel lock that keeps a second run out of it. The lock vanishes
 * with its owner, however that ends. Must not know what lies in it besides the two folders that it makes. */
#ifndef RAM_STORE_RUN_FOLDER_H
#define RAM_STORE_RUN_FOLDER_H

#include "base/atomic_file.h"
#include "mpi/comm.h"

typedef struct {
    char path[FILE_PATH];
    char checkpoints[FILE_PATH]; /* path/checkpoints */
    char traces[FILE_PATH];      /* path/traces */
    int lock;                    /* descriptor on rank 0, else -1 */
    int self;                    /* the folder, open on rank 0: while it is, no other can have its inode; else -1 */
} RunFolder;

/* Makes RUN, RUN/checkpoints and RUN/traces where missing and locks RUN for this run until run_folder_close().
 * RAM_USAGE where another process holds it, named with host and pid; RAM_IO. @collective */
Status run_folder_open(Comm *comm, const char *path, RunFolder *folder);

void run_folder_close(RunFolder *folder);

/* Before something in it is read or written again: whether what lies at the path is still this run's folder. A lock
 * file that was deleted is made anew. RAM_IO: the folder was moved or deleted, or another run has begun in it. Rank 0.
 */
Status run_folder_check(RunFolder *folder);

/* Whether a run holds the folder now. Not collective. */
bool run_folder_in_use(const char *path);

#endif
