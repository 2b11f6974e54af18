#include "train/tracer.h"
#include "backend/element/classifier.h"
#include "base/memory.h"
#include "store/trace.h"
#include "train/feed.h"
#include "train/saved_state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a worker reads back of one roll-out of a span of n rows, laid out as in its Pass. Host memory. */
typedef struct {
    float *location; /* (T+1, n, 2) */
    float *mean;     /* (T, n, 2) */
    float *log_pi;   /* (T, n) */
    float *baseline; /* (T, n) */
    float *log_prob; /* (T, n, classes) */
} Readout;

struct Tracer {
    const Experiment *experiment;
    TracePlan plan;
    TraceShape shape;
    Feed feed;
    Pass *pass;       /* (workers) */
    Readout *readout; /* (workers) */
};

Tracer *tracer_new(const Experiment *experiment, const TracePlan *plan) {
    const Dims *dims = &experiment->ram.dims;
    const int workers = experiment->backend->workers;
    const int64_t count = experiment->dataset.count[plan->split];
    const int64_t batch = experiment->config.eval_batch < count ? experiment->config.eval_batch : count;
    const int64_t most = span_lane_rows_most(batch, (int)experiment->config.train_lanes, 1);
    const size_t n = (size_t)most, T = (size_t)dims->glimpses;
    Tracer *tracer = memory_new(1, sizeof *tracer);
    tracer->experiment = experiment;
    tracer->plan = *plan;
    tracer->shape = (TraceShape){.samples = plan->images < count ? plan->images : count,
                                 .rollouts = plan->rollouts,
                                 .glimpses = dims->glimpses,
                                 .classes = dims->classes};
    feed_open(&tracer->feed, experiment, plan->split, batch);
    feed_order(&tracer->feed, experiment->dataset.sample[plan->split]);
    tracer->pass = memory_new((size_t)workers, sizeof *tracer->pass);
    tracer->readout = memory_new((size_t)workers, sizeof *tracer->readout);
    for (int i = 0; i < workers; i++) {
        Readout *readout = &tracer->readout[i];
        pass_open(&tracer->pass[i], &experiment->ram, most, false);
        readout->location = memory_new((T + 1) * n * 2, sizeof(float));
        readout->mean = memory_new(T * n * 2, sizeof(float));
        readout->log_pi = memory_new(T * n, sizeof(float));
        readout->baseline = memory_new(T * n, sizeof(float));
        readout->log_prob = memory_new(T * n * (size_t)dims->classes, sizeof(float));
    }
    return tracer;
}

void tracer_free(Tracer *tracer) {
    if (!tracer) return;
    for (int i = 0; i < tracer->experiment->backend->workers; i++) {
        Readout *readout = &tracer->readout[i];
        pass_close(&tracer->pass[i], &tracer->experiment->ram);
        free(readout->location);
        free(readout->mean);
        free(readout->log_pi);
        free(readout->baseline);
        free(readout->log_prob);
    }
    feed_close(&tracer->feed);
    free(tracer->pass);
    free(tracer->readout);
    free(tracer);
}

/* --- one span, by one worker */

typedef struct {
    Tracer *tracer;
    const TraceRows *rows;  /* to fill */
    const int32_t *samples; /* of the batch */
    int64_t batch_first;    /* position of the batch's first image in the split */
} Work;

static void read_back(const Tracer *tracer, int worker, int64_t n) {
    Backend *backend = tracer->experiment->backend;
    const Kernels *kernels = backend->kernels;
    const Pass *pass = &tracer->pass[worker];
    const Readout *readout = &tracer->readout[worker];
    const size_t rows = (size_t)n * sizeof(float), T = (size_t)tracer->shape.glimpses;
    kernels->download(backend, readout->location, pass->location.address, (T + 1) * rows * 2);
    kernels->download(backend, readout->mean, pass->mean.address, T * rows * 2);
    kernels->download(backend, readout->log_pi, pass->log_pi.address, T * rows);
    kernels->download(backend, readout->baseline, pass->baseline.address, T * rows);
    kernels->download(backend, readout->log_prob, pass->log_prob.address, T * rows * (size_t)tracer->shape.classes);
}

/* (T, n, width) of row i > (T, width). */
static void copy_row(const float *from, int64_t n, int64_t i, int glimpses, int64_t width, float *to) {
    for (int t = 0; t < glimpses; t++) memcpy(to + t * width, from + (t * n + i) * width, (size_t)width * sizeof *to);
}

/* Row i of the span's n becomes roll-out m of row r. */
static void record_row(const TraceShape *shape, const Readout *readout, int64_t n, int64_t i, const TraceRows *rows,
                       int64_t r, int64_t m) {
    const int T = shape->glimpses, classes = shape->classes;
    const int64_t at = r * shape->rollouts + m;
    float *prob = rows->prob + at * T * classes;
    const float *last = prob + (T - 1) * classes;
    copy_row(readout->location, n, i, T + 1, 2, rows->location + at * (T + 1) * 2);
    copy_row(readout->mean, n, i, T, 2, rows->mean + at * T * 2);
    copy_row(readout->log_pi, n, i, T, 1, rows->log_pi + at * T);
    copy_row(readout->baseline, n, i, T, 1, rows->baseline + at * T);
    copy_row(readout->log_prob, n, i, T, classes, prob);
    for (int64_t c = 0; c < (int64_t)T * classes; c++) prob[c] = expf(prob[c]);
    rows->prediction[at] = classifier_best(classes, last);
    rows->reward[at] = rows->prediction[at] == rows->label[r] ? 1.0f : 0.0f;
}

