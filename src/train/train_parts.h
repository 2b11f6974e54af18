/* One course of a training, for the file that starts another where one ends in a numerical fault. Must not be included
 * outside src/train. Both are collective. */
#ifndef RAM_TRAIN_TRAIN_PARTS_H
#define RAM_TRAIN_TRAIN_PARTS_H

#include "train/train.h"

/* One course of the training, from options->resume on, at `rate_factor` of the learning rate that it had come to.
 * Errors as train_run, but nothing is gone back to. */
Status train_once(Experiment *experiment, const TrainOptions *options, TrainFault *fault, double rate_factor);

/* Others may have moved the folder, and may train in one of its name. RAM_IO. */
Status train_check_folder(Comm *comm, const TrainOptions *options);

#endif
