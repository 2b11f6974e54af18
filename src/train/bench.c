#include "train/bench.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "train/evaluate.h"
#include "train/optimizer.h"
#include "train/reduction.h"
#include "train/saved_state.h"
#include "train/step.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPEATS = 5, PEAK_ROWS = 16, PEAK_SIDE = 256, PEAK_CALLS = 2000 };

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, compare);
    return values[count / 2];
}

/* Seconds that the slowest rank took. @collective */
static double slowest(Comm *comm, double seconds) {
    int64_t nanoseconds = (int64_t)(1e9 * seconds);
    comm_max(comm, &nanoseconds, 1);
    return 1e-9 * (double)nanoseconds;
}

/* --- the products' peak */

typedef struct {
    Backend *backend;
    DevFloats *matrix; /* (workers): input, weight and output side by side */
} PeakWork;

static void multiply(void *context, int worker, const Span *lane) {
    const PeakWork *work = context;
    const DevFloats x = work->matrix[worker], zeros = dev_floats_at(x, PEAK_ROWS * PEAK_SIDE);
    const DevFloats y = dev_floats_at(zeros, PEAK_SIDE * PEAK_SIDE);
    const Weight weight = {zeros, zeros}; /* zero in every form */
    for (int i = 0; i < PEAK_CALLS; i++)
        work->backend->kernels->linear_backward_data(work->backend, lane, 1, PEAK_SIDE, PEAK_SIDE, matrix(x, PEAK_SIDE),
                                                     weight, false, matrix(y, PEAK_SIDE));
}

/* Products of 16 x 256 x 256 on all workers of all ranks at once, one lane of 16 rows each. @collective */
static Status measure_peak(const Experiment *experiment, double *peak) {
    Backend *backend = experiment->backend;
    PeakWork work = {backend, memory_new((size_t)backend->workers, sizeof(DevFloats))};
    double rate[REPEATS] = {0};
    const int workers = backend->workers;
    const Span lanes = {.batch = (int64_t)workers * PEAK_ROWS, .lanes = workers, .lane_count = workers, .samples = 1};
    int64_t all_workers = workers;
    comm_sum(experiment->comm, &all_workers, 1);
    for (int i = 0; i < workers; i++) work.matrix[i] = backend_zeros(backend, (2 * PEAK_ROWS + PEAK_SIDE) * PEAK_SIDE);
    const Status room = comm_agree(experiment->comm, backend_room(backend));
    for (int i = 0; i < REPEATS && !status_failed(&room); i++) {
        comm_barrier(experiment->comm);
        const double started = clock_now();
        backend->kernels->run(backend, lanes, 1, multiply, &work);
        backend->kernels->wait(backend);
        const double seconds = slowest(experiment->comm, clock_now() - started);
        rate[i] = 2.0 * PEAK_ROWS * PEAK_SIDE * PEAK_SIDE * PEAK_CALLS * (double)all_workers / seconds;
    }
    for (int i = 0; i < workers; i++) backend->kernels->release(backend, work.matrix[i].address);
    free(work.matrix);
    *peak = median(rate, REPEATS);
    return room;
}

/* --- steps */

typedef struct {
    Experiment *experiment;
    Step *step;
    Optimizer optimizer;
    int32_t *order;
    int64_t done; /* steps */
} Steps;

/* RAM_USAGE where there is no memory for the parameters; for the rest backend_room() tells. @collective */
static Status steps_open(Steps *steps, Experiment *experiment) {
    *steps = (Steps){.experiment = experiment};
    TRY(saved_state_begin(experiment, &steps->optimizer));
    steps->step = step_new(experiment, &steps->optimizer);
    steps->order = memory_new((size_t)experiment->dataset.count[SPLIT_TRAIN], sizeof *steps->order);
    return status_ok();
}

static void steps_close(Steps *steps) {
    free(steps->order);
    step_free(steps->step);
    optimizer_close(&steps->optimizer);
}

/* Only full batches are timed, so that all steps are alike. */
static Status check_batch(const Experiment *experiment) {
    const int64_t images = experiment->dataset.count[SPLIT_TRAIN];
    if (experiment->config.train_batch <= images) return status_ok();
    return status_error(RAM_USAGE,
                        "train.batch is %" PRId64 ", but there are only %" PRId64
                        " training images: bench times full batches, so set it lower",
                        experiment->config.train_batch, images);
}

