#include "train/experiment.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "train/rank_sum.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Normalisation per channel: the configured constants, or measured on the training split where they say `auto`. */
static Status set_normalisation(const Config *config, const Dataset *dataset, Retina *retina) {
    double mean[CHANNELS_MOST] = {0}, stddev[CHANNELS_MOST] = {0};
    if (isnan(config->data_mean) || isnan(config->data_stddev)) TRY(dataset_measure(dataset, mean, stddev));
    for (int c = 0; c < retina->channels; c++) {
        retina->mean[c] = (float)(isnan(config->data_mean) ? mean[c] : config->data_mean);
        retina->stddev[c] = (float)(isnan(config->data_stddev) ? stddev[c] : config->data_stddev);
    }
    return status_ok();
}

float experiment_sigma(const Experiment *experiment, int64_t rollouts) {
    const Config *config = &experiment->config;
    const double sigma = rollouts > 1 ? config->eval_sigma_many : config->eval_sigma;
    return (float)(isnan(sigma) ? config->model_sigma : sigma);
}

Status experiment_open_data(Experiment *experiment, const char *data_fallback) {
    const Config *config = &experiment->config;
    const DatasetOptions options = {.directory = config->data_dir,
                                    .prefix = config->data_prefix,
                                    .fallback = data_fallback,
                                    .classes = config->data_classes == KEY_AUTO_INT ? 0 : (int)config->data_classes,
                                    .seed = (uint64_t)config->data_seed,
                                    .validation_fraction = config->data_validation};
    TRY(dataset_open(&experiment->dataset, &options));
    const TaskOptions task = {.kind = (TaskKind)config->data_task,
                              .canvas = (int)config->data_canvas,
                              .distractors = (int)config->data_distractors,
                              .augmentation = {.shift = config->augment_shift,
                                               .rotation = config->augment_rotation,
                                               .scale = config->augment_scale,
                                               .elastic = config->augment_elastic},
                              .seed = (uint64_t)config->_seed,
                              .data_seed = (uint64_t)config->data_seed};
    return task_open(&experiment->task, &experiment->dataset, &task);
}

/* Why not every rank has a GPU, where another has one, or its driver shows none. */
static void tell_without(const Devices *devices, int without) {
    const DeviceView *view = &devices->view[without];
    if (view->seen.why[0])
        log_warning("rank %d on %s can use no GPU, so all ranks compute on the CPU: %s", without, view->name,
                    view->seen.why);
    else if (devices_any(devices))
        log_warning("rank %d on %s sees no GPU, so all ranks compute on the CPU", without, view->name);
}

/* Which GPU each rank would take; `auto` means GPUs where every rank has one that it can use. @collective */
static DeviceChoice choose_device(Experiment *experiment) {
    const DeviceChoice wanted = (DeviceChoice)experiment->config._device;
    GpuList seen = {0};
    if (wanted == DEVICE_AUTO || wanted == DEVICE_CUDA) backend_gpus(&seen);
    Devices *devices = experiment->devices = devices_new(experiment->comm, &seen);
    const int without = devices_without(devices);
    if (wanted != DEVICE_AUTO) return wanted;
    if (without != DEVICE_NONE) {
        tell_without(devices, without);
        return DEVICE_CPU;
    }
    const Status usable = comm_agree(experiment->comm, backend_probe(devices->gpu[comm_rank(experiment->comm)]));
    if (!status_failed(&usable)) return DEVICE_CUDA;
    log_warning("all ranks compute on the CPU: %s", usable.message);
    return DEVICE_CPU;
}

static Status open_model(Experiment *experiment) {
    const Config *config = &experiment->config;
    const Task *task = &experiment->task;
    Dims dims = {
        .glimpses = (int)config->model_glimpses,
        .retina = {.patch = (int)config->model_patch,
                   .scales = (int)config->model_scales,
                   .scale = (int)config->model_scale,
                   .height = task->height,
                   .width = task->width,
                   .channels = task->channels},
        .classes = experiment->dataset.classes,
        .hidden = (int)config->model_hidden,
        .glimpse_hidden = (int)config->model_glimpse_hidden,
        .location_hidden = (int)config->model_location_hidden,
        .locator_hidden = (int)config->model_locator_hidden,
        .core = (Core)config->model_core,
        .locator = (Locator)config->model_locator,
        .sigma = (float)config->model_sigma,
    };
    TRY(dims_check(&dims));
    TRY(set_normalisation(config, &experiment->dataset, &dims.retina));
    const int gpu = experiment->devices->gpu[comm_rank(experiment->comm)];
    const BackendOptions options = {.device = experiment->device,
                                    .threads = experiment->threads,
                                    .gpu = gpu == DEVICE_NONE ? 0 : gpu, /* the backend will tell */
                                    .precision = (Precision)config->train_precision};
    TRY(backend_open(&options, &experiment->backend));
    ram_open(&experiment->ram, experiment->backend, &dims);
    return backend_room(experiment->backend);
}

/* What must be equal on all ranks, or they would compute different things, or wait for each other for ever. */
typedef struct {
    char products[192];           /* library and instruction set or GPU: equal bits are promised for one */
    char data[SPLITS][HASH_TEXT]; /* of the files and the split */
} Premises;

static Premises own_premises(const Experiment *experiment) {
    Premises premises;
    memset(&premises, 0, sizeof premises);
    memcpy(premises.data, experiment->dataset.hash, sizeof premises.data);
    snprintf(premises.products, sizeof premises.products, "%s (%s)", experiment->backend->library,
             experiment->backend->note);
    return premises;
}

