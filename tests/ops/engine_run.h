/* Runs a batch on the engine as a training step does: lanes spread over a backend's workers, each forward and back, the
 * gradient summed in the lane tree. Must not know what is right. Nothing here is collective. */
#ifndef RAM_TESTS_ENGINE_RUN_H
#define RAM_TESTS_ENGINE_RUN_H

#include "model/ram.h"
#include "plain_ram.h"

typedef struct {
    DeviceChoice device;
    int lanes, threads;
    /* Lanes per call of the backend's `run` (0: all in one): how ranks would share them. */
    int lanes_per_run;
    int span_lanes; /* most lanes of a span, a power of two; 0: one */
    /* Fill the workers' memory with the NaNs of an earlier, failed step first. */
    bool poisoned;
    /* Noise from the kernels' own draws under this seed instead of the case's; 0: the case's. */
    uint64_t draw_seed;
    Policy policy;
    Precision precision;
} EngineOptions;

typedef struct {
    float *gradient;      /* (layout.total): the sum over lanes */
    float *lane_gradient; /* (lanes, layout.total): of each span, at its first lane */
    double sums[SUMS];
} EngineResult;

/* Fills `result` and, where it is not NULL, the arrays of `out` that the engine computes too: glimpse, location,
 * hidden, mean, log_pi, baseline, log_prob, reward, credit, gradient and terms. */
void engine_run(const PlainCase *c, const EngineOptions *options, EngineResult *result, PlainOutcome *out);
/* Whether the device has such products here; tests of them are skipped where it has not. */
bool precision_is_here(DeviceChoice device, Precision precision);

void engine_result_close(EngineResult *result);

#endif
