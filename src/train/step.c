#include "train/step.h"
#include "base/memory.h"
#include "train/feed.h"
#include "train/reduction.h"

#include <stdlib.h>
#include <string.h>

enum { TAIL_STOP = SUMS, TAIL_SAVE, TAIL };

struct Step {
    const Experiment *experiment;
    Feed feed;
    Pass *pass; /* (workers) */
    Reduction *reduction;
    DevFloats gradients; /* (lanes of this rank, total) */
    DevDoubles sums;     /* (lanes of this rank, SUMS) */
    double *tails;       /* (lanes of this rank, TAIL), host */
    DevFloats gradient;  /* (total) */
};

Step *step_new(const Experiment *experiment) {
    const Config *config = &experiment->config;
    Backend *backend = experiment->backend;
    Step *step = memory_new(1, sizeof *step);
    const Span lanes = experiment_lanes(experiment, config->train_batch, (int)config->train_samples);
    const int64_t images = span_lane_rows_most(lanes.batch, lanes.lanes, 1) * backend->span_lanes;
    const int64_t total = (int64_t)experiment->ram.parameters.layout.total;
    step->experiment = experiment;
    feed_open(&step->feed, experiment, SPLIT_TRAIN, images);
    step->pass = memory_new((size_t)backend->workers, sizeof *step->pass);
    for (int i = 0; i < backend->workers; i++)
        pass_open(&step->pass[i], &experiment->ram, images * lanes.samples, images, true);
    step->reduction = reduction_new(experiment->comm, backend, lanes.lanes, total, TAIL);
    step->gradients = backend_floats(backend, lanes.lane_count * total);
    step->sums.address = backend->kernels->allocate(backend, (size_t)lanes.lane_count * SUMS * sizeof(double));
    step->tails = memory_new((size_t)lanes.lane_count * TAIL, sizeof(double));
    step->gradient = backend_floats(backend, total);
    return step;
}

void step_free(Step *step) {
    if (!step) return;
    Backend *backend = step->experiment->backend;
    for (int i = 0; i < backend->workers; i++) pass_close(&step->pass[i], &step->experiment->ram);
    feed_close(&step->feed);
    reduction_free(step->reduction);
    backend->kernels->release(backend, step->gradients.address);
    backend->kernels->release(backend, step->sums.address);
    backend->kernels->release(backend, step->gradient.address);
    free(step->pass);
    free(step->tails);
    free(step);
}

DevFloats step_gradient(const Step *step) { return step->gradient; }

typedef struct {
    Step *step;
    uint32_t epoch;
    const int32_t *samples;
    float moving_average;
    int first_lane; /* of this rank */
} Work;

/* One span, forward and backward: what a worker does without waiting for anyone. */
static void compute_span(void *context, int worker, const Span *span) {
    const Work *work = context;
    const Experiment *experiment = work->step->experiment;
    const Config *config = &experiment->config;
    const Ram *ram = &experiment->ram;
    Backend *backend = experiment->backend;
    Pass *pass = &work->step->pass[worker];
    const int64_t lane = span->first_lane - work->first_lane;
    const Draws draws = {.seed = (uint64_t)config->_seed, .space = SPLIT_TRAIN, .epoch = work->epoch};
    const Loss loss = {.baseline = (Baseline)config->train_baseline,
                       .moving_average = work->moving_average,
                       .reinforce_weight = config->train_reinforce_weight,
                       .glimpse_nll = config->train_glimpse_nll,
                       .rows = span->batch * span->samples};
    feed_span(&work->step->feed, worker, span, work->epoch, work->samples, &pass->pictures);
    backend->kernels->draw(backend, span, &draws, &pass->pictures, ram->dims.glimpses, pass->location, pass->noise);
    ram_forward(ram, span, POLICY_SAMPLE, loss.glimpse_nll > 0, pass);
    ram_backward(ram, span, &loss, pass,
                 dev_floats_at(work->step->gradients, lane * (int64_t)ram->parameters.layout.total),
                 (DevDoubles){work->step->sums.address + lane * SUMS});
}

StepSums step_run(Step *step, uint32_t epoch, const int32_t *samples, int64_t n, float moving_average, bool stop,
                  bool save) {
    const Experiment *experiment = step->experiment;
    Backend *backend = experiment->backend;
    const Span lanes = experiment_lanes(experiment, n, (int)experiment->config.train_samples);
    const size_t count = (size_t)lanes.lane_count;
    double zero[LANES_MOST * SUMS] = {0}, sums[LANES_MOST * SUMS], total[TAIL];
    Work work = {step, epoch, samples, moving_average, lanes.first_lane};
    backend->kernels->upload(backend, step->sums.address, zero, count * SUMS * sizeof(double));
    backend->kernels->run(backend, lanes, compute_span, &work);
    backend->kernels->download(backend, sums, step->sums.address, count * SUMS * sizeof(double));
    for (size_t lane = 0; lane < count; lane++) {
        memcpy(step->tails + lane * TAIL, sums + lane * SUMS, SUMS * sizeof(double));
        step->tails[lane * TAIL + TAIL_STOP] = stop;
        step->tails[lane * TAIL + TAIL_SAVE] = save;
    }
    reduction_run(step->reduction, step->gradients, step->tails, step->gradient, total);
    StepSums result = {.stop = total[TAIL_STOP] > 0, .save = total[TAIL_SAVE] > 0};
    memcpy(result.sum, total, sizeof result.sum);
    return result;
}