static void trace_span(void *context, int worker, const Span *span) {
    const Work *work = context;
    Tracer *tracer = work->tracer;
    const Experiment *experiment = tracer->experiment;
    Backend *backend = experiment->backend;
    const TraceRows *rows = work->rows;
    Pass *pass = &tracer->pass[worker];
    const uint8_t *labels = dataset_images(&experiment->dataset, tracer->plan.split)->labels;
    const int32_t *sample = work->samples + span_first_image(span);
    const int64_t n = span_rows(span), first = work->batch_first + span_first_image(span) - rows->first;
    const int64_t begin = first < 0 ? -first : 0, end = n < rows->rows - first ? n : rows->rows - first;
    pass->pictures = feed_pictures(&tracer->feed, span);
    for (int64_t i = begin; i < end; i++) {
        rows->index[first + i] = sample[i];
        rows->label[first + i] = labels[sample[i]];
    }
    for (int64_t m = 0; m < tracer->shape.rollouts; m++) {
        const Draws draws = experiment_draws(experiment, tracer->plan.split, m, tracer->plan.policy);
        backend->kernels->draw(backend, span, &draws, &pass->pictures, tracer->shape.glimpses, pass->location,
                               pass->noise);
        ram_forward(&experiment->ram, span, tracer->plan.policy, experiment_sigma(experiment, tracer->shape.rollouts),
                    true, pass);
        read_back(tracer, worker, n);
        for (int64_t i = begin; i < end; i++)
            record_row(&tracer->shape, &tracer->readout[worker], n, i, rows, first + i, m);
    }
}

/* --- a segment of rows */

/* The lanes of a batch of n images that hold any of its images `begin` to `end` - 1. */
static Span lanes_of(const Experiment *experiment, int64_t n, int64_t begin, int64_t end) {
    const int lanes = (int)experiment->config.train_lanes;
    Span span = {.batch = n, .lanes = lanes, .samples = 1};
    while (partition_begin(n, span.first_lane + 1, lanes) <= begin) span.first_lane++;
    while (partition_begin(n, span.first_lane + span.lane_count, lanes) < end) span.lane_count++;
    return span;
}

/* Computes whole lanes, as an evaluation of the split would, also where the rows end within one. */
static void fill_rows(void *context, const TraceRows *rows) {
    Tracer *tracer = context;
    const Experiment *experiment = tracer->experiment;
    Backend *backend = experiment->backend;
    const int64_t images = experiment->dataset.count[tracer->plan.split], batch = experiment->config.eval_batch;
    const int64_t end = rows->first + rows->rows;
    for (int64_t first = rows->first / batch * batch; first < end; first += batch) {
        const int64_t n = images - first < batch ? images - first : batch;
        const int64_t from = rows->first > first ? rows->first - first : 0, to = end - first < n ? end - first : n;
        Work work = {tracer, rows, experiment->dataset.sample[tracer->plan.split] + first, first};
        const Span lanes = lanes_of(experiment, n, from, to);
        feed_lanes(&tracer->feed, &lanes, first);
        backend->kernels->run(backend, lanes, 1, trace_span, &work);
    }
}

enum { FACTS = 6 };

/* What a trace says about itself; returns how many. The texts are borrowed. */
static int describe(TraceOrigin *origin, char *split, char *policy, StoreScalar fact[FACTS]) {
    int facts = 0;
    fact[facts++] = (StoreScalar){.name = "trace/step", .type = STORE_INT, .value = &origin->step};
    fact[facts++] = (StoreScalar){.name = "trace/epoch", .type = STORE_INT, .value = &origin->epoch};
    fact[facts++] = (StoreScalar){.name = "trace/split", .type = STORE_TEXT, .value = split};
    fact[facts++] = (StoreScalar){.name = "trace/policy", .type = STORE_TEXT, .value = policy};
    if (!origin->checkpoint) return facts;
    fact[facts++] = (StoreScalar){.name = "trace/checkpoint", .type = STORE_TEXT, .value = origin->checkpoint};
    fact[facts++] =
        (StoreScalar){.name = "trace/checkpoint_hash", .type = STORE_TEXT, .value = origin->checkpoint_hash};
    return facts;
}

Status tracer_save(Tracer *tracer, const char *folder, const char *name, bool replace, TraceOrigin origin,
                   Provenance *provenance) {
    const Experiment *experiment = tracer->experiment;
    char split[16], policy[16];
    Config planned = experiment->config;
    planned.eval_policy = (int)tracer->plan.policy;
    planned.eval_rollouts = tracer->plan.rollouts;
    snprintf(split, sizeof split, "%s", split_name(tracer->plan.split));
    config_get_text(&planned, config_find_key("eval.policy"), policy, sizeof policy);
    StoreScalar scalar[FACTS + PROVENANCE_FACTS + CONFIG_KEYS];
    ConfigTexts *texts = memory_new(1, sizeof *texts);
    int scalars = describe(&origin, split, policy, scalar);
    provenance_scalars(provenance, scalar + scalars);
    scalars += PROVENANCE_FACTS;
    saved_state_config_scalars(&planned, texts, scalar + scalars);
    scalars += CONFIG_KEYS;
    Status status =
        trace_save(experiment->comm, folder, name, replace, &tracer->shape, scalars, scalar, fill_rows, tracer);
    free(texts);
    return status;
}
