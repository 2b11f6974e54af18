#include "train/step.h"
#include "base/memory.h"
#include "train/feed.h"
#include "train/reduction.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { TAIL_STOP = SUMS, TAIL_SAVE, TAIL };

/* All that changes from step to step, besides pictures that are drawn: one upload. */
typedef struct {
    double tail[TAIL]; /* of each lane to begin with: sums of nothing, and this rank's wishes */
    Update update;
    int32_t first, epoch;
    float moving_average;
} Inputs;

struct Step {
    Experiment *experiment;
    Optimizer *optimizer;
    Feed feed;
    DevBytes inputs; /* an Inputs */
    Span lanes;      /* of the batch that is computed */
    uint32_t epoch;
    int64_t next; /* place of the batch behind it */
    Loss loss;
    int span_lanes; /* as many as fit */
    int spans;
    LaneNode *span; /* (spans): this rank's, ascending */
    int passes;     /* of a worker: lanes of the largest span */
    Pass *pass;     /* (workers, passes) */
    Reduction *reduction;
    DevDoubles tails;                       /* (lanes of this rank, TAIL), then the gradient's squares: one download */
    double *fetched;                        /* the same, host */
    BackendRecord *record, *before, *after; /* of a whole step, or before and after a reduction that needs the host */
};

/* As many lanes side by side as the backend likes, a power of two, at most those of the batch; the others are summed
 * span by span. Each span has a gradient of its own, so that a model that is larger than its lanes has fewer. */
static int choose_span_lanes(const Ram *ram, const Span *lanes, int64_t rows) {
    const size_t bytes = pass_bytes(ram, rows, true), gradient = ram->parameters.layout.total * sizeof(float);
    const size_t room = gradient > ram->backend->span_bytes ? gradient : ram->backend->span_bytes;
    int most = 1;
    while (2 * most <= lanes->lanes && 2 * (size_t)most * bytes <= room) most *= 2;
    return most;
}

/* Of a member of Inputs, for a type of the backend's memory. */
#define INPUT(step, member) ((void *)((step)->inputs.address + offsetof(Inputs, member)))

/* Lanes of this rank in any batch. */
static int lane_count(const Step *step) {
    const LaneNode *last = &step->span[step->spans - 1];
    return last->first + last->count - step->span[0].first;
}

static DevDoubles squares_of(const Step *step) {
    return (DevDoubles){step->tails.address + (int64_t)lane_count(step) * TAIL};
}

Step *step_new(Experiment *experiment, Optimizer *optimizer) {
    const Config *config = &experiment->config;
    Backend *backend = experiment->backend;
    Step *step = memory_new(1, sizeof *step);
    const int64_t images = experiment->dataset.count[SPLIT_TRAIN];
    const Span lanes = experiment_training_lanes(
        experiment, config->train_batch < images ? config->train_batch : images, (int)config->train_samples);
    const int64_t rows = span_lane_rows_most(lanes.batch, lanes.lanes, 1) * lanes.samples;
    const int64_t total = (int64_t)experiment->ram.parameters.layout.total;
    step->experiment = experiment;
    step->optimizer = optimizer;
    feed_open(&step->feed, experiment, SPLIT_TRAIN, lanes.batch);
    step->inputs.address = backend->kernels->allocate(backend, sizeof(Inputs));
    step->loss = (Loss){.baseline = (Baseline)config->train_baseline,
                        .moving_average = {INPUT(step, moving_average)},
                        .reinforce_weight = config->train_reinforce_weight,
                        .reward = {.kind = (Reward)config->train_reward,
                                   .credit = (Credit)config->train_credit,
                                   .decay = (float)config->train_credit_decay},
                        .glimpse_nll = config->train_glimpse_nll,
                        .locator_gradient = config->train_locator_gradient};
    step->span_lanes = choose_span_lanes(&experiment->ram, &lanes, rows);
    step->span = memory_new((size_t)lanes.lane_count, sizeof *step->span);
    step->spans = backend_spans(backend, &lanes, step->span_lanes, step->span);
    for (int i = 0; i < step->spans; i++)
        if (step->span[i].count > step->passes) step->passes = step->span[i].count;
    step->pass = memory_new((size_t)(backend->workers * step->passes), sizeof *step->pass);
    for (int i = 0; i < backend->workers * step->passes; i++) pass_open(&step->pass[i], &experiment->ram, rows, true);
    step->reduction =
        reduction_new(experiment->comm, experiment->nccl, backend, lanes.lanes, total, TAIL, step->spans, step->span);
    const size_t doubles = (size_t)lanes.lane_count * TAIL + 1;
    step->tails.address = backend->kernels->allocate(backend, doubles * sizeof(double));
    step->fetched = memory_new(doubles, sizeof *step->fetched);
    return step;
}