/* Trains `count` full batches, of at most as many images as there are. @collective */
static void steps_run(Steps *steps, int64_t count) {
    Experiment *experiment = steps->experiment;
    const Config *config = &experiment->config;
    const int64_t per_epoch = experiment->dataset.count[SPLIT_TRAIN] / config->train_batch;
    for (int64_t end = steps->done + count; steps->done < end; steps->done++) {
        const int64_t batch = steps->done % per_epoch;
        const uint32_t epoch = (uint32_t)(steps->done / per_epoch + 1);
        if (batch == 0) {
            dataset_order(&experiment->dataset, SPLIT_TRAIN, (uint64_t)config->_seed, epoch, steps->order);
            step_order(steps->step, steps->order);
        }
        const StepInput input = {
            .epoch = epoch, .first = batch * config->train_batch, .n = config->train_batch, .lr = config->train_lr};
        step_run(steps->step, &input);
    }
    experiment->backend->kernels->wait(experiment->backend);
}

/* Seconds of one step. @collective */
static double time_steps(Steps *steps, int64_t count) {
    double seconds[REPEATS];
    steps_run(steps, count / 10 + 1);
    for (int i = 0; i < REPEATS; i++) {
        comm_barrier(steps->experiment->comm);
        const double started = clock_now();
        steps_run(steps, count / REPEATS + 1);
        seconds[i] = slowest(steps->experiment->comm, clock_now() - started) / (double)(count / REPEATS + 1);
    }
    return median(seconds, REPEATS);
}

/* Products per image in the costs of `images` images. */
static double flops_per_image(const TimedCost *cost, int costs, double images) {
    double flops = 0;
    for (int i = 0; i < costs; i++) flops += cost[i].flops;
    return flops / images;
}

/* --- the reduction alone */

static Status time_reduction(const Experiment *experiment, BenchFigures *figures) {
    enum { TAIL = 8, CALLS = 50 };
    Backend *backend = experiment->backend;
    const int64_t total = (int64_t)experiment->ram.parameters.layout.total;
    const Span lanes = experiment_training_lanes(experiment, experiment->config.train_batch, 1);
    LaneNode leaf[LANES_MOST];
    const int leaves = backend_spans(backend, &lanes, lanes.lanes, leaf);
    Reduction *reduction =
        reduction_new(experiment->comm, experiment->nccl, backend, lanes.lanes, total, TAIL, leaves, leaf);
    const size_t doubles = (size_t)lanes.lane_count * TAIL;
    const DevDoubles tails = {backend->kernels->allocate(backend, doubles * sizeof(double))};
    double *host = memory_new(doubles, sizeof *host), total_tail[TAIL], seconds[REPEATS] = {0};
    const Status room = comm_agree(experiment->comm, backend_room(backend));
    if (!status_failed(&room)) backend->kernels->upload(backend, tails.address, host, doubles * sizeof *host);
    for (int i = 0; i < REPEATS && !status_failed(&room); i++) {
        comm_barrier(experiment->comm);
        const double started = clock_now();
        for (int call = 0; call < CALLS; call++) {
            reduction_run(reduction, tails);
            reduction_tail(reduction, tails, 0, host, total_tail);
        }
        seconds[i] = slowest(experiment->comm, clock_now() - started) / CALLS;
    }
    backend->kernels->release(backend, tails.address);
    free(host);
    reduction_free(reduction);
    figures->reduction_seconds = median(seconds, REPEATS);
    return room;
}

/* --- the rest */

static int64_t peak_memory(Comm *comm) {
    char line[256];
    long long kib = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %lld", &kib) == 1) break;
    if (file) fclose(file);
    int64_t bytes = kib * 1024;
    comm_max(comm, &bytes, 1);
    return bytes;
}

static void measure_kernels(Steps *timed_steps, Evaluator *evaluator, int64_t steps, BenchFigures *figures) {
    Experiment *experiment = timed_steps->experiment;
    Backend *timed = experiment->backend;
    TimedCost cost[BENCH_COSTS];
    steps_run(timed_steps, 5);
    timed_clear(timed);
    const double started = clock_now();
    steps_run(timed_steps, steps);
    figures->timed_seconds = clock_now() - started;
    figures->timed_steps = steps;
    figures->costs = timed_costs(timed, figures->cost, BENCH_COSTS);
    /* lanes of this rank only: their images in a batch */
    const Span lanes = experiment_training_lanes(experiment, experiment->config.train_batch, 1);
    figures->train_flops = flops_per_image(figures->cost, figures->costs, (double)steps * (double)span_images(&lanes));
    timed_clear(timed);
    evaluator_run(evaluator, POLICY_SAMPLE, 1, NULL);
    const int costs = timed_costs(timed, cost, BENCH_COSTS);
    int64_t flops = (int64_t)flops_per_image(cost, costs, 1);
    comm_sum(experiment->comm, &flops, 1);
    figures->eval_flops = (double)flops / (double)experiment->dataset.count[SPLIT_VALIDATION];
}

