/* A small training state whose every value follows from a seed, for the tests of the store: three vectors over a layout
 * that has fields with fewer rows than ranks, and one scalar of each kind. */
#ifndef RAM_TESTS_STORE_SAMPLE_H
#define RAM_TESTS_STORE_SAMPLE_H

#include "store/checkpoint.h"

enum { SAMPLE_VECTORS = 3, SAMPLE_SCALARS = 4, SAMPLE_TEXT = 64 };

typedef struct {
    Layout layout;
    StoreVector vector[SAMPLE_VECTORS];
    StoreScalar scalar[SAMPLE_SCALARS];
    int64_t epoch;
    double lr;
    char host[SAMPLE_TEXT], empty[SAMPLE_TEXT];
    Snapshot snapshot;
} Sample;

/* With `seed` 0 all values are zero: a state to load into. sample_free() it. */
Sample *sample_new(int64_t seed);
void sample_free(Sample *sample);

/* Whether every bit of every value, the padding included, is that of sample_new(seed). */
bool sample_is(const Sample *sample, int64_t seed);

/* An empty folder for the test `name`, the same path on all ranks and another for each test program and rank
 * count. @collective */
void sample_folder(Comm *comm, const char *name, char folder[FILE_PATH]);

/* Loads the set at `path` as a run does. RAM_DATA. @collective */
Status sample_load(Comm *comm, const char *path, const Snapshot *snapshot);

/* Ways to damage a file. */
size_t sample_file_bytes(const char *path);
void sample_flip_bit(const char *path, size_t byte, int bit);
void sample_truncate(const char *path, size_t bytes);

#endif
