/* Reduction: the sum of the lanes' gradients over threads and ranks, in the one order of the lane tree (DESIGN 4), so
 * that its bits are the same for any number of ranks. Each rank sums its leaves to its complete subtrees; then every
 * rank receives its part of all subtree roots, completes the tree for that part, and sends the result to the others.
 * Owns the messages' memory. Must not know what is summed. reduction_run is collective. */
#ifndef RAM_TRAIN_REDUCTION_H
#define RAM_TRAIN_REDUCTION_H

#include "backend/backend.h"
#include "mpi/comm.h"

typedef struct Reduction Reduction;

/* `count` floats and `tail` doubles of each of `lanes` lanes (a power of two >= the ranks). leaf (leaves): the subtrees
 * that this rank's lanes come summed to, ascending, without gaps. */
Reduction *reduction_new(Comm *comm, Backend *backend, int lanes, int64_t count, int tail, int leaves,
                         const LaneNode *leaf);
void reduction_free(Reduction *reduction); /* NULL is allowed */

/* vector (leaves): (count) each, overwritten. tails (this rank's lanes, tail), host memory.
 * total (count; may be the first of `vector`) and total_tail (tail): the sums over all lanes, the same on every rank.
 * @collective */
void reduction_run(Reduction *reduction, const DevFloats *vector, const double *tails, DevFloats total,
                   double *total_tail);

#endif
