/* Health: whether the numbers of a training are sound: finite, and the same on every rank, as replicas are that made
 * the same updates of the same weights. Owns no state. Must not know what is done about it. */
#ifndef RAM_TRAIN_HEALTH_H
#define RAM_TRAIN_HEALTH_H

#include "train/experiment.h"
#include "train/optimizer.h"
#include "train/saved_state.h"

enum { HEALTH_NAME = 128 };

/* The first tensor with a NaN or an infinity, e.g. "param rnn.i2h.weight" or "the gradient of rnn.i2h.weight", in the
 * optimiser's vectors or else in `gradient`; false where all are finite. Not collective. */
bool health_find_not_finite(const Experiment *experiment, const Optimizer *optimizer, DevFloats gradient,
                            char name[HEALTH_NAME]);

/* Compares all that is saved, by hash, with the other ranks', and looks for what is not finite. RAM_NUMERIC names the
 * rank and the tensor. @collective */
Status health_check(const Experiment *experiment, const Optimizer *optimizer, const SavedState *state);

#endif
