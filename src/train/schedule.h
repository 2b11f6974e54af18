/* Schedule: the learning rate of each step. Pure functions and the plateau's state, which checkpoints keep.
 * Nothing is collective: every rank computes the same. */
#ifndef RAM_TRAIN_SCHEDULE_H
#define RAM_TRAIN_SCHEDULE_H

#include "config/config.h"

enum { SCHEDULE_NO_ERROR = 101 /* percent, more than any: none yet */ };

/* What the plateau schedule, early stopping and the choice of the best model remember between epochs. */
typedef struct {
    double factor;        /* the plateau's product so far; 1 at the start */
    double mean_error;    /* validation error, averaged over eval.average epochs, percent */
    int64_t observed;     /* epochs that it has seen */
    double best_error;    /* smallest validation error so far, percent; SCHEDULE_NO_ERROR at the start */
    int64_t waited;       /* epochs since best_error, for the plateau (counted anew after each reduction) */
    int64_t since_better; /* epochs since best_error, for early stopping */
} ScheduleState;

ScheduleState schedule_start(void);
/* At the rate reached so far; errors from before no longer count. */
ScheduleState schedule_forget_errors(const ScheduleState *state);

/* Learning rate at `progress` epochs (fractional, 0 at the start of training). */
double schedule_rate(const Config *config, const ScheduleState *state, double progress);

/* After an epoch's validation. */
void schedule_observe(const Config *config, ScheduleState *state, double validation_error);

/* Whether early stopping (train.patience) says so. */
bool schedule_exhausted(const Config *config, const ScheduleState *state);

#endif
