/* RankSum: the part of Reduction that lies between the ranks: from the sums of each rank's nodes, the complete subtrees
 * of the lane tree that make up its lanes, to the total on every rank. In tree order every rank takes its part of all
 * nodes' vectors, completes the tree for it, and gives the result to the others (reduce-scatter, all-gather):
 *
 *   through shared memory        where all ranks are on one host and the backend's memory is the host's
 *   by messages from GPU to GPU  with NCCL opened for exchanges
 *   by messages of MPI           else, from and to copies on the host where the backend's memory is not the host's
 *
 * With NCCL opened for sums vectors and tails meet in NCCL's order instead, on the GPU alone. Owns the nodes' vectors
 * and tails, the total and the messages' memory. Must not know leaves, nor what is summed. */
#ifndef RAM_TRAIN_RANK_SUM_H
#define RAM_TRAIN_RANK_SUM_H

#include "backend/backend.h"
#include "mpi/comm.h"
#include "mpi/comm_nccl.h"

enum { RANK_SUM_TAIL_MOST = 32 };

typedef struct RankSum RankSum;

/* `count` floats (whole cache lines) and `tail` doubles of each node of `lanes` lanes (>= the ranks). nccl, borrowed:
 * what it was opened for decides the order; NULL: without it. @collective */
RankSum *rank_sum_new(Comm *comm, CommNccl *nccl, Backend *backend, int lanes, int64_t count, int tail);
void rank_sum_free(RankSum *sum); /* NULL is allowed. @collective */

/* Of this rank's i-th node, in the order of lane_tree_nodes: where its sums are to be before a run, which overwrites
 * them. vector (count); tail (tail), host memory. */
DevFloats rank_sum_vector(const RankSum *sum, int i);
double *rank_sum_tail(const RankSum *sum, int i);
/* (count): the sum over all nodes after a run, until the next one begins; not to be written. */
DevFloats rank_sum_total(const RankSum *sum);

/* Whether vectors and tails are summed in NCCL's order, by rank_sum_run_fast, or in that of the tree, by rank_sum_run.
 */
bool rank_sum_is_fast(const RankSum *sum);
/* Then, whether what rank_sum_run_fast asks for can be recorded. */
bool rank_sum_is_recordable(const RankSum *sum);

/* Sums the vectors to the total, and the nodes' tails to total_tail (tail), host memory: the same on every rank.
 * @collective */
void rank_sum_run(RankSum *sum, double *total_tail);

/* Asks for the same, as for a kernel. tails (rows, tail), backend memory: row 0 becomes the sum of all rows of all
 * ranks, rounded to floats. @collective */
void rank_sum_run_fast(RankSum *sum, int rows, DevDoubles tails);

/* Where NCCL sums: until it has, within the limit of comm.timeout. Else what is asked of the backend next may wait. */
void rank_sum_wait(RankSum *sum);

#endif
