/* Watch: the place of a rank in the run's collectives, and a thread that ends the run when this rank has waited too
 * long in one of them. Owns RUN/.ranks/, where each rank keeps its place in a small mapped file, since MPI itself is
 * stuck when one wants to know. Must not know what the collectives carry. Included by mpi/comm*.c alone.
 *
 * A collective costs two stores into memory and no clock: the thread looks at the place now and then and counts for how
 * long it has seen the same one. Nothing here is collective. */
#ifndef RAM_MPI_WATCH_H
#define RAM_MPI_WATCH_H

#include "base/status.h"

typedef struct Watch Watch;

typedef enum {
    IN_INIT,
    IN_BARRIER,
    IN_BROADCAST,
    IN_GATHER,
    IN_REDUCTION,
    IN_EXCHANGE,
    IN_SHARED,
    IN_FINALIZE,
    COLLECTIVES
} Collective;

/* Owned by the caller; never NULL. */
Watch *watch_new(int rank, int size);

/* Of the main thread, around each collective. */
void watch_enter(Watch *watch, Collective collective);
void watch_leave(Watch *watch);

/* Leaves no files of an earlier run in `folder`, which may be missing. For one rank, before the others open theirs. */
void watch_clear(const char *folder);

/* Keeps the place in a file of `folder` from now on; `shared`: with ranks of other hosts. RAM_IO: the place stays in
 * memory, where the others do not see it. */
Status watch_open(Watch *watch, const char *folder, bool shared);

/* Ends the thread and deletes the file. */
void watch_close(Watch *watch);

/* Starts the thread: a wait of more than `seconds` prints who waits where and who never came, and ends the run with
 * RAM_TIMEOUT. 0 seconds: no thread. */
void watch_start(Watch *watch, double seconds);

/* From now on so many seconds more; of the main thread, outside of a collective. */
void watch_grace(Watch *watch, double seconds);

void watch_free(Watch *watch); /* NULL is allowed */

#endif
