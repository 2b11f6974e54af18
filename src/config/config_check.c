#include "config/config.h"

#include <inttypes.h>

/* Beyond these nothing is trained, and sizes that are computed from them would overflow. */
enum { MOST_COVERED_PIXELS = 65536, MOST_ROLLOUTS_AT_ONCE = 1 << 24 };

static Status check_lanes(const Config *config) {
    int64_t lanes = config->train_lanes, below = 1;
    while (below * 2 <= lanes) below *= 2;
    if (below == lanes) return status_ok();
    return status_error(RAM_USAGE,
                        "train.lanes is %" PRId64 ", not a power of two; set train.lanes to %" PRId64 " or %" PRId64,
                        lanes, below, below * 2);
}

static Status check_retina(const Config *config) {
    int64_t side = config->model_patch;
    for (int64_t scale = 1; scale < config->model_scales && side <= MOST_COVERED_PIXELS; scale++)
        side *= config->model_scale;
    if (side <= MOST_COVERED_PIXELS) return status_ok();
    return status_error(RAM_USAGE,
                        "the largest patch would be wider than %d pixels: model.patch %" PRId64
                        " x model.scale %" PRId64 " to the power of model.scales %" PRId64
                        " - 1; set one of them lower",
                        MOST_COVERED_PIXELS, config->model_patch, config->model_scale, config->model_scales);
}

static Status check_training(const Config *config) {
    if (config->train_baseline == BASELINE_OTHERS && config->train_samples == 1)
        return status_error(RAM_USAGE, "train.baseline others compares the roll-outs of one image, but train.samples "
                                       "is 1; set train.samples to 2 or more, or choose another baseline");
    if (config->train_credit == CREDIT_GAIN && config->train_glimpse_nll == 0)
        return status_error(RAM_USAGE,
                            "train.credit gain asks for the class after each glimpse, which train.glimpse_nll "
                            "0 does not train; set train.glimpse_nll above 0, or train.credit to final");
    if (config->train_credit == CREDIT_GAIN && config->train_baseline == BASELINE_MOVING_AVERAGE)
        return status_error(RAM_USAGE,
                            "train.baseline moving_average is one of final rewards, but train.credit is gain; "
                            "choose another baseline, or set train.credit to final");
    if (config->train_nesterov && config->train_optimizer != OPTIMIZER_SGD)
        return status_error(RAM_USAGE, "train.nesterov is true, but train.optimizer is not sgd; set train.optimizer to "
                                       "sgd, or train.nesterov to false");
    if (config->train_nesterov && config->train_momentum == 0)
        return status_error(RAM_USAGE, "train.nesterov is true, but train.momentum is 0; set train.momentum above 0, "
                                       "or train.nesterov to false");
    if (config->train_batch * config->train_samples > MOST_ROLLOUTS_AT_ONCE)
        return status_error(RAM_USAGE,
                            "train.batch %" PRId64 " x train.samples %" PRId64
                            " is more than %d roll-outs per step; set one of them lower",
                            config->train_batch, config->train_samples, MOST_ROLLOUTS_AT_ONCE);
    return status_ok();
}

static Status check_reduction(const Config *config) {
    const bool nccl = config->comm_backend == COMM_NCCL, fast = config->train_reduction == REDUCTION_FAST;
    if ((nccl || fast) && config->_device == DEVICE_CPU)
        return status_error(RAM_USAGE,
                            "%s, which is for GPUs alone, but device is cpu; leave it out: on CPUs the lanes and their "
                            "tree cost no more than any other order",
                            nccl ? "comm.backend is nccl" : "train.reduction is fast");
    return status_ok();
}

Status config_check(const Config *config) {
    TRY(check_lanes(config));
    TRY(check_retina(config));
    TRY(check_reduction(config));
    return check_training(config);
}