Status experiment_compare_configs(Comm *comm, const Config *config) {
    Config first = *config;
    comm_broadcast(comm, &first, sizeof first, 0);
    const int key = config_next_difference(&first, config, -1);
    if (key < 0) return comm_agree(comm, status_ok());
    return comm_agree(comm, status_error(RAM_USAGE,
                                         "rank 0 and rank %d read different configurations (%s): give all hosts the "
                                         "same files",
                                         comm_rank(comm), config_key(key)->name));
}

static Status check_premises(const Experiment *experiment) {
    const int ranks = comm_size(experiment->comm);
    const Premises mine = own_premises(experiment);
    Premises *all = memory_new((size_t)ranks, sizeof *all);
    Status status = status_ok();
    comm_gather(experiment->comm, &mine, sizeof mine, all);
    for (int rank = 1; rank < ranks && !status_failed(&status); rank++) {
        if (strcmp(all[0].products, all[rank].products) != 0)
            status = status_error(
                RAM_UNAVAILABLE, "rank 0 computes with %s, rank %d with %s: the ranks of a run need %s",
                all[0].products, rank, all[rank].products,
                experiment->device == DEVICE_CUDA
                    ? "GPUs of one model and size, and one cuBLAS"
                    : "one library and one instruction set (train.precision=fp32, with LIBXSMM_TARGET=hsw on all "
                      "hosts, makes these equal)");
        else if (memcmp(all[0].data, all[rank].data, sizeof mine.data) != 0)
            status = status_error(RAM_DATA,
                                  "rank 0 and rank %d read different data: rank 0 from %.300s; give all hosts the same "
                                  "files (data.dir, $RAM_DATA)",
                                  rank, experiment->dataset.directory);
    }
    free(all);
    return comm_agree(experiment->comm, status);
}

Status experiment_check_ranks(const Config *config, int ranks) {
    if (ranks <= config->train_lanes) return status_ok();
    return status_error(RAM_USAGE,
                        "%d ranks share %lld lanes, so some would have none: start at most %lld, or raise "
                        "train.lanes (it is part of the result)",
                        ranks, (long long)config->train_lanes, (long long)config->train_lanes);
}

static Status open_all(Experiment *experiment, const char *data_fallback) {
    TRY(experiment_check_ranks(&experiment->config, comm_size(experiment->comm)));
    TRY(experiment_open_data(experiment, data_fallback));
    return open_model(experiment);
}

Status experiment_open(Experiment *experiment, const Config *config, Comm *comm, int threads,
                       const char *data_fallback) {
    *experiment = (Experiment){.config = *config, .comm = comm, .threads = threads};
    const int ranks = comm_size(comm), most = lane_tree_rank((int)config->train_lanes, ranks - 1, ranks).count;
    experiment->device = choose_device(experiment);
    if (experiment->device != DEVICE_CUDA && threads > most) { /* the last rank has the most lanes */
        log_info("%d threads a rank, but at most %d lanes: using %d (train.lanes)", threads, most, most);
        experiment->threads = most;
    }
    experiment->fast = experiment->device == DEVICE_CUDA && config->train_reduction != REDUCTION_TREE;
    Status status = comm_agree(comm, open_all(experiment, data_fallback));
    /* compared once more than at the start: a checkpoint's configuration may have come in since */
    if (!status_failed(&status)) status = experiment_compare_configs(comm, &experiment->config);
    if (!status_failed(&status)) status = check_premises(experiment);
    if (status_failed(&status)) experiment_close(experiment);
    return status;
}

Status experiment_link(Experiment *experiment) {
    const Config *config = &experiment->config;
    const CommNcclOptions options = {.use = experiment->fast ? NCCL_SUMS : NCCL_EXCHANGES,
                                     .count = (int64_t)experiment->ram.parameters.layout.total + RANK_SUM_TAIL_MOST,
                                     .seconds = config->comm_timeout,
                                     .opening = config->comm_timeout > 0 ? NCCL_OPENING_SECONDS : 0};
    LinkWish wish;
    TRY(device_link_wish((CommChoice)config->comm_backend, (ReductionChoice)config->train_reduction, experiment->device,
                         comm_size(experiment->comm), &wish));
    return device_link_open(experiment->comm, experiment->devices, wish, options, &experiment->nccl, experiment->link);
}

void experiment_close(Experiment *experiment) {
    comm_nccl_free(experiment->nccl);
    ram_close(&experiment->ram);
    backend_close(experiment->backend);
    dataset_close(&experiment->dataset);
    devices_free(experiment->devices);
    *experiment = (Experiment){0};
}

static Span lanes_of_rank(const Experiment *experiment, int lanes, int64_t n, int samples) {
    const LaneNode mine = lane_tree_rank(lanes, comm_rank(experiment->comm), comm_size(experiment->comm));
    return (Span){.batch = n, .lanes = lanes, .first_lane = mine.first, .lane_count = mine.count, .samples = samples};
}

Span experiment_lanes(const Experiment *experiment, int64_t n) {
    return lanes_of_rank(experiment, (int)experiment->config.train_lanes, n, 1);
}

Span experiment_training_lanes(const Experiment *experiment, int64_t n, int samples) {
    const int ranks = comm_size(experiment->comm);
    const bool together = experiment->fast && (ranks & (ranks - 1)) == 0;
    return lanes_of_rank(experiment, together ? ranks : (int)experiment->config.train_lanes, n, samples);
}

Draws experiment_draws(const Experiment *experiment, Split split, int64_t rollout, Policy policy) {
    return (Draws){.seed = (uint64_t)experiment->config._seed,
                   .space = split,
                   .rollout = (uint32_t)rollout,
                   .start = (float)experiment->config.model_start,
                   .policy = policy};
}
