#include "train/schedule.h"
#include "base/average.h"

#include <math.h>

ScheduleState schedule_start(void) { return (ScheduleState){.factor = 1, .best_error = SCHEDULE_NO_ERROR}; }

ScheduleState schedule_forget_errors(const ScheduleState *state) {
    ScheduleState start = schedule_start();
    start.factor = state->factor;
    return start;
}

double schedule_rate(const Config *config, const ScheduleState *state, double progress) {
    const double warmup = config->schedule_warmup, length = (double)config->train_epochs - warmup;
    if (progress < warmup) return config->train_lr * progress / warmup;
    const double part = length > 0 ? (progress - warmup) / length : 1; /* of what follows the warm-up */
    switch ((ScheduleKind)config->schedule_kind) {
    case SCHEDULE_COSINE:
        return config->train_lr * 0.5 * (1 + cos(3.14159265358979323846 * fmin(part, 1)));
    case SCHEDULE_LINEAR:
        return config->train_lr * (1 - fmin(part, 1));
    case SCHEDULE_PLATEAU:
        return config->train_lr * state->factor;
    case SCHEDULE_CONSTANT:
        break;
    }
    return config->train_lr;
}

void schedule_observe(const Config *config, ScheduleState *state, double validation_error) {
    state->mean_error = average_take(state->mean_error, validation_error, ++state->observed, config->eval_average);
    if (validation_error < state->best_error) {
        state->best_error = validation_error;
        state->waited = state->since_better = 0;
        return;
    }
    state->since_better++;
    if (config->schedule_kind == SCHEDULE_PLATEAU && ++state->waited >= config->schedule_patience) {
        state->factor *= config->schedule_factor;
        state->waited = 0;
    }
}

bool schedule_exhausted(const Config *config, const ScheduleState *state) {
    return config->train_patience > 0 && state->since_better >= config->train_patience;
}
