#include "train/evaluate.h"
#include "backend/element/classifier.h"
#include "base/log.h"
#include "base/memory.h"
#include "train/feed.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What is counted; the confusion matrix (classes, classes) lies behind it. LOSS is in units of LOSS_UNIT. */
enum { LOSS, REWARD, NOT_FINITE, CONFUSION };

/* Of one worker. */
typedef struct {
    int64_t *count;     /* (CONFUSION + classes * classes) */
    float *probability; /* (images_most, classes), host */
    float *rewards;     /* (images_most), host */
} Tally;

/* -log of the smallest probability counted is 88: 2^31 images cannot overflow the sum. */
static const double LOSS_UNIT = 0x1p-24;

static int tally_size(const Experiment *experiment) {
    return CONFUSION + experiment->dataset.classes * experiment->dataset.classes;
}

struct Evaluator {
    const Experiment *experiment;
    Split split;
    Feed feed;
    Pass *pass;             /* (workers) */
    DevFloats *probability; /* (workers): (images_most, classes) */
    Tally *tally;           /* (workers) */
    int64_t images_most;
};

Evaluator *evaluator_new(const Experiment *experiment, Split split) {
    Backend *backend = experiment->backend;
    const size_t classes = (size_t)experiment->dataset.classes, workers = (size_t)backend->workers;
    const int64_t count = experiment->dataset.count[split], batch = experiment->config.eval_batch;
    const Span lanes = experiment_lanes(experiment, batch < count ? batch : count);
    Evaluator *evaluator = memory_new(1, sizeof *evaluator);
    evaluator->experiment = experiment;
    evaluator->split = split;
    evaluator->images_most = span_lane_rows_most(lanes.batch, lanes.lanes, 1);
    feed_open(&evaluator->feed, experiment, split, lanes.batch);
    feed_order(&evaluator->feed, experiment->dataset.sample[split]);
    evaluator->pass = memory_new(workers, sizeof *evaluator->pass);
    evaluator->tally = memory_new(workers, sizeof *evaluator->tally);
    evaluator->probability = memory_new(workers, sizeof *evaluator->probability);
    for (size_t i = 0; i < workers; i++) {
        Tally *tally = &evaluator->tally[i];
        const size_t images = (size_t)evaluator->images_most;
        pass_open(&evaluator->pass[i], &experiment->ram, evaluator->images_most, false);
        evaluator->probability[i] = backend_floats(backend, evaluator->images_most * (int64_t)classes);
        tally->count = memory_new((size_t)tally_size(experiment), sizeof *tally->count);
        tally->probability = memory_new(images * classes, sizeof *tally->probability);
        tally->rewards = memory_new(images, sizeof *tally->rewards);
    }
    return evaluator;
}

void evaluator_free(Evaluator *evaluator) {
    if (!evaluator) return;
    Backend *backend = evaluator->experiment->backend;
    for (int i = 0; i < backend->workers; i++) {
        pass_close(&evaluator->pass[i], &evaluator->experiment->ram);
        backend->kernels->release(backend, evaluator->probability[i].address);
        free(evaluator->tally[i].count);
        free(evaluator->tally[i].probability);
        free(evaluator->tally[i].rewards);
    }
    feed_close(&evaluator->feed);
    free(evaluator->pass);
    free(evaluator->probability);
    free(evaluator->tally);
    free(evaluator);
}

typedef struct {
    Evaluator *evaluator;
    Policy policy;
    int64_t rollouts;
    const int32_t *samples; /* of the batch */
} Work;

/* Counts the span's predictions from the probabilities summed over the roll-outs. */
static void count_predictions(const Work *work, const Span *span, Tally *tally) {
    const Experiment *experiment = work->evaluator->experiment;
    const uint8_t *labels = dataset_images(&experiment->dataset, work->evaluator->split)->labels;
    const int classes = experiment->dataset.classes;
    const int32_t *sample = work->samples + span_first_image(span);
    const int64_t images = span_images(span);
    for (int64_t i = 0; i < images; i++) {
        const float *probability = tally->probability + i * classes;
        const int label = labels[sample[i]];
        const int best = classifier_best(classes, probability);
        const double mean = (double)probability[label] / (double)work->rollouts;
        tally->count[LOSS] += llround(-log(fmax(mean, (double)FLT_MIN)) / LOSS_UNIT);
        if (isnan(mean)) tally->count[NOT_FINITE]++;
        tally->count[CONFUSION + label * classes + best]++;
    }
}

