/* Step: a whole training step: the gradient of one global batch, summed over lanes, threads and ranks in one reduction
 * that also carries the sums of losses and counts and the agreed stop decision, and the update by it. On a GPU all of
 * it that needs no host is recorded and played. Owns passes, gradient buffers, the reduction and the records. Must not
 * know epochs or schedules. step_run is collective. */
#ifndef RAM_TRAIN_STEP_H
#define RAM_TRAIN_STEP_H

#include "train/experiment.h"
#include "train/optimizer.h"

typedef struct Step Step;

typedef struct {
    uint32_t epoch;
    int64_t first, n;     /* the global batch: places of the epoch's order */
    float moving_average; /* m of before the step */
    double lr;
    bool stop, save; /* this rank's wishes */
    /* Called between the reduction and the update, for tests of what follows; NULL: nothing. Such a step is computed
     * kernel by kernel. */
    void (*spoil)(void *context, DevFloats gradient);
    void *context;
} StepInput;

/* The outcome of a step, the same on every rank; the norm as far as the ranks' copies of the total are the same. */
typedef struct {
    double sum[SUMS]; /* over all rows of the batch */
    double norm;      /* of the gradient, before clipping; where it is not finite the update has not been made */
    bool stop, save;  /* some rank wants to stop, or to save a checkpoint */
} StepSums;

/* Both are borrowed until step_free. @collective */
Step *step_new(Experiment *experiment, Optimizer *optimizer);
void step_free(Step *step); /* NULL is allowed. @collective */

/* An epoch's order: order (all training samples), indices into their file. Borrowed until the next one. */
void step_order(Step *step, const int32_t *order);

/* Computes on the optimiser's parameters and updates them. Whoever computes with the experiment's ram afterwards loads
 * it anew. @collective */
StepSums step_run(Step *step, const StepInput *input);

/* Gradient of the batch's mean loss (layout.total), valid until the next step_run. Borrowed. */
DevFloats step_gradient(const Step *step);

#endif
