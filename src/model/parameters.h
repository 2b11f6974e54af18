/* Dimensions of a RAM and the Layout of its parameters, under the names that RAM users have in their checkpoints
 * (DESIGN 2). Owns names, shapes and initial values. Must not know backends. Nothing is collective. */
#ifndef RAM_MODEL_PARAMETERS_H
#define RAM_MODEL_PARAMETERS_H

#include "backend/backend.h"
#include "base/layout.h"
#include "base/status.h"
#include "base/terms.h"

typedef struct {
    int glimpses;  /* T */
    Retina retina; /* G, K, picture size, normalisation */
    int classes;
    int hidden;          /* H, of the core */
    int glimpse_hidden;  /* of fc1 */
    int location_hidden; /* of fc2 */
    int locator_hidden;  /* of locator.fc when mlp */
    Core core;
    Locator locator;
    float sigma;
} Dims;

/* Elements of a glimpse: K*C*G*G. */
int dims_glimpse(const Dims *dims);

/* RAM_USAGE where a glimpse has more values than the kernels can address. What the configuration alone decides is
 * checked with it (config_check). */
Status dims_check(const Dims *dims);

/* A linear layer's fields in the layout. */
typedef struct {
    int weight, bias; /* field numbers */
    int out, in;
} Linear;

/* The layout and where each layer lies in it. `input` and `recurrent` are i2h and h2h of the rnn core, weight_ih and
 * weight_hh of the lstm; `location` is fc_lt of the two-layer locator, its only fc of the linear one, where `locator`
 * is all zero. */
typedef struct {
    Layout layout;
    Linear fc1, fc2, fc3, fc4, input, recurrent, locator, location, baseliner, classifier;
} Parameters;

void parameters_define(const Dims *dims, Parameters *parameters);

/* values (layout.total), host memory: uniform in +-1/sqrt(fan_in), weights and biases, from (seed, field, element);
 * padding zero. The lstm core's fan-in is H for all its fields, as PyTorch's. */
void parameters_initialize(const Parameters *parameters, uint64_t seed, float *values);

#endif
