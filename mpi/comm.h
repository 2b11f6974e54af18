/* Comm: the ranks of one run and what they exchange. Owns the communicator (self: one rank, no MPI_Init; mpi).
 * mpi.h appears in mpi/ alone. Must not know what is exchanged: lanes, gradients and checkpoints live above.
 * Every call marked @collective must be made by all ranks in the same order. Only the main thread may call. */
#ifndef RAM_MPI_COMM_H
#define RAM_MPI_COMM_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct Comm Comm;

/* The one rank of a run without a launcher; never calls MPI_Init. */
Comm *comm_self_new(void);

/* MPI_COMM_WORLD; calls MPI_Init (funneled) after launch_prepare_mpi. Once in a process's life. A wait of more than
 * `seconds` (at least 60; 0: for ever) for ranks that do not start ends this one, `rank` by the launcher's count, with
 * RAM_TIMEOUT. @collective */
Comm *comm_mpi_new(int rank, double seconds);

/* Ends communication (MPI_Finalize for mpi) and frees. NULL is allowed. @collective */
void comm_free(Comm *comm);

int comm_rank(const Comm *comm);
int comm_size(const Comm *comm);
int comm_local_rank(const Comm *comm); /* among the ranks of this host */
int comm_local_size(const Comm *comm);
int comm_host(const Comm *comm); /* lowest rank of this host: ranks with equal values share a host */

/* The library that carries the messages, for provenance: "Open MPI v4.1.4", or "none" for self. */
const char *comm_library(const Comm *comm);

/* From here on a rank that waits for the others in one collective for more than `seconds` (0: for ever) says who waits
 * where and who never came, and ends all ranks with RAM_TIMEOUT. folder: where ranks keep their places for the others
 * to read, until the next call; NULL: what the others do is not known. One rank waits for no one. RAM_IO: the watch
 * goes on without the folder. @collective */
Status comm_watch(Comm *comm, double seconds, const char *folder);
/* From here on such a wait may take so many seconds more: for other limits that the ranks keep meanwhile. */
void comm_watch_grace(Comm *comm, double seconds);

/* All ranks return the same Status: the one of the lowest rank that failed, or ok. `rank N: ` is not added: a message
 * that depends on the rank names it itself. @collective */
Status comm_agree(Comm *comm, Status mine);

void comm_barrier(Comm *comm);                                           /* @collective */
void comm_broadcast(Comm *comm, void *data, size_t bytes, int root);     /* @collective */
void comm_gather(Comm *comm, const void *mine, size_t bytes, void *all); /* to every rank, in rank order. @collective */
void comm_sum(Comm *comm, int64_t *values, int count);                   /* integers: exact in any order. @collective */
void comm_max(Comm *comm, int64_t *values, int count);                   /* @collective */

/* A point-to-point message; `data` is borrowed until comm_exchange returns. */
typedef struct {
    int peer;
    void *data;
    size_t bytes;
} Message;

/* Sends and receives all messages at once and returns when all are done. Between two ranks messages match in array
 * order. Every send must have a receive of the same size: another size is fatal(), a missing one hangs.
 * A message to oneself is not allowed. @collective among the peers; ranks without messages call it too where comm_watch
 * shall name the right one. */
void comm_exchange(Comm *comm, int sends, const Message *send, int receives, const Message *receive);

/* Memory of each rank that all others read and write in place, where all ranks share one host. */
typedef struct Shared Shared;

/* `bytes` (they may differ) of zeroed memory of this rank, from a cache line on; NULL on every rank where the ranks are
 * not on one host, where there is one rank, or no room. Owned by the caller. @collective */
Shared *comm_shared_new(Comm *comm, size_t bytes);
void *comm_shared_of(const Shared *shared, int rank);
/* What any rank wrote before the call, every rank sees after it. @collective */
void comm_shared_sync(Shared *shared);
void comm_shared_free(Shared *shared); /* before comm_free. NULL is allowed. @collective */

/* Ends all ranks at once with `code`; for states from which no agreement is possible. What log_open wants. */
_Noreturn void comm_abort(int code);

#endif