static void evaluate_span(void *context, int worker, const Span *span) {
    const Work *work = context;
    Evaluator *evaluator = work->evaluator;
    const Experiment *experiment = evaluator->experiment;
    const Ram *ram = &experiment->ram;
    Backend *backend = experiment->backend;
    const Kernels *kernels = backend->kernels;
    Pass *pass = &evaluator->pass[worker];
    Tally *tally = &evaluator->tally[worker];
    const int classes = ram->dims.classes, T = ram->dims.glimpses;
    const int64_t rows = span_rows(span);
    const size_t probability_bytes = (size_t)(rows * classes) * sizeof(float);
    memset(tally->probability, 0, probability_bytes);
    kernels->upload(backend, evaluator->probability[worker].address, tally->probability, probability_bytes);
    pass->pictures = feed_pictures(&evaluator->feed, span);
    for (int64_t m = 0; m < work->rollouts; m++) {
        const Draws draws = experiment_draws(experiment, evaluator->split, m, work->policy);
        kernels->draw(backend, span, &draws, &pass->pictures, T, pass->location, pass->noise);
        ram_forward(ram, span, work->policy, experiment_sigma(experiment, work->rollouts), false, pass);
        ram_reward(ram, span, &(RewardRule){.kind = REWARD_CORRECT}, pass);
        kernels->add_probability(backend, span, classes, dev_floats_at(pass->log_prob, (T - 1) * rows * classes),
                                 evaluator->probability[worker]);
        kernels->download(backend, tally->rewards, pass->reward.address, (size_t)rows * sizeof(float));
        for (int64_t i = 0; i < rows; i++) tally->count[REWARD] += tally->rewards[i] > 0;
    }
    kernels->download(backend, tally->probability, evaluator->probability[worker].address, probability_bytes);
    count_predictions(work, span, tally);
}

/* 95 % interval of a share of k in n (Wilson 1927), in percent. */
static void set_interval(Evaluation *evaluation) {
    const double n = (double)evaluation->images, p = (double)evaluation->wrong / n, z = 1.959963984540054;
    const double centre = p + z * z / (2 * n), spread = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    evaluation->error = 100 * p;
    evaluation->low = fmax(0, 100 * (centre - spread) / (1 + z * z / n));
    evaluation->high = 100 * (centre + spread) / (1 + z * z / n);
}

/* The workers' counts, summed over all ranks. Borrowed from the first. @collective */
static const int64_t *sum_counts(Evaluator *evaluator) {
    const Experiment *experiment = evaluator->experiment;
    const int size = tally_size(experiment);
    int64_t *sum = evaluator->tally[0].count;
    for (int worker = 1; worker < experiment->backend->workers; worker++)
        for (int i = 0; i < size; i++) sum[i] += evaluator->tally[worker].count[i];
    comm_sum(experiment->comm, sum, size);
    return sum;
}

Evaluation evaluator_run(Evaluator *evaluator, Policy policy, int64_t rollouts, int64_t *confusion) {
    const Experiment *experiment = evaluator->experiment;
    const int classes = experiment->dataset.classes;
    const int64_t images = experiment->dataset.count[evaluator->split], batch = experiment->config.eval_batch;
    for (int i = 0; i < experiment->backend->workers; i++)
        memset(evaluator->tally[i].count, 0, (size_t)tally_size(experiment) * sizeof *evaluator->tally[i].count);
    backend_range(experiment->backend, "evaluation");
    for (int64_t first = 0; first < images; first += batch) {
        const int64_t n = images - first < batch ? images - first : batch;
        Work work = {evaluator, policy, rollouts, experiment->dataset.sample[evaluator->split] + first};
        const Span lanes = experiment_lanes(experiment, n);
        feed_lanes(&evaluator->feed, &lanes, first);
        experiment->backend->kernels->run(experiment->backend, lanes, 1, evaluate_span, &work);
    }
    backend_range_end(experiment->backend);
    const int64_t *sum = sum_counts(evaluator), *cells = sum + CONFUSION;
    Evaluation evaluation = {.split = evaluator->split,
                             .policy = policy,
                             .sigma = experiment_sigma(evaluator->experiment, rollouts),
                             .rollouts = rollouts,
                             .not_finite = sum[NOT_FINITE]};
    for (int label = 0; label < classes; label++)
        for (int c = 0; c < classes; c++) {
            evaluation.images += cells[label * classes + c];
            if (c != label) evaluation.wrong += cells[label * classes + c];
        }
    require(evaluation.images == images);
    evaluation.loss = (double)sum[LOSS] * LOSS_UNIT / (double)images;
    evaluation.reward = (double)sum[REWARD] / ((double)images * (double)rollouts);
    set_interval(&evaluation);
    if (confusion) memcpy(confusion, cells, (size_t)(classes * classes) * sizeof *confusion);
    return evaluation;
}
