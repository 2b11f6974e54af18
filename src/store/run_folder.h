/* Run folder: the folder of one training run, and the kernel lock that keeps a second run out of it. The lock vanishes
 * with its owner, however that ends. Must not know what lies in it besides the two folders that it makes. */
#ifndef RAM_STORE_RUN_FOLDER_H
#define RAM_STORE_RUN_FOLDER_H

#include "base/atomic_file.h"
#include "mpi/comm.h"

#include <sys/types.h>

typedef struct {
    char path[FILE_PATH];
    char checkpoints[FILE_PATH]; /* path/checkpoints */
    char traces[FILE_PATH];      /* path/traces */
    int lock;                    /* descriptor on rank 0, else -1 */
    dev_t device;                /* with `inode` the folder itself, whatever lies at its path now; of rank 0 */
    ino_t inode;
} RunFolder;

/* Makes RUN, RUN/checkpoints and RUN/traces where missing and locks RUN for this run until run_folder_close().
 * RAM_USAGE where another process holds it, named with host and pid; RAM_IO. @collective */
Status run_folder_open(Comm *comm, const char *path, RunFolder *folder);

void run_folder_close(RunFolder *folder);

/* Before something is saved: whether the folder is still this run's. One that was moved away or deleted is made and
 * locked anew (*renewed). RAM_IO: another run's is in its place. Rank 0. */
Status run_folder_keep(RunFolder *folder, bool *renewed);

/* Whether a run holds the folder now. Not collective. */
bool run_folder_in_use(const char *path);

#endif
