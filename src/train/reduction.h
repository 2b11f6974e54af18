/* Reduction: the sum of the lanes' gradients over threads and ranks, in the one order of the lane tree (DESIGN 4), so
 * that its bits are the same for any number of ranks. Each rank sums its leaves to its complete subtrees; then every
 * rank takes its part of all subtrees, completes the tree for it, and gives the result to the others: through shared
 * memory where all ranks are on one host and the backend's memory is the host's, else by messages. With NCCL
 * (train.reduction fast) the ranks' sums meet in NCCL's order instead, on the backend's stream.
 * Owns the vectors and the messages' memory. Must not know what is summed. */
#ifndef RAM_TRAIN_REDUCTION_H
#define RAM_TRAIN_REDUCTION_H

#include "backend/backend.h"
#include "mpi/comm.h"
#include "mpi/comm_nccl.h"

typedef struct Reduction Reduction;

/* `count` floats and `tail` doubles of each of `lanes` lanes (a power of two >= the ranks). leaf (leaves): the subtrees
 * that this rank's lanes come summed to, ascending, without gaps. nccl, borrowed: sums by it; NULL: in tree order.
 * @collective */
Reduction *reduction_new(Comm *comm, CommNccl *nccl, Backend *backend, int lanes, int64_t count, int tail, int leaves,
                         const LaneNode *leaf);
void reduction_free(Reduction *reduction); /* NULL is allowed. @collective */

/* (count): where the sum of leaf `leaf` is to be before a run, which overwrites it. */
DevFloats reduction_vector(const Reduction *reduction, int leaf);
/* (count): the sum over all lanes after a run, until the next one begins; not to be written. */
DevFloats reduction_total(const Reduction *reduction);

/* Sums the vectors to the total, and tails (this rank's lanes, tail) to total_tail (tail), both host memory: the same
 * on every rank. With NCCL the tails travel behind the vector, as floats. @collective */
void reduction_run(Reduction *reduction, const double *tails, double *total_tail);

#endif
