/* The parts of an open checkpoint, for the files of this room that read one (load, inspect).
 * Must not be included outside src/store. Nothing here is collective. */
#ifndef RAM_STORE_CHECKPOINT_PARTS_H
#define RAM_STORE_CHECKPOINT_PARTS_H

#include "store/checkpoint.h"
#include "store/hdf.h"
#include "store/manifest.h"

struct Checkpoint {
    char path[FILE_PATH];
    Manifest manifest;
    int64_t step;
    hid_t index;  /* on every rank */
    hid_t *shard; /* [shards]: open where this rank reads it, else 0 */
};

/* Fills `values` with the shard's rows of the data set `name`, which is rows x columns (0: a vector) as a whole; leaves
 * them alone where the shard has none. RAM_DATA. */
Status checkpoint_read_shard_rows(const Checkpoint *checkpoint, int shard, const char *name, int64_t rows,
                                  int64_t columns, float *values);

#endif