void step_free(Step *step) {
    if (!step) return;
    Backend *backend = step->experiment->backend;
    for (int i = 0; i < backend->workers * step->passes; i++) pass_close(&step->pass[i], &step->experiment->ram);
    feed_close(&step->feed);
    backend_forget(backend, step->record);
    backend_forget(backend, step->before);
    backend_forget(backend, step->after);
    backend->kernels->release(backend, step->inputs.address);
    reduction_free(step->reduction);
    backend->kernels->release(backend, step->tails.address);
    free(step->pass);
    free(step->span);
    free(step->fetched);
    free(step);
}

DevFloats step_gradient(const Step *step) { return reduction_total(step->reduction); }

/* One lane, forward and backward. */
static void compute_lane(const Step *step, const Span *lane, Pass *pass) {
    const Experiment *experiment = step->experiment;
    const Ram *ram = &experiment->ram;
    Backend *backend = experiment->backend;
    Draws draws = experiment_draws(experiment, SPLIT_TRAIN, 0, POLICY_SAMPLE);
    draws.epoch.address = INPUT(step, epoch);
    const int64_t place = lane->first_lane - step->span[0].first;
    pass->pictures = feed_pictures(&step->feed, lane);
    backend->kernels->draw(backend, lane, &draws, &pass->pictures, ram->dims.glimpses, pass->location, pass->noise);
    backend_range(backend, "forward");
    ram_forward(ram, lane, POLICY_SAMPLE, ram->dims.sigma, step->loss.glimpse_nll > 0, pass);
    backend_range_end(backend);
    backend_range(backend, "backward");
    ram_backward(ram, lane, &step->loss, pass, (DevDoubles){step->tails.address + place * TAIL});
    backend_range_end(backend);
}

/* One span: what a worker does without waiting for anyone. */
static void compute_span(void *context, int worker, const Span *span) {
    const Step *step = context;
    Pass *pass = &step->pass[worker * step->passes];
    int at = 0;
    while (step->span[at].first != span->first_lane) at++;
    for (int i = 0; i < span->lane_count; i++) {
        const Span lane = span_lane(span, i);
        compute_lane(step, &lane, &pass[i]);
    }
    backend_range(step->experiment->backend, "gradient");
    ram_gradient(&step->experiment->ram, span, &step->loss, pass, reduction_vector(step->reduction, at));
    backend_range_end(step->experiment->backend);
}

/* --- the three pieces of a step. What changes from step to step they find in the backend's memory, so that they can be
 * recorded. */

static void compute_gradient(void *context) {
    const Step *step = context;
    Experiment *experiment = step->experiment;
    Backend *backend = experiment->backend;
    feed_choose(&step->feed, &step->lanes, (DevInts){INPUT(step, first)});
    ram_load(&experiment->ram, optimizer_parameters(step->optimizer));
    backend->kernels->repeat_row(backend, lane_count(step), TAIL, (DevDoubles){INPUT(step, tail)}, step->tails);
    backend->kernels->run(backend, step->lanes, step->span_lanes, compute_span, context);
}

