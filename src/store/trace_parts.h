/* The files of a trace: which data sets, axes and attributes they have. Owns their names and what they say to people.
 * Must not be included outside src/store, and not know how a set is committed. Nothing here is collective. */
#ifndef RAM_STORE_TRACE_PARTS_H
#define RAM_STORE_TRACE_PARTS_H

#include "store/hdf.h"
#include "store/trace.h"

/* What all files of a set share. */
typedef struct {
    const TraceShape *shape;
    int shards;
    int scalars;
    const StoreScalar *scalar;
} TraceFile;

/* Bytes of one sample in all data sets. */
int64_t trace_parts_row_bytes(const TraceShape *shape);

/* Arrays for `rows` rows. */
TraceRows trace_parts_rows_new(const TraceShape *shape, int64_t rows);
void trace_parts_rows_free(TraceRows *rows);

/* Fills the rows `first` to `first` + `count` - 1 of `rows` from a shard; the name of a data set that is not as it
 * should be, or NULL. */
const char *trace_parts_read_shard(hid_t shard, const TraceShape *shape, int64_t first, int64_t count,
                                   const TraceRows *rows);

/* free() image->data. RAM_IO. */
Status trace_parts_build_shard(const TraceFile *file, int shard, const TraceRows *rows, HdfImage *image);
Status trace_parts_build_index(const TraceFile *file, HdfImage *image);

#endif
