/* Train: the epochs of a run: steps, validation, schedule, checkpoints, metrics, and the reasons to stop. Owns the
 * course of the training; the experiment, the run folder and the checkpoint to go on from belong to the caller.
 * Collective. */
#ifndef RAM_TRAIN_TRAIN_H
#define RAM_TRAIN_TRAIN_H

#include "store/checkpoint.h"
#include "store/provenance.h"
#include "store/run_folder.h"
#include "train/evaluate.h"
#include "train/experiment.h"
#include "train/fault.h"
#include "train/saved_state.h"
#include "train/stop.h"

typedef struct {
    RunFolder *folder;
    const Checkpoint *resume; /* NULL: from the start */
    bool own;                 /* `resume` is one of this run's, so that metrics.jsonl goes on where it was saved */
    bool judged_anew;         /* validation errors from before `resume` do not compare with those to come */
    bool rate_anew;           /* the learning rate is the configured one, whatever `resume` had come to */
    Provenance *provenance;
    StopRules stop;
    TrainFault fault; /* that a test wants */
    /* Called once there is room for all of it and before the run folder changes; its error ends the training. NULL:
     * nothing. @collective */
    Status (*begin)(void *context);
    void *context;
} TrainOptions;

/* Whether no epoch is left: all are done, or early stopping has decided. */
bool train_is_over(const Config *config, const SavedState *state);
/* Whether nothing is left to do: the test set has been measured, too. */
bool train_is_finished(const Config *config, const SavedState *state);
/* The key that has ended a training that is finished: "train.epochs" or "train.patience". */
const char *train_ended_by(const Config *config, const SavedState *state);

/* Whether there is memory for a training. RAM_USAGE. @collective */
Status train_room(Experiment *experiment);

/* Trains to the end, where that is not reached yet, then measures the best model on the test set. RAM_STOPPED: asked to
 * stop, a checkpoint is saved. RAM_IO: the run folder cannot be written, what was committed is intact. RAM_DATA: the
 * checkpoint does not fit. RAM_NUMERIC: a loss or a gradient is not finite, or the ranks' replicas differ, and
 * train.on_nan is stop or going back did not help. @collective */
Status train_run(Experiment *experiment, const TrainOptions *options);

#endif
