/* Optimizer: parameters, moments and the weight average, and how a gradient changes them. Owns these vectors (one
 * Layout). Must not know where gradients come from. Every rank holds and updates all of it, so replicas stay equal bit
 * for bit; nothing here is collective. */
#ifndef RAM_TRAIN_OPTIMIZER_H
#define RAM_TRAIN_OPTIMIZER_H

#include "base/layout.h"
#include "backend/backend.h"
#include "config/config.h"

enum { OPTIMIZER_VECTORS = 4 };

#define OPTIMIZER_AVERAGE "ema/param"

typedef struct {
    const char *group; /* name in checkpoints: "param", "adam/m", "adam/v", "sgd/velocity", OPTIMIZER_AVERAGE */
    DevFloats values;  /* (total) */
} OptimizerVector;

typedef struct {
    Backend *backend; /* borrowed */
    OptimizerKind kind;
    int64_t total;
    int64_t steps; /* done so far */
    int vectors;
    OptimizerVector vector[OPTIMIZER_VECTORS]; /* [0] the parameters */
    DevFloats first, second;                   /* moments: m and v, or velocity and none */
    DevFloats average;                         /* none without train.ema */
} Optimizer;

/* Moments zero, parameters and average from `initial` (total), host memory. */
void optimizer_open(Optimizer *optimizer, Backend *backend, const Config *config, int64_t total, const float *initial);
void optimizer_close(Optimizer *optimizer); /* a zeroed one is allowed */

DevFloats optimizer_parameters(const Optimizer *optimizer);
/* What is evaluated: the average where there is one, else the parameters. */
DevFloats optimizer_evaluated(const Optimizer *optimizer);

/* What the next update takes, at learning rate `lr`: the gradient's norm is clipped to train.clip. Host memory, to be
 * brought into the backend's. */
Update optimizer_next(const Optimizer *optimizer, const Config *config, double lr);

/* Asks for one update of everything, by kernels alone, which leave the gradient's sum of squares in squares (1). Where
 * it is not finite nothing is changed; else the caller adds one to `steps`. */
void optimizer_update(const Optimizer *optimizer, DevUpdate update, DevFloats gradient, DevDoubles squares);

#endif
