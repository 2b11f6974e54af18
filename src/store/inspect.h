/* Inspect: what is in a checkpoint, for people: its vectors with shapes and norms, its scalars as text. Takes any set,
 * whatever model it is of. Must not print. Nothing here is collective: open the set with the communicator of one rank
 * (comm_self_new, no MPI). */
#ifndef RAM_STORE_INSPECT_H
#define RAM_STORE_INSPECT_H

#include "store/checkpoint.h"

enum { INSPECT_NAME = 128, INSPECT_TEXT = 4096 };

typedef struct {
    char group[INSPECT_NAME]; /* "param", "adam/m" */
    char name[INSPECT_NAME];  /* "rnn.i2h.weight" */
    int64_t rows, columns;    /* columns 0: a vector */
    double norm;              /* Euclidean */
    float least, most;        /* of the finite values; 0 where there are none */
    int64_t not_finite;       /* NaN and infinities */
} InspectField;

/* All fields of all vectors in the order of their paths; free() *field. RAM_DATA. */
Status inspect_fields(const Checkpoint *checkpoint, int *fields, InspectField **field);

typedef struct {
    char name[INSPECT_NAME]; /* "config/train.lr" */
    char text[INSPECT_TEXT]; /* reals with all their digits */
} InspectScalar;

/* All scalars in the order of their paths; free() *scalar. RAM_DATA. */
Status inspect_scalars(const Checkpoint *checkpoint, int *scalars, InspectScalar **scalar);

#endif
