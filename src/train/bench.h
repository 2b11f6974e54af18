/* Bench: how fast this build trains and evaluates here, beside what the machine's products could do at best, measured
 * in one run. Must not know how results are printed. Collective. */
#ifndef RAM_TRAIN_BENCH_H
#define RAM_TRAIN_BENCH_H

#include "backend/timed.h"
#include "store/provenance.h"
#include "train/experiment.h"

enum { BENCH_COSTS = 48 };

/* Figures of all ranks together; seconds are medians unless said otherwise. */
typedef struct {
    int cores, cores_of_rank; /* threads of all ranks, of rank 0 */
    double peak;              /* FLOP/s of products of 16 x 256 x 256 on all used cores at once */
    double train_flops;       /* of products, per image, forward and backward */
    double eval_flops;        /* forward only */
    double train_rate;        /* images/s: data, all-reduce and optimiser included */
    double eval_rate;         /* images/s on the test set, one roll-out */
    double step_seconds;      /* of a full batch */
    double reduction_seconds; /* of a step: the sum over lanes and ranks, measured alone */
    double checkpoint_seconds;
    int64_t memory_bytes; /* largest resident set of a rank so far */
    int costs;
    TimedCost cost[BENCH_COSTS]; /* of rank 0, per kernel, over `timed_steps` steps */
    int64_t timed_steps;
    double timed_seconds; /* of those steps, on the wall */
} BenchFigures;

/* Trains `steps` steps (of a model that is thrown away) and evaluates once. The experiment's parameters are undefined
 * afterwards. Checkpoints are written and deleted again: in the folder for temporary files, or, where there are several
 * hosts, in the working folder. RAM_USAGE: the training set is smaller than a batch. RAM_IO. @collective */
Status bench_run(Experiment *experiment, int64_t steps, Provenance *provenance, BenchFigures *figures);

#endif
