/* Samples: pictures as a task shows them, in one plain HDF5 file for other programs. Must not know tasks. Nothing here
 * is collective. */
#ifndef RAM_STORE_SAMPLES_H
#define RAM_STORE_SAMPLES_H

#include "store/plain_file.h"

typedef struct {
    int64_t count;
    int height, width, channels;
    const uint8_t *pixels; /* (count, height, width, channels) */
    const int32_t *label;  /* (count) */
    const int32_t *index;  /* (count): place in the IDX file */
} Samples;

/* Writes /images, /label and /index, with `fact` as attributes of /metadata. Dimension scales name their axes N, H, W
 * and C. RAM_IO. */
Status samples_write(const char *path, const Samples *samples, int facts, const PlainFact *fact);

#endif
