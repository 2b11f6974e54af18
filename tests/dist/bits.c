/* bits THREADS: 50 steps of training and an evaluation of several models, on as many ranks as started it, and a hash of
 * all that came out. bits.sh demands the same lines for every number of ranks and threads (DESIGN 4). */
#include "../unit/idx_files.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "model/parameters.h"
#include "mpi/launch.h"
#include "train/evaluate.h"
#include "train/optimizer.h"
#include "train/step.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 50, FIGURES_MOST = STEPS * (SUMS + 1) + 64, SETTINGS_MOST = 9 };

typedef struct {
    const char *name;
    const char *settings[SETTINGS_MOST]; /* the last ones NULL */
} Variant;

static const Variant VARIANTS[] = {
    {"default", {NULL}},
    {"lstm", {"model.core=lstm", "model.hidden=48", "train.glimpse_nll=0.3", "train.locator_gradient=true"}},
    {"others",
     {"model.locator=linear", "train.baseline=others", "train.samples=2", "train.reward=log_likelihood",
      "train.credit=gain", "train.credit_decay=0.5", "train.glimpse_nll=1", "model.hidden=64"}},
    {"sgd",
     {"train.optimizer=sgd", "train.nesterov=true", "train.clip=0.5", "train.ema=0.9", "train.lr=0.05",
      "train.weight_decay=0.01", "train.baseline=moving_average", "model.hidden=64"}},
    {"cluttered",
     {"data.task=cluttered", "data.canvas=40", "model.scales=3", "model.hidden=64", "data.mean=auto",
      "data.stddev=auto", "train.baseline=none"}},
    {"bf16", {"train.precision=bf16", "model.hidden=65", "model.glimpse_hidden=17", "train.glimpse_nll=0.3"}},
    {"lanes", {"train.lanes=64", "model.hidden=32", "model.glimpse_hidden=17"}},
};

/* Numbers that must be the same bits on every rank of every run. */
typedef struct {
    double value[FIGURES_MOST];
    int count;
} Figures;

static void add_figure(Figures *figures, double value) {
    require(figures->count < FIGURES_MOST);
    figures->value[figures->count++] = value;
}

static void check(Status status) {
    if (status_failed(&status)) fatal("%s", status.message);
}

static Config variant_config(const Variant *variant, const char *folder) {
    Config config;
    config_default(&config);
    check(config_set(&config, "eval.batch=96")); /* does not divide 250 */
    check(config_set(&config, "train.lr=0.001"));
    check(config_set_value(&config, "data.dir", folder, "here"));
    for (int i = 0; i < SETTINGS_MOST && variant->settings[i]; i++) check(config_set(&config, variant->settings[i]));
    check(config_check(&config));
    return config;
}

/* Short batches among the whole ones: 112 as at the end of an epoch of MNIST, 6 with lanes that hold nothing. */
static int64_t batch_images(const Config *config, int step) {
    return step % 10 == 4 ? 112 : step % 10 == 7 ? 6 : config->train_batch;
}

static void train(Experiment *experiment, Optimizer *optimizer, Figures *figures) {
    const Config *config = &experiment->config;
    int32_t *order = memory_new((size_t)experiment->dataset.count[SPLIT_TRAIN], sizeof *order);
    Step *step = step_new(experiment, optimizer);
    double moving_average = 0;
    for (int i = 0; i < STEPS; i++) {
        const uint32_t epoch = (uint32_t)i / 2 + 1;
        const int64_t first = i % 2 * config->train_batch;
        dataset_order(&experiment->dataset, SPLIT_TRAIN, (uint64_t)config->_seed, epoch, order);
        step_order(step, order);
        const StepInput input = {.epoch = epoch,
                                 .first = first,
                                 .n = batch_images(config, i),
                                 .moving_average = (float)moving_average,
                                 .lr = config->train_lr};
        const StepSums sums = step_run(step, &input);
        require(!sums.stop && !sums.save);
        require(sums.sum[SUM_ROWS] == (double)(batch_images(config, i) * config->train_samples));
        add_figure(figures, sums.norm);
        moving_average = 0.9 * moving_average + 0.1 * sums.sum[SUM_REWARD] / sums.sum[SUM_ROWS];
        for (int s = 0; s < SUMS; s++) add_figure(figures, sums.sum[s]);
    }
    step_free(step);
    free(order);
}

/* One rank's wish to stop or to save reaches all, whichever rank it is. */
static void check_wishes(Experiment *experiment, Optimizer *optimizer) {
    Step *step = step_new(experiment, optimizer);
    step_order(step, experiment->dataset.sample[SPLIT_TRAIN]);
    for (int rank = 0; rank < comm_size(experiment->comm); rank++) {
        const bool mine = rank == comm_rank(experiment->comm);
        StepSums sums = step_run(step, &(StepInput){.epoch = 1, .n = 6, .stop = mine});
        require(sums.stop && !sums.save);
        sums = step_run(step, &(StepInput){.epoch = 1, .n = 6, .save = mine});
        require(!sums.stop && sums.save);
    }
    step_free(step);
}

static double norm_of(Step *step, uint32_t epoch) {
    return step_run(step, &(StepInput){.epoch = epoch, .n = 6, .lr = 0}).norm;
}

