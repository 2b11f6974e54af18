#include "train/optimizer.h"

#include <math.h>

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
        optimizer->average = add_vector(optimizer, "ema/param");
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

double optimizer_step(Optimizer *optimizer, const Config *config, double lr, DevFloats gradient) {
    const Kernels *kernels = optimizer->backend->kernels;
    const DevFloats parameters = optimizer_parameters(optimizer);
    const double norm = sqrt(kernels->sum_squares(optimizer->backend, optimizer->total, gradient));
    if (!isfinite(norm)) return norm;
    backend_range(optimizer->backend, "optimiser");
    const double scale = config->train_clip > 0 && norm > config->train_clip ? config->train_clip / norm : 1;
    optimizer->steps++;
    if (optimizer->kind == OPTIMIZER_ADAM) {
        const Adam adam = {.lr = lr,
                           .beta1 = BETA1,
                           .beta2 = BETA2,
                           .epsilon = EPSILON,
                           .weight_decay = config->train_weight_decay,
                           .gradient_scale = scale,
                           .step = optimizer->steps};
        kernels->adam(optimizer->backend, &adam, optimizer->total, parameters, gradient, optimizer->first,
                      optimizer->second);
    } else {
        const Sgd sgd = {.lr = lr,
                         .momentum = config->train_momentum,
                         .weight_decay = config->train_weight_decay,
                         .gradient_scale = scale,
                         .nesterov = config->train_nesterov};
        kernels->sgd(optimizer->backend, &sgd, optimizer->total, parameters, gradient, optimizer->first);
    }
    if (optimizer->average.address) {
        /* a short memory at first, so that the average does not drag the initial weights along */
        const double steps = (double)optimizer->steps, early = (1.0 + steps) / (10.0 + steps);
        const double decay = config->train_ema < early ? config->train_ema : early;
        kernels->average(optimizer->backend, decay, optimizer->total, optimizer->average, parameters);
    }
    backend_range_end(optimizer->backend);
    return norm;
}
