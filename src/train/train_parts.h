/* What train.c and train_rollback.c share: a course of a training, which train_run follows with another where it ends
 * in a numerical fault. Must not be included outside src/train. */
#ifndef RAM_TRAIN_TRAIN_PARTS_H
#define RAM_TRAIN_TRAIN_PARTS_H

#include "train/train.h"

/* One course of the training, from options->resume on, at `rate_factor` of the learning rate that it had come to.
 * *fault is the one that is still to strike, and knows afterwards whether it has. Errors as train_run, but nothing is
 * gone back to. @collective */
Status train_once(Experiment *experiment, const TrainOptions *options, TrainFault *fault, double rate_factor);

/* Others may have moved the folder, and may train in one of its name. RAM_IO. @collective */
Status train_check_folder(Comm *comm, const TrainOptions *options);

#endif