/* Another epoch looks at other places of the same images, and a short batch is one of as many images, not a part of a
 * whole one. The rate is 0, so that all steps are of the same parameters. */
static void check_batches(Experiment *experiment, Optimizer *optimizer) {
    const int64_t batch = experiment->config.train_batch;
    Step *step = step_new(experiment, optimizer);
    step_order(step, experiment->dataset.sample[SPLIT_TRAIN]);
    const double first = norm_of(step, 1), second = norm_of(step, 2);
    require(first != second && norm_of(step, 1) == first);
    step_free(step);
    experiment->config.train_batch = 6;
    step = step_new(experiment, optimizer);
    step_order(step, experiment->dataset.sample[SPLIT_TRAIN]);
    require(norm_of(step, 1) == first);
    step_free(step);
    experiment->config.train_batch = batch;
}

static void evaluate(Experiment *experiment, const Optimizer *optimizer, Policy policy, int64_t rollouts,
                     Figures *figures) {
    enum { CLASSES = 10 };
    int64_t confusion[CLASSES * CLASSES];
    char hash[HASH_TEXT];
    Evaluator *evaluator = evaluator_new(experiment, SPLIT_TEST);
    ram_load(&experiment->ram, optimizer_evaluated(optimizer));
    const Evaluation e = evaluator_run(evaluator, policy, rollouts, confusion);
    require(e.images == experiment->dataset.count[SPLIT_TEST] && experiment->dataset.classes == CLASSES);
    hash_memory(confusion, sizeof confusion, hash);
    add_figure(figures, (double)e.wrong);
    add_figure(figures, e.error);
    add_figure(figures, e.low);
    add_figure(figures, e.high);
    add_figure(figures, e.loss);
    add_figure(figures, e.reward);
    add_figure(figures, (double)strtoull(hash + 20, NULL, 16)); /* 48 bits: a double holds them */
    evaluator_free(evaluator);
}

/* Every rank must hold the same; rank 0 prints. */
static void print_hash(Comm *comm, const char *variant, const char *what, const void *data, size_t bytes) {
    char mine[HASH_TEXT], all[LANES_MOST][HASH_TEXT];
    hash_memory(data, bytes, mine);
    comm_gather(comm, mine, HASH_TEXT, all);
    for (int rank = 0; rank < comm_size(comm); rank++)
        if (strcmp(all[rank], mine) != 0) fatal("%s %s: rank %d holds other bits", variant, what, rank);
    if (comm_rank(comm) == 0) printf("%s %s %s\n", variant, what, mine);
}

static void run_variant(const Variant *variant, const char *folder, Comm *comm, int threads) {
    Experiment experiment;
    Optimizer optimizer;
    Figures figures = {.count = 0};
    const Config config = variant_config(variant, folder);
    const Status status = experiment_open(&experiment, &config, comm, threads, NULL);
    if (status.code == RAM_UNAVAILABLE && config.train_precision == PRECISION_BF16) return; /* not on this CPU */
    check(status);
    Backend *backend = experiment.backend;
    const size_t total = experiment.ram.parameters.layout.total;
    float *values = memory_new(total, sizeof *values);
    parameters_initialize(&experiment.ram.parameters, (uint64_t)config._seed, values);
    optimizer_open(&optimizer, backend, &config, (int64_t)total, values);
    train(&experiment, &optimizer, &figures);
    evaluate(&experiment, &optimizer, POLICY_SAMPLE, 1, &figures);
    evaluate(&experiment, &optimizer, POLICY_SAMPLE, 3, &figures);
    evaluate(&experiment, &optimizer, POLICY_MEAN, 1, &figures);
    evaluate(&experiment, &optimizer, POLICY_RANDOM, 1, &figures);
    for (int i = 0; i < optimizer.vectors; i++) {
        backend->kernels->download(backend, values, optimizer.vector[i].values.address, total * sizeof *values);
        print_hash(comm, variant->name, optimizer.vector[i].group, values, total * sizeof *values);
    }
    print_hash(comm, variant->name, "figures", figures.value, (size_t)figures.count * sizeof *figures.value);
    check_wishes(&experiment, &optimizer);
    check_batches(&experiment, &optimizer);
    optimizer_close(&optimizer);
    experiment_close(&experiment);
    free(values);
}

int main(int argc, char **argv) {
    char folder[FIXTURE_PATH] = {0};
    Launch launch;
    Comm *comm;
    const int threads = argc == 2 ? atoi(argv[1]) : 0;
    check(launch_detect(&launch));
    if (threads < 1) fatal("usage: bits THREADS");
    check(launch_comm(&launch, COMM_AUTO, 0, &comm));
    log_open(comm_rank(comm), comm_size(comm), false, comm_abort);
    if (comm_rank(comm) == 0) {
        make_folder(folder);
        write_set(folder, 400, 250, 28, 28, 1, 10);
    }
    comm_broadcast(comm, folder, sizeof folder, 0);
    for (size_t i = 0; i < sizeof VARIANTS / sizeof *VARIANTS; i++) run_variant(&VARIANTS[i], folder, comm, threads);
    if (comm_rank(comm) == 0) remove_folder(folder);
    comm_free(comm);
    return 0;
}
