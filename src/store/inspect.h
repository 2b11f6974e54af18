/* Inspect: what is in a checkpoint or a trace, for people: vectors with shapes and norms, scalars as text. Takes any
 * set, whatever model it is of. Must not print. Nothing here is collective. */
#ifndef RAM_STORE_INSPECT_H
#define RAM_STORE_INSPECT_H

#include "base/layout.h"
#include "store/checkpoint.h"
#include "store/trace.h"

enum { INSPECT_NAME = 128, INSPECT_TEXT = 4096 };

/* Finds the set to look at. `asked`: a checkpoint, a trace, a file of either, or a folder of checkpoints or a run
 * folder, which stand for their newest checkpoint. Trust is what this is for: where the newest is damaged, RAM_DATA
 * names it and the newest good one, and nothing takes its place. Else errors as manifest_read. */
Status inspect_find(const char *asked, char path[FILE_PATH], bool *is_trace);

typedef struct {
    char group[INSPECT_NAME]; /* "param", "adam/m" */
    char name[INSPECT_NAME];  /* "rnn.i2h.weight" */
    int64_t rows, columns;    /* columns 0: a vector */
    double norm;              /* Euclidean */
    float least, most;        /* of the finite values; 0 where there are none */
    int64_t not_finite;       /* NaN and infinities */
} InspectField;

/* All fields of all vectors in the order of their paths; free() *field. They are measured, so this process must have
 * all shards: open the checkpoint with the communicator of one rank (comm_self_new, no MPI). RAM_DATA. */
Status inspect_fields(const Checkpoint *checkpoint, int *fields, InspectField **field);

/* Names and shapes of the fields under `group` ("param"), in the order of their names: from the index, which every rank
 * has. RAM_DATA; also where there are more or longer-named fields than a layout holds. */
Status inspect_layout(const Checkpoint *checkpoint, const char *group, Layout *layout);

typedef struct {
    char name[INSPECT_NAME]; /* "config/train.lr" */
    char text[INSPECT_TEXT]; /* reals with all their digits */
} InspectScalar;

/* All scalars of a set in the order of their paths; free() scalar. */
typedef struct {
    int count;
    InspectScalar *scalar;
} InspectScalars;

/* What the set says of itself. RAM_DATA. */
Status inspect_scalars(const Checkpoint *checkpoint, InspectScalars *scalars);

/* What a checkpoint says of itself, from its verified index alone. Errors as manifest_read. */
Status inspect_index(const char *checkpoint, InspectScalars *scalars);

/* The text of a scalar, "provenance/host" for one; "" where there is none. Borrowed. */
const char *inspect_text(const InspectScalars *scalars, const char *name);

typedef struct {
    TraceShape shape;
    int shards;
    InspectScalars scalars;
} InspectTrace;

/* Verifies the trace and reads what it says of itself; free() trace->scalars.scalar. Errors as manifest_read. */
Status inspect_trace(const char *path, InspectTrace *trace);

#endif
