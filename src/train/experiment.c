#include "train/experiment.h"
#include "base/log.h"

#include <math.h>
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

static Status open_data(Experiment *experiment, const char *data_fallback) {
    const Config *config = &experiment->config;
    const DatasetOptions options = {.directory = config->data_dir,
                                    .fallback = data_fallback,
                                    .classes = config->data_classes == KEY_AUTO_INT ? 0 : (int)config->data_classes,
                                    .seed = (uint64_t)config->data_seed,
                                    .validation_fraction = config->data_validation};
    TRY(dataset_open(&experiment->dataset, &options));
    const TaskOptions task = {.kind = (TaskKind)config->data_task,
                              .canvas = (int)config->data_canvas,
                              .distractors = (int)config->data_distractors,
                              .seed = (uint64_t)config->_seed,
                              .data_seed = (uint64_t)config->data_seed};
    return task_open(&experiment->task, &experiment->dataset, &task);
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
    const BackendOptions options = {.device = (DeviceChoice)config->_device, .threads = experiment->threads};
    TRY(backend_open(&options, &experiment->backend));
    ram_open(&experiment->ram, experiment->backend, &dims);
    return status_ok();
}

/* The promise of equal bits holds for one instruction set: all ranks' products must use the same. */
static Status check_backends(const Experiment *experiment) {
    enum { NOTE = 32, RANKS_MOST = LANES_MOST };
    char mine[NOTE] = {0}, all[RANKS_MOST][NOTE];
    strncpy(mine, experiment->backend->note, NOTE - 1);
    comm_gather(experiment->comm, mine, NOTE, all);
    for (int rank = 1; rank < comm_size(experiment->comm); rank++)
        if (memcmp(all[0], all[rank], NOTE) != 0)
            return status_error(RAM_UNAVAILABLE,
                                "rank 0 computes with %s, rank %d with %s: the ranks of a run need one instruction set "
                                "(LIBXSMM_TARGET=%s on all hosts makes them equal)",
                                all[0], rank, all[rank], "hsw");
    return status_ok();
}

static Status open_all(Experiment *experiment, const char *data_fallback) {
    const int ranks = comm_size(experiment->comm);
    if (ranks > experiment->config.train_lanes)
        return status_error(RAM_USAGE,
                            "%d ranks share %lld lanes, so some would have none: start at most %lld, or raise "
                            "train.lanes (it is part of the result)",
                            ranks, (long long)experiment->config.train_lanes,
                            (long long)experiment->config.train_lanes);
    TRY(open_data(experiment, data_fallback));
    return open_model(experiment);
}

Status experiment_open(Experiment *experiment, const Config *config, Comm *comm, int threads,
                       const char *data_fallback) {
    *experiment = (Experiment){.config = *config, .comm = comm, .threads = threads};
    const LaneNode mine = lane_tree_rank((int)config->train_lanes, 0, comm_size(comm));
    if (threads > mine.count && mine.count > 0) {
        log_info("%d threads a rank, but only %d lanes: using %d (train.lanes)", threads, mine.count, mine.count);
        experiment->threads = mine.count;
    }
    Status status = comm_agree(comm, open_all(experiment, data_fallback));
    if (!status_failed(&status)) status = check_backends(experiment);
    if (status_failed(&status)) experiment_close(experiment);
    return status;
}

void experiment_close(Experiment *experiment) {
    ram_close(&experiment->ram);
    backend_close(experiment->backend);
    dataset_close(&experiment->dataset);
    *experiment = (Experiment){0};
}

Span experiment_lanes(const Experiment *experiment, int64_t n, int samples) {
    const int lanes = (int)experiment->config.train_lanes;
    const LaneNode mine = lane_tree_rank(lanes, comm_rank(experiment->comm), comm_size(experiment->comm));
    return (Span){.batch = n, .lanes = lanes, .first_lane = mine.first, .lane_count = mine.count, .samples = samples};
}