static void reduce(void *context) {
    const Step *step = context;
    backend_range(step->experiment->backend, "reduction");
    reduction_run(step->reduction, step->tails);
    backend_range_end(step->experiment->backend);
}

static void update(void *context) {
    const Step *step = context;
    optimizer_update(step->optimizer, (DevUpdate){INPUT(step, update)}, step_gradient(step), squares_of(step));
}

static void compute_all(void *context) {
    compute_gradient(context);
    reduce(context);
    update(context);
}

/* --- */

/* The reduction sums over the ranks: it is in the record of all of them, or of none. */
static Status agree_on_record(void *context, Status mine) {
    const Step *step = context;
    Comm *comm = step->experiment->comm;
    if (status_failed(&mine)) mine = status_error(mine.code, "%s, on rank %d", mine.message, comm_rank(comm));
    return comm_agree(comm, mine);
}

static void play(Step *step, BackendRecord **record, RecordedWork work, RecordAgreed agreed) {
    backend_run_recorded(step->experiment->backend, record, step->lanes, work, agreed, step);
}

/* While the GPU computes. A last batch of an epoch has none behind it: the order is to be another. */
static void draw_next(Step *step) {
    const Config *config = &step->experiment->config;
    const int64_t left = step->feed.choice.count - step->next;
    if (left <= 0) return;
    const Span lanes = experiment_training_lanes(
        step->experiment, left < config->train_batch ? left : config->train_batch, (int)config->train_samples);
    feed_draw_ahead(&step->feed, &lanes, step->epoch, step->next);
}

static void play_step(Step *step) {
    if (reduction_is_recordable(step->reduction)) {
        play(step, &step->record, compute_all, agree_on_record);
        draw_next(step);
        return;
    }
    play(step, &step->before, compute_gradient, NULL);
    draw_next(step);
    reduce(step);
    play(step, &step->after, update, NULL);
}

static void compute_piece_by_piece(Step *step, const StepInput *input) {
    compute_gradient(step);
    draw_next(step);
    reduce(step);
    if (input->spoil) input->spoil(input->context, step_gradient(step));
    update(step);
}

static void upload_inputs(const Step *step, const StepInput *input) {
    Backend *backend = step->experiment->backend;
    Inputs inputs;
    memset(&inputs, 0, sizeof inputs);
    inputs.tail[TAIL_STOP] = input->stop;
    inputs.tail[TAIL_SAVE] = input->save;
    inputs.update = optimizer_next(step->optimizer, &step->experiment->config, input->lr);
    inputs.first = (int32_t)input->first;
    inputs.epoch = (int32_t)input->epoch;
    inputs.moving_average = input->moving_average;
    backend->kernels->upload(backend, step->inputs.address, &inputs, sizeof inputs);
}

void step_order(Step *step, const int32_t *order) { feed_order(&step->feed, order); }

StepSums step_run(Step *step, const StepInput *input) {
    const Experiment *experiment = step->experiment;
    double total[TAIL];
    backend_range(experiment->backend, "step");
    step->lanes = experiment_training_lanes(experiment, input->n, (int)experiment->config.train_samples);
    step->epoch = input->epoch;
    step->next = input->first + input->n;
    feed_draw(&step->feed, &step->lanes, input->epoch, input->first);
    upload_inputs(step, input);
    if (experiment->config.train_graph && !input->spoil)
        play_step(step);
    else
        compute_piece_by_piece(step, input);
    reduction_tail(step->reduction, step->tails, 1, step->fetched, total);
    backend_range_end(experiment->backend);
    StepSums result = {.norm = sqrt(step->fetched[lane_count(step) * TAIL]),
                       .stop = total[TAIL_STOP] > 0,
                       .save = total[TAIL_SAVE] > 0};
    memcpy(result.sum, total, sizeof result.sum);
    if (isfinite(result.norm)) step->optimizer->steps++;
    return result;
}
