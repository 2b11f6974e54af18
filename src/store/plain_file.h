/* Plain files: the fields of one vector as a single file for other programs. Must not know where values come from, nor
 * what facts mean. Nothing here is collective. */
#ifndef RAM_STORE_PLAIN_FILE_H
#define RAM_STORE_PLAIN_FILE_H

#include "base/layout.h"
#include "base/status.h"

typedef enum { PLAIN_SAFETENSORS, PLAIN_HDF5 } PlainFormat;

/* Texts that go along: __metadata__ of safetensors, attributes of /metadata in HDF5. */
typedef struct {
    const char *name, *text;
} PlainFact;

/* Writes `path` in one step; HDF5 holds the fields under /param, as checkpoints do. RAM_IO. */
Status plain_file_write(const char *path, PlainFormat format, const Layout *layout, const float *values, int facts,
                        const PlainFact *fact);

#endif