/* Training and evaluation through the timed backend: where the time goes. @collective */
static Status time_kernels(Experiment *experiment, int64_t steps, BenchFigures *figures) {
    Backend *inner = experiment->backend, *timed = timed_new(inner);
    Steps timed_steps;
    experiment->backend = experiment->ram.backend = timed;
    Status status = steps_open(&timed_steps, experiment);
    if (!status_failed(&status)) {
        Evaluator *evaluator = evaluator_new(experiment, SPLIT_VALIDATION);
        status = comm_agree(experiment->comm, backend_room(timed));
        if (!status_failed(&status)) measure_kernels(&timed_steps, evaluator, steps, figures);
        evaluator_free(evaluator);
    }
    steps_close(&timed_steps);
    experiment->backend = experiment->ram.backend = inner;
    backend_close(timed);
    return status;
}

static Status measure_evaluation(Experiment *experiment, BenchFigures *figures) {
    Evaluator *evaluator = evaluator_new(experiment, SPLIT_TEST);
    double seconds[REPEATS];
    const Status room = comm_agree(experiment->comm, backend_room(experiment->backend));
    for (int i = 0; i < REPEATS && !status_failed(&room); i++) {
        comm_barrier(experiment->comm);
        const double started = clock_now();
        evaluator_run(evaluator, POLICY_SAMPLE, 1, NULL);
        seconds[i] = slowest(experiment->comm, clock_now() - started);
    }
    if (!status_failed(&room))
        figures->eval_rate = (double)experiment->dataset.count[SPLIT_TEST] / median(seconds, REPEATS);
    evaluator_free(evaluator);
    return room;
}

/* A folder of its own for the checkpoints that are timed, the same on all ranks. @collective */
static Status make_folder(Comm *comm, char path[FILE_PATH]) {
    Status status = status_ok();
    if (comm_rank(comm) == 0) {
        const bool alone = comm_local_size(comm) == comm_size(comm);
        const char *where = alone ? P_tmpdir : "."; /* what several hosts are likely to share */
        status = atomic_file_join(path, where, "ram_dist-bench-XXXXXX");
        if (!status_failed(&status) && !mkdtemp(path)) status = atomic_file_error("make a folder in", where, errno);
    }
    TRY(comm_agree(comm, status));
    comm_broadcast(comm, path, FILE_PATH, 0);
    return status_ok();
}

static Status time_checkpoints(const Experiment *experiment, const Optimizer *optimizer, const char *folder,
                               Provenance *provenance, BenchFigures *figures) {
    SavedState state = saved_state_start();
    double seconds[REPEATS];
    for (int i = 0; i < REPEATS; i++) {
        state.step = i + 1;
        comm_barrier(experiment->comm);
        const double started = clock_now();
        TRY(saved_state_save(experiment, folder, &state, optimizer, provenance));
        seconds[i] = slowest(experiment->comm, clock_now() - started);
    }
    figures->checkpoint_seconds = median(seconds, REPEATS);
    return status_ok();
}

static Status measure_checkpoint(const Experiment *experiment, const Optimizer *optimizer, Provenance *provenance,
                                 BenchFigures *figures) {
    char folder[FILE_PATH];
    Comm *comm = experiment->comm;
    TRY(make_folder(comm, folder));
    const Status status = time_checkpoints(experiment, optimizer, folder, provenance, figures);
    const Status removed = comm_agree(comm, comm_rank(comm) == 0 ? atomic_file_remove_tree(folder) : status_ok());
    return status_failed(&status) ? status : removed;
}

static Status measure_steps(Steps *plain, int64_t steps, Provenance *provenance, BenchFigures *figures) {
    Experiment *experiment = plain->experiment;
    TRY(measure_checkpoint(experiment, &plain->optimizer, provenance, figures)); /* first: it may find no place */
    TRY(measure_peak(experiment, &figures->peak));
    figures->step_seconds = time_steps(plain, steps);
    figures->train_rate = (double)experiment->config.train_batch / figures->step_seconds;
    TRY(time_reduction(experiment, figures));
    ram_load(&experiment->ram, optimizer_parameters(&plain->optimizer));
    return measure_evaluation(experiment, figures);
}

Status bench_run(Experiment *experiment, int64_t steps, Provenance *provenance, BenchFigures *figures) {
    Steps plain;
    int64_t cores = experiment->backend->workers;
    TRY(check_batch(experiment));
    comm_sum(experiment->comm, &cores, 1);
    *figures = (BenchFigures){.cores = (int)cores, .cores_of_rank = experiment->backend->workers};
    Status status = steps_open(&plain, experiment);
    if (!status_failed(&status)) status = saved_state_room(experiment, &plain.optimizer);
    if (!status_failed(&status)) status = measure_steps(&plain, steps, provenance, figures);
    steps_close(&plain);
    if (status_failed(&status)) return status;
    TRY(time_kernels(experiment, steps / 4 + 1, figures));
    figures->memory_bytes = peak_memory(experiment->comm);
    return status_ok();
}
