/* Step: the gradient of one global batch, summed over lanes, threads and ranks in one reduction that also carries the
 * sums of losses and counts and the agreed stop decision. Owns passes, gradient buffers and the reduction.
 * Must not know optimisers or epochs. step_run is collective. */
#ifndef RAM_TRAIN_STEP_H
#define RAM_TRAIN_STEP_H

#include "train/experiment.h"

typedef struct Step Step;

/* The outcome of a step, the same on every rank. */
typedef struct {
    double sum[SUMS]; /* over all rows of the batch */
    bool stop, save;  /* some rank wants to stop, or to save a checkpoint */
} StepSums;

Step *step_new(const Experiment *experiment);
void step_free(Step *step); /* NULL is allowed */

/* Computes on the parameters that the experiment's ram has loaded. samples (n): the global batch, indices into the
 * training file; moving_average: m of before the step; stop, save: this rank's wishes. @collective */
StepSums step_run(Step *step, uint32_t epoch, const int32_t *samples, int64_t n, float moving_average, bool stop,
                  bool save);

/* Gradient of the batch's mean loss (layout.total), valid until the next step_run. Borrowed. */
DevFloats step_gradient(const Step *step);

#endif
