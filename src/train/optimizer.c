#include "train/optimizer.h"
#include "backend/element/update.h"

static const double BETA1 = 0.9, BETA2 = 0.999, EPSILON = 1e-8; /* Kingma and Ba 2015; DESIGN 2 */

static DevFloats add_vector(Optimizer *optimizer, const char *group) {
    OptimizerVector *vector = &optimizer->vector[optimizer->vectors++];
    *vector = (OptimizerVector){group, backend_zeros(optimizer->backend, optimizer->total)};
    return vector->values;
}

static void fill(Optimizer *optimizer, DevFloats vector, const float *values) {
    optimizer->backend->kernels->upload(optimizer->backend, vector.address, values,
                                        (size_t)optimizer->total * sizeof *values);
}

void optimizer_open(Optimizer *optimizer, Backend *backend, const Config *config, int64_t total, const float *initial) {
    *optimizer = (Optimizer){.backend = backend, .kind = (OptimizerKind)config->train_optimizer, .total = total};
    fill(optimizer, add_vector(optimizer, "param"), initial);
    if (optimizer->kind == OPTIMIZER_ADAM) {
        optimizer->first = add_vector(optimizer, "adam/m");
        optimizer->second = add_vector(optimizer, "adam/v");
    } else {
        optimizer->first = add_vector(optimizer, "sgd/velocity");
    }
    if (config->train_ema > 0) {
        optimizer->average = add_vector(optimizer, OPTIMIZER_AVERAGE);
        fill(optimizer, optimizer->average, initial);
    }
}

void optimizer_close(Optimizer *optimizer) {
    for (int i = 0; i < optimizer->vectors; i++)
        optimizer->backend->kernels->release(optimizer->backend, optimizer->vector[i].values.address);
    *optimizer = (Optimizer){0};
}

DevFloats optimizer_parameters(const Optimizer *optimizer) { return optimizer->vector[0].values; }

DevFloats optimizer_evaluated(const Optimizer *optimizer) {
    return optimizer->average.address ? optimizer->average : optimizer_parameters(optimizer);
}

Update optimizer_next(const Optimizer *optimizer, const Config *config, double lr) {
    const int64_t step = optimizer->steps + 1;
    /* a short memory at first, so that the average does not drag the initial weights along */
    const double early = (1.0 + (double)step) / (10.0 + (double)step);
    const Adam adam = {.lr = lr,
                       .beta1 = BETA1,
                       .beta2 = BETA2,
                       .epsilon = EPSILON,
                       .weight_decay = config->train_weight_decay,
                       .step = step};
    const Sgd sgd = {.lr = lr,
                     .momentum = config->train_momentum,
                     .weight_decay = config->train_weight_decay,
                     .nesterov = config->train_nesterov};
    return (Update){.clip = config->train_clip,
                    .adam = update_adam_terms(&adam),
                    .sgd = update_sgd_terms(&sgd),
                    .average = update_average_terms(config->train_ema < early ? config->train_ema : early)};
}

void optimizer_update(const Optimizer *optimizer, DevUpdate update, DevFloats gradient, DevDoubles squares) {
    Backend *backend = optimizer->backend;
    const Kernels *kernels = backend->kernels;
    const DevFloats parameters = optimizer_parameters(optimizer);
    backend_range(backend, "optimiser");
    kernels->sum_squares(backend, optimizer->total, gradient, squares);
    if (optimizer->kind == OPTIMIZER_ADAM)
        kernels->adam(backend, update, squares, optimizer->total, parameters, gradient, optimizer->first,
                      optimizer->second);
    else
        kernels->sgd(backend, update, squares, optimizer->total, parameters, gradient, optimizer->first);
    if (optimizer->average.address)
        kernels->average(backend, update, squares, optimizer->total, optimizer->average, parameters);
    backend_range_end(backend);
}
