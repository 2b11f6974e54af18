/* train_run: a course of the training, and others where one ends in a numerical fault. */
#include "base/log.h"
#include "train/train_parts.h"

#include <math.h>
#include <stdio.h>

/* How often it is worth going back without a newer checkpoint in between: once for a fault that may never come again,
 * then each time with half the learning rate. */
enum { ROLLBACKS_MOST = 5 };

/* The options of the next course: from the newest good checkpoint, or, where the run has none yet, as before.
 * @collective */
static Status go_back(Comm *comm, const TrainOptions *first, TrainOptions *next, Checkpoint **opened) {
    char path[FILE_PATH];
    checkpoint_close(*opened);
    *opened = NULL;
    *next = *first;
    next->begin = NULL; /* it has begun */
    TRY(train_check_folder(comm, first));
    TRY(checkpoint_find(comm, first->folder->checkpoints, "auto", path));
    if (!*path) return status_ok();
    TRY(checkpoint_open(comm, path, opened));
    const bool same = first->resume && checkpoint_step(first->resume) == checkpoint_step(*opened);
    next->resume = *opened;
    next->own = true;
    next->judged_anew = first->judged_anew && same;
    next->rate_anew = first->rate_anew && same;
    return status_ok();
}

static void tell_rollback(const Status *status, bool saved, int times, double factor) {
    char rate[64] = "";
    if (factor < 1) snprintf(rate, sizeof rate, ", at %g of the learning rate", factor);
    log_warning("%s. Going back to the %s%s (%d of at most %d times)", status->message,
                saved ? "newest checkpoint" : "beginning", rate, times, ROLLBACKS_MOST);
}

Status train_run(Experiment *experiment, const TrainOptions *options) {
    TrainOptions next = *options;
    TrainFault fault = options->fault;
    Checkpoint *opened = NULL;
    int64_t furthest = -2; /* step gone back to so far; -1: the beginning */
    int times = 0;
    Status status = train_once(experiment, options, &fault, 1);
    while (status.code == RAM_NUMERIC && experiment->config.train_on_nan == ON_NAN_ROLLBACK) {
        TRY(go_back(experiment->comm, options, &next, &opened));
        const int64_t step = opened ? checkpoint_step(opened) : -1;
        times = step > furthest ? 1 : times + 1;
        furthest = step;
        if (times > ROLLBACKS_MOST) break;
        const double factor = pow(0.5, times - 1);
        tell_rollback(&status, opened, times, factor);
        status = train_once(experiment, &next, &fault, factor);
    }
    checkpoint_close(opened);
    return status;
}
