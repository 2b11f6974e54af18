/* Progress: what a user sees of a running training: one line on a terminal, plain lines elsewhere, from rank 0 alone.
 * Must not know how a training goes. Nothing here is collective. */
#ifndef RAM_TRAIN_PROGRESS_H
#define RAM_TRAIN_PROGRESS_H

#include "config/config.h"
#include "train/evaluate.h"

#include <stdint.h>

typedef struct {
    double started, shown;   /* clock_now() */
    int64_t images_at_start; /* images trained before this process began */
} Progress;

/* A point in the training. Rates and ETA are of this process's own work. */
typedef struct {
    int64_t epoch, epochs;
    int64_t images_done, images_total; /* of the whole training */
    double part;                       /* of the epoch */
    double loss, accuracy, lr;         /* of the epoch so far; accuracy in percent */
} ProgressPoint;

Progress progress_start(int64_t images_at_start);

/* After each step; shows the terminal line at most ten times a second, elsewhere a line every minute. */
void progress_step(Progress *progress, const ProgressPoint *point);

/* After each epoch's validation: a full line. */
void progress_epoch(const Progress *progress, const ProgressPoint *point, const Evaluation *validation, bool best);

/* Lines of an evaluation: figures with the interval, and the confusion matrix (classes, classes; NULL: none). */
void progress_evaluation(const char *what, const Evaluation *evaluation);
void progress_confusion(const int64_t *confusion, int classes);

/* With which standard deviation locations were drawn, where that is not left to model.sigma. */
void progress_sigma(const Config *config);

/* What is done to training images (augment.*), if anything: results are to say so. */
void progress_augmentation(const Config *config);

#endif
