/* Tracer: runs the model over a split and records what it does glimpse by glimpse, as a trace of the store. Owns its
 * passes. Must not know HDF5. A lane is computed as an evaluation computes it, so a trace has the evaluation's bits on
 * any number of ranks and threads, and a part of a split has those of the whole. tracer_save is collective. */
#ifndef RAM_TRAIN_TRACER_H
#define RAM_TRAIN_TRACER_H

#include "store/provenance.h"
#include "train/experiment.h"

typedef struct {
    Split split;
    int64_t images; /* the first so many of the split, at most all */
    Policy policy;
    int64_t rollouts; /* M */
} TracePlan;

/* Of which model. */
typedef struct {
    int64_t step;
    int64_t epoch;         /* complete ones */
    char *checkpoint;      /* its path; NULL: of parameters that no checkpoint holds yet */
    char *checkpoint_hash; /* its checkpoint_hash() */
} TraceOrigin;

typedef struct Tracer Tracer;

Tracer *tracer_new(const Experiment *experiment, const TracePlan *plan);
void tracer_free(Tracer *tracer); /* NULL is allowed */

/* Saves the trace `folder`/`name` of the parameters that the experiment's ram has loaded; as trace_save. @collective */
Status tracer_save(Tracer *tracer, const char *folder, const char *name, bool replace, TraceOrigin origin,
                   Provenance *provenance);

#endif
