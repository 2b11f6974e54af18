/* CommNccl: sums over the ranks' GPUs, or messages between them, by NCCL, on the stream that computes what is summed or
 * sent. Owns NCCL's communicator, which Comm brings about. NCCL is loaded when it is asked for, so that the program
 * starts where it is not installed. Must not know what is summed or sent. Where the build found no NCCL,
 * comm_nccl_absent.c says so in place of comm_nccl.c.
 *
 * Every wait has a limit: past it, or when NCCL reports a fault, this rank names the sum or exchange, leaves NCCL's
 * communicator by ncclCommAbort, and ends all ranks with RAM_TIMEOUT (a peer is gone or stuck), RAM_INTERNAL (a GPU's
 * fault) or RAM_UNAVAILABLE. */
#ifndef RAM_MPI_COMM_NCCL_H
#define RAM_MPI_COMM_NCCL_H

#include "base/status.h"
#include "mpi/comm.h"

#include <stdbool.h>

typedef struct CommNccl CommNccl;

/* Whether this rank can load NCCL; *version is 22809 for 2.28.9, or 0. RAM_UNAVAILABLE: why not. */
Status comm_nccl_find(int *version);

/* What a communicator is opened for, and may be used for alone: the first use makes the connections that this kind
 * needs, so that no later one waits for them, nor meets its limit there. */
typedef enum { NCCL_SUMS, NCCL_EXCHANGES } NcclUse;

/* The first time on a cluster takes tens of seconds. */
enum { NCCL_OPENING_SECONDS = 120 };

typedef struct {
    int gpu; /* CUDA's index of this rank's */
    NcclUse use;
    int64_t count;  /* NCCL_SUMS: floats of the longest sum, for the first one */
    double seconds; /* limit of a wait; 0: none */
    double opening; /* the same of all that opening takes */
} CommNcclOptions;

/* One rank per GPU, of the ranks of `comm`; one rank alone is allowed. Ends with the first use, whose result is
 * checked: a sum of ones, at once and as part of a CUDA graph, or a message from every rank to every rank.
 * RAM_UNAVAILABLE, RAM_TIMEOUT (past options->opening), the same on all ranks: NCCL cannot join them. comm_watch has
 * patience meanwhile. @collective */
Status comm_nccl_open(Comm *comm, const CommNcclOptions *options, CommNccl **nccl);
void comm_nccl_free(CommNccl *nccl); /* NULL is allowed. @collective */
NcclUse comm_nccl_use(const CommNccl *nccl);
/* Whether sums may be part of a CUDA graph: on all ranks, or on none, for a reason that the log tells. */
bool comm_nccl_records(const CommNccl *nccl);

/* floats (count), device memory, becomes the sum over all ranks when `stream` (a cudaStream_t) gets there. In an order
 * of NCCL's own: the same bits on the same ranks and GPUs. `what` names the sum for the message. Returns when it is
 * done; but where the stream is under capture (comm_nccl_records), on all ranks alike, the sum is part of the graph. In
 * a capture that CUDA has given up nothing is asked of NCCL: then no rank may play its graph.
 * @collective, when it is played too */
void comm_nccl_sum(CommNccl *nccl, float *floats, int64_t count, void *stream, const char *what);

/* As comm_exchange, between the GPUs: the messages' data is device memory, which is read and written when `stream` gets
 * there; the lists of messages are read at once. A message to oneself is allowed; those of no bytes are left out. Two
 * messages of one exchange must not overlap, unless both are sent. `what` names it for the message. @collective among
 * the peers */
void comm_nccl_exchange(CommNccl *nccl, int sends, const Message *send, int receives, const Message *receive,
                        void *stream, const char *what);

/* Waits until `stream` has done all that was given to it, a sum or exchange of the name `what` among it. */
void comm_nccl_wait(CommNccl *nccl, void *stream, const char *what);

#endif
