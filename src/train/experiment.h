/* Experiment: all that a configuration opens and that training, evaluation and traces share: data, task, backend,
 * model. Owns them. Must not know how a training goes. experiment_open is collective. */
#ifndef RAM_TRAIN_EXPERIMENT_H
#define RAM_TRAIN_EXPERIMENT_H

#include "backend/backend.h"
#include "config/config.h"
#include "data/dataset.h"
#include "data/task.h"
#include "model/ram.h"
#include "mpi/comm.h"
#include "mpi/device_link.h"

typedef struct {
    Config config;
    Comm *comm; /* borrowed */
    int threads;
    Devices *devices;     /* what GPUs the ranks see and take */
    CommNccl *nccl;       /* for gradients; NULL: they go by Comm */
    char link[LINK_TEXT]; /* how they travel between the ranks' GPUs; "" before experiment_link */
    Dataset dataset;
    Task task;
    DeviceChoice device; /* resolved: never auto */
    Backend *backend;
    bool fast; /* train.reduction, resolved: see experiment_training_lanes */
    Ram ram;
} Experiment;

/* Every rank needs a lane: RAM_USAGE. Not collective. */
Status experiment_check_ranks(const Config *config, int ranks);

/* RAM_USAGE with the key's name where a rank's configuration is not rank 0's. @collective */
Status experiment_compare_configs(Comm *comm, const Config *config);

/* `threads` of this rank; `data_fallback`: folder to read where data.dir is empty, or NULL. Every rank reads the data
 * set; a rank that cannot ends all with its message. On failure everything is closed. @collective */
Status experiment_open(Experiment *experiment, const Config *config, Comm *comm, int threads,
                       const char *data_fallback);
/* Standard deviation of the location policy where a model is measured or traced by so many roll-outs an image. Less
 * than in training makes one sequence of glimpses better and several more alike, so one has a key of its own. */
float experiment_sigma(const Experiment *experiment, int64_t rollouts);
/* Opens data and task alone, for `config` that is set: what pictures are drawn. Not collective. */
Status experiment_open_data(Experiment *experiment, const char *data_fallback);
void experiment_close(Experiment *experiment); /* a zeroed one is allowed. @collective */

/* What training needs besides: the way that comm.backend and train.reduction ask for to sum over the ranks' GPUs.
 * RAM_UNAVAILABLE: it is not there. RAM_USAGE: train.reduction is fast on CPUs. @collective */
Status experiment_link(Experiment *experiment);

/* The lanes of this rank in a batch of n images, one roll-out each, as evaluations cut it. */
Span experiment_lanes(const Experiment *experiment, int64_t n);

/* The same for a batch of the training, with `samples` roll-outs of each image. With train.reduction fast the rows of a
 * rank are one lane, since a GPU computes them together as quickly as a part of them; but a number of ranks that is no
 * power of two makes no tree of such lanes, and leaves those of train.lanes. */
Span experiment_training_lanes(const Experiment *experiment, int64_t n, int samples);

/* Where the locations of the split's images come from in their roll-out `rollout`; equal for an evaluation and a trace,
 * which so look at the same places. Epoch 0. */
Draws experiment_draws(const Experiment *experiment, Split split, int64_t rollout, Policy policy);

#endif
