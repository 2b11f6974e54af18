/* Trace: where the model looked, glimpse by glimpse, and what it thought: one committed set of HDF5 files with named
 * axes (DESIGN 6). Owns its data sets, how rows are cut into shards, verification and commit. Must not know where the
 * values come from: it asks for them a segment at a time, so its memory does not grow with the number of samples. */
#ifndef RAM_STORE_TRACE_H
#define RAM_STORE_TRACE_H

#include "mpi/comm.h"
#include "store/scalar.h"

typedef struct {
    int64_t samples;  /* N */
    int64_t rollouts; /* M */
    int glimpses;     /* T */
    int classes;
} TraceShape;

/* Consecutive rows (samples) of a trace. */
typedef struct {
    int64_t first, rows; /* of the samples 0 ... N - 1 */
    int32_t *sample;     /* (rows): filled in already */
    float *location;     /* (rows, M, T+1, 2): glimpse t looks at fixation t - 1 */
    float *mean;         /* (rows, M, T, 2): of the policy after glimpse t */
    float *log_pi;       /* (rows, M, T) */
    float *baseline;     /* (rows, M, T) */
    float *prob;         /* (rows, M, T, classes) */
    float *reward;       /* (rows, M) */
    int32_t *prediction; /* (rows, M) */
    int32_t *label;      /* (rows) */
    int32_t *index;      /* (rows): place in the split's IDX file */
} TraceRows;

/* Fills the arrays with the rows from rows->first on. Not collective: ranks are asked for different rows. */
typedef void (*TraceFill)(void *context, const TraceRows *rows);

/* Saves `folder`/`name`: each rank its part of the rows, a segment of them at a time. Scalars as in a Snapshot; those
 * called "trace/..." describe the trace itself. A trace of that name is replaced in one step where `replace`. RAM_IO,
 * on all ranks alike: nothing is then left, what was committed before is intact. RAM_USAGE: what is there may not be
 * replaced or is no trace, another process writes a trace of that name, the name cannot be a folder's, or there are too
 * many segments. @collective */
Status trace_save(Comm *comm, const char *folder, const char *name, bool replace, const TraceShape *shape, int scalars,
                  const StoreScalar *scalar, TraceFill fill, void *context);

/* "epoch-0003": the name of a trace that a training makes after so many epochs. */
enum { TRACE_EPOCH_NAME = 32 };
void trace_epoch_name(char name[TRACE_EPOCH_NAME], int64_t epoch);

/* Whether it is such a name, and of which epoch. */
bool trace_is_epoch_name(const char *name, int64_t *epoch);

/* To be called before a run goes on behind `epoch` complete epochs: traces in `folder` of later ones, of a course that
 * is left, are renamed `.bad-*`, the first such name that is free. RAM_IO. @collective */
Status trace_take_up(Comm *comm, const char *folder, int64_t epoch);

/* Into how many shards a trace is cut; each rank has a run of them, as base/partition says. */
int64_t trace_shards(const TraceShape *shape, int ranks);

/* Reads the trace at `path` once and compares all of it with its MANIFEST; opens nothing with HDF5. Errors as
 * manifest_read. */
Status trace_verify(const char *path);

#endif
