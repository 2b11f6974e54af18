/* Reduction: the sum of the lanes' gradients over threads and ranks, in the one order of the lane tree (DESIGN 4), so
 * that its bits are the same for any number of ranks; with NCCL opened for sums (train.reduction fast) the ranks' sums
 * meet in NCCL's order instead. Each rank sums its leaves to its complete subtrees here; RankSum does the rest between
 * the ranks. Owns the leaves' vectors. Must not know what is summed. */
#ifndef RAM_TRAIN_REDUCTION_H
#define RAM_TRAIN_REDUCTION_H

#include "backend/backend.h"
#include "mpi/comm.h"
#include "mpi/comm_nccl.h"

typedef struct Reduction Reduction;

/* `count` floats and `tail` doubles of each of `lanes` lanes (a power of two >= the ranks). leaf (leaves): the subtrees
 * that this rank's lanes come summed to, ascending, without gaps. nccl, borrowed: see rank_sum_new.
 * @collective */
Reduction *reduction_new(Comm *comm, CommNccl *nccl, Backend *backend, int lanes, int64_t count, int tail, int leaves,
                         const LaneNode *leaf);
void reduction_free(Reduction *reduction); /* NULL is allowed. @collective */

/* (count): where the sum of leaf `leaf` is to be before a run, which overwrites it. */
DevFloats reduction_vector(const Reduction *reduction, int leaf);
/* (count): the sum over all lanes after a run, until the next one begins; not to be written. */
DevFloats reduction_total(const Reduction *reduction);

/* Whether a run needs no host, so that it can be recorded with what comes before and after it: on one rank, and in
 * NCCL's order where NCCL's sums can be recorded. */
bool reduction_is_recordable(const Reduction *reduction);

/* Sums the vectors to the total, and what it can without the host of tails (this rank's lanes, tail), backend memory:
 * reduction_tail does the rest. In NCCL's order the tails travel behind the vector, as floats. @collective,
 * when it is played too */
void reduction_run(Reduction *reduction, DevDoubles tails);

/* After a run: waits until it is done, downloads the tails' memory to `tails` (this rank's lanes, tail) with `more`
 * doubles behind it, and sets total (tail) to the sum over all lanes: the same on every rank. */
void reduction_tail(Reduction *reduction, DevDoubles from, int more, double *tails, double *total);

#endif
