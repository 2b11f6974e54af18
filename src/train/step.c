#include "train/step.h"
#include "base/memory.h"
#include "train/feed.h"
#include "train/reduction.h"

#include <stdlib.h>
#include <string.h>

enum { TAIL_STOP = SUMS, TAIL_SAVE, TAIL };

/* Memory for the passes of a span: lanes beyond it are summed span by span. */
static const size_t SPAN_BYTES = (size_t)32 << 20;

struct Step {
    const Experiment *experiment;
    Feed feed;
    Loss loss;      /* but its number of rows */
    DevInts epoch;  /* (1) */
    int span_lanes; /* most of a span */
    Pass *pass;     /* (workers, span_lanes) */
    int spans;
    LaneNode *span; /* (spans): this rank's, ascending */
    Reduction *reduction;
    DevDoubles sums; /* (lanes of this rank, SUMS) */
    double *tails;   /* (lanes of this rank, TAIL), host */
    BackendRecord *record;
};

/* As many lanes side by side as fit into SPAN_BYTES: a power of two, at most those of the batch. */
static int choose_span_lanes(const Ram *ram, const Span *lanes, int64_t rows) {
    const size_t bytes = pass_bytes(ram, rows, true);
    int most = 1;
    while (2 * most <= lanes->lanes && 2 * (size_t)most * bytes <= SPAN_BYTES) most *= 2;
    return most;
}

Step *step_new(const Experiment *experiment) {
    const Config *config = &experiment->config;
    Backend *backend = experiment->backend;
    Step *step = memory_new(1, sizeof *step);
    const Span lanes = experiment_training_lanes(experiment, config->train_batch, (int)config->train_samples);
    const int64_t rows = span_lane_rows_most(lanes.batch, lanes.lanes, 1) * lanes.samples;
    const int64_t total = (int64_t)experiment->ram.parameters.layout.total;
    step->experiment = experiment;
    feed_open(&step->feed, experiment, SPLIT_TRAIN, lanes.batch);
    step->loss = (Loss){.baseline = (Baseline)config->train_baseline,
                        .moving_average = backend_floats(backend, 1),
                        .reinforce_weight = config->train_reinforce_weight,
                        .glimpse_nll = config->train_glimpse_nll};
    step->epoch.address = backend->kernels->allocate(backend, sizeof *step->epoch.address);
    step->span_lanes = choose_span_lanes(&experiment->ram, &lanes, rows);
    step->pass = memory_new((size_t)(backend->workers * step->span_lanes), sizeof *step->pass);
    for (int i = 0; i < backend->workers * step->span_lanes; i++)
        pass_open(&step->pass[i], &experiment->ram, rows, true);
    step->span = memory_new((size_t)lanes.lane_count, sizeof *step->span);
    step->spans = backend_spans(backend, &lanes, step->span_lanes, step->span);
    step->reduction =
        reduction_new(experiment->comm, experiment->nccl, backend, lanes.lanes, total, TAIL, step->spans, step->span);
    step->sums.address = backend->kernels->allocate(backend, (size_t)lanes.lane_count * SUMS * sizeof(double));
    step->tails = memory_new((size_t)lanes.lane_count * TAIL, sizeof(double));
    return step;
}

void step_free(Step *step) {
    if (!step) return;
    Backend *backend = step->experiment->backend;
    for (int i = 0; i < backend->workers * step->span_lanes; i++) pass_close(&step->pass[i], &step->experiment->ram);
    feed_close(&step->feed);
    backend_forget(backend, step->record);
    backend->kernels->release(backend, step->loss.moving_average.address);
    backend->kernels->release(backend, step->epoch.address);
    reduction_free(step->reduction);
    backend->kernels->release(backend, step->sums.address);
    free(step->pass);
    free(step->span);
    free(step->tails);
    free(step);
}

DevFloats step_gradient(const Step *step) { return reduction_total(step->reduction); }

/* One lane, forward and backward. */
static void compute_lane(const Step *step, const Span *lane, const Loss *loss, Pass *pass) {
    const Experiment *experiment = step->experiment;
    const Ram *ram = &experiment->ram;
    Backend *backend = experiment->backend;
    const Draws draws = {.seed = (uint64_t)experiment->config._seed, .space = SPLIT_TRAIN, .epoch = step->epoch};
    const int64_t place = lane->first_lane - step->span[0].first;
    pass->pictures = feed_pictures(&step->feed, lane);
    backend->kernels->draw(backend, lane, &draws, &pass->pictures, ram->dims.glimpses, pass->location, pass->noise);
    backend_range(backend, "forward");
    ram_forward(ram, lane, POLICY_SAMPLE, loss->glimpse_nll > 0, pass);
    backend_range_end(backend);
    backend_range(backend, "backward");
    ram_backward(ram, lane, loss, pass, (DevDoubles){step->sums.address + place * SUMS});
    backend_range_end(backend);
}

/* One span: what a worker does without waiting for anyone. All that changes from step to step it finds in the backend's
 * memory, so that it can be recorded. */
static void compute_span(void *context, int worker, const Span *span) {
    const Step *step = context;
    Pass *pass = &step->pass[worker * step->span_lanes];
    Loss loss = step->loss;
    loss.rows = span->batch * span->samples;
    int at = 0;
    while (step->span[at].first != span->first_lane) at++;
    for (int i = 0; i < span->lane_count; i++) {
        const Span lane = span_lane(span, i);
        compute_lane(step, &lane, &loss, &pass[i]);
    }
    backend_range(step->experiment->backend, "gradient");
    ram_gradient(&step->experiment->ram, span, &loss, pass, reduction_vector(step->reduction, at));
    backend_range_end(step->experiment->backend);
}

StepSums step_run(Step *step, uint32_t epoch, const int32_t *samples, int64_t n, float moving_average, bool stop,
                  bool save) {
    const Experiment *experiment = step->experiment;
    Backend *backend = experiment->backend;
    const Span lanes = experiment_training_lanes(experiment, n, (int)experiment->config.train_samples);
    const size_t count = (size_t)lanes.lane_count;
    double zero[LANES_MOST * SUMS] = {0}, sums[LANES_MOST * SUMS], total[TAIL];
    const int32_t epoch_number = (int32_t)epoch;
    backend_range(backend, "step");
    feed_lanes(&step->feed, &lanes, epoch, samples);
    backend->kernels->upload(backend, step->epoch.address, &epoch_number, sizeof epoch_number);
    backend->kernels->upload(backend, step->loss.moving_average.address, &moving_average, sizeof moving_average);
    backend->kernels->upload(backend, step->sums.address, zero, count * SUMS * sizeof(double));
    if (experiment->config.train_graph)
        backend_run_recorded(backend, &step->record, lanes, step->span_lanes, compute_span, step);
    else
        backend->kernels->run(backend, lanes, step->span_lanes, compute_span, step);
    backend->kernels->download(backend, sums, step->sums.address, count * SUMS * sizeof(double));
    for (size_t lane = 0; lane < count; lane++) {
        memcpy(step->tails + lane * TAIL, sums + lane * SUMS, SUMS * sizeof(double));
        step->tails[lane * TAIL + TAIL_STOP] = stop;
        step->tails[lane * TAIL + TAIL_SAVE] = save;
    }
    backend_range(backend, "reduction");
    reduction_run(step->reduction, step->tails, total);
    backend_range_end(backend);
    backend_range_end(backend);
    StepSums result = {.stop = total[TAIL_STOP] > 0, .save = total[TAIL_SAVE] > 0};
    memcpy(result.sum, total, sizeof result.sum);
    return result;
}
