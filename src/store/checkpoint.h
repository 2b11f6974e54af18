/* Checkpoint: the whole state of a training, saved by all ranks as one committed set of HDF5 files (DESIGN 6).
 * Owns format, verification, commit and choice of checkpoints. hdf5.h appears in src/store/ alone.
 * Must not know what a training is: it stores vectors that share one Layout, and named scalars. */
#ifndef RAM_STORE_CHECKPOINT_H
#define RAM_STORE_CHECKPOINT_H

#include "base/atomic_file.h"
#include "base/hash.h"
#include "base/layout.h"
#include "base/status.h"
#include "mpi/comm.h"
#include "store/scalar.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    const char *group; /* "param", "adam/m", ...: field f is the data set /<group>/<f's name> */
    float *values;     /* (layout->total), host memory, the same on every rank; borrowed */
} StoreVector;

typedef struct {
    const Layout *layout;
    int vectors;
    StoreVector *vector;
    int scalars;
    StoreScalar *scalar;
} Snapshot;

/* Saves `folder`/step-NNNNNNNN and points `folder`/latest at it. Each rank writes its rows of every vector; scalars go
 * into every file, index.h5 holds those of rank 0. Sets of this or a later step that are there already are renamed
 * `.bad-*`: they are damaged, or belong to a course of the training that was left. RAM_IO, on all ranks alike; what was
 * committed before is then intact. One writer per folder (run_folder_open). @collective */
Status checkpoint_save(Comm *comm, const char *folder, int64_t step, const Snapshot *snapshot);

/* Points `folder`/best at the set of `step`, where it does not yet. RAM_IO. @collective */
Status checkpoint_mark_best(Comm *comm, const char *folder, int64_t step);

/* To be called before a run goes on from the set of step `latest`: later sets, of a course that is left, are set aside,
 * and the links point at `latest` and `best` again (a crash may have come between a set's commit and its links; a set
 * that is not there, 0: none, leaves its link alone). RAM_IO. @collective */
Status checkpoint_take_up(Comm *comm, const char *folder, int64_t latest, int64_t best);

/* Whether no set in use is later than `step`; so it is taken to be where the folder cannot be read. @collective */
bool checkpoint_is_newest(Comm *comm, const char *folder, int64_t step);

/* Whether there is a set of `step` in use, good or not. @collective */
bool checkpoint_has(Comm *comm, const char *folder, int64_t step);

/* Whether there is any set, good or not. */
bool checkpoint_any(const char *folder);

/* Deletes all but the last `keep` (>= 1) sets, that of step `best` (0: none) and that which the link `best` names, and
 * what crashes left behind. RAM_IO. @collective */
Status checkpoint_prune(Comm *comm, const char *folder, int64_t keep, int64_t best);

/* Where the set of `step` lies, whether it is there or not. RAM_USAGE. */
Status checkpoint_path(const char *folder, int64_t step, char path[FILE_PATH]);

/* Which set to go on from, the same on all ranks. `request`: "latest" (the newest good one), "best" (the newest good
 * one where the best is damaged), "auto" (as latest; path "" where there is none at all), else the path of a set, of
 * one of its files, or of a folder of sets or a run folder (as latest there). A damaged set is named in a warning and
 * passed over, unless it was asked for by path; one that cannot be read now is not, since it may be good. RAM_DATA,
 * RAM_IO, RAM_USAGE. @collective */
Status checkpoint_find(Comm *comm, const char *folder, const char *request, char path[FILE_PATH]);

/* Reads the set at `path` and compares all of it with its MANIFEST, and its step with the folder's name. RAM_DATA;
 * RAM_IO: it cannot be read now; RAM_USAGE: there is no memory for it, or its path is too long. */
Status checkpoint_verify(const char *path);

/* A verified set, open for reading. Any number of ranks reads a set of any number of shards. */
typedef struct Checkpoint Checkpoint;

/* Reads and verifies all files before HDF5 sees any of them. checkpoint_close() the result. Errors as
 * checkpoint_verify. @collective */
Status checkpoint_open(Comm *comm, const char *path, Checkpoint **checkpoint);
void checkpoint_close(Checkpoint *checkpoint); /* NULL is allowed */

int64_t checkpoint_step(const Checkpoint *checkpoint);
int checkpoint_shards(const Checkpoint *checkpoint);

/* The hash in the last line of MANIFEST, which stands for all bytes of the set. */
void checkpoint_hash(const Checkpoint *checkpoint, char hash[HASH_TEXT]);

/* Whether the set holds vectors under `group`. */
bool checkpoint_has_vector(const Checkpoint *checkpoint, const char *group);

/* Fills the scalars. The answer is the same on every rank. RAM_DATA names the scalar. */
Status checkpoint_read_scalars(const Checkpoint *checkpoint, int scalars, const StoreScalar *scalar);

/* Fills the vectors on every rank; padding becomes zero. The set must hold exactly the layout's fields under each
 * vector's group, else RAM_DATA names the field, and the values are undefined. @collective */
Status checkpoint_read_vectors(Comm *comm, const Checkpoint *checkpoint, const Layout *layout, int vectors,
                               const StoreVector *vector);

#endif
