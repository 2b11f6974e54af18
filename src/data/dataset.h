/* Dataset: the images and labels of one IDX data set, its split, and what an epoch's order is.
 * Must not know: batches' lanes, ranks, models, environment variables. Every rank reads the whole data set.
 * Nothing here is collective. */
#ifndef RAM_DATA_DATASET_H
#define RAM_DATA_DATASET_H

#include "base/hash.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    int64_t count; /* 1..INT32_MAX */
    int height, width, channels;
    uint8_t *pixels; /* (count, height, width, channels), owned */
    uint8_t *labels; /* (count), owned */
} Images;

typedef enum { SPLIT_TRAIN, SPLIT_VALIDATION, SPLIT_TEST, SPLITS } Split;

enum { DATASET_PATH = 512 };

typedef struct {
    Images train_file, test_file; /* training and validation samples are both in train_file */
    int classes;
    int32_t *sample[SPLITS]; /* index into the split's file of each of its samples, ascending; owned */
    int64_t count[SPLITS];
    char directory[DATASET_PATH];
    /* For provenance: [SPLIT_TRAIN] of the training file (its pixels' and its labels' hashes), [SPLIT_TEST] of the test
     * file, [SPLIT_VALIDATION] of the validation samples' indices. */
    char hash[SPLITS][HASH_TEXT];
} Dataset;

typedef struct {
    const char *directory;      /* data.dir; "" takes `fallback` */
    const char *fallback;       /* $RAM_DATA; NULL or "" takes data/mnist */
    const char *prefix;         /* data.prefix: what the files' names begin with; NULL: nothing */
    uint64_t seed;              /* data.seed */
    double validation_fraction; /* data.validation */
    int classes;                /* labels lie below it; 0: read from the files (see dataset_open) */
} DatasetOptions;

/* Reads PREFIX{train,t10k}-images-idx3-ubyte (idx4 for colour) and PREFIX{train,t10k}-labels-idx1-ubyte, each plain or
 * .gz, also spelt test for t10k and .idx for -idx, and splits the training file: `validation_fraction` of it, to the
 * nearest whole number but at least one and not all, is drawn by data.seed; the rest trains.
 *
 * Where options->classes is 0, classes = the largest label + 1. Both files must then agree on it and the training file
 * must hold every class: one damaged label is thus an error, not an eleventh class.
 *
 * RAM_USAGE when the directory lacks a file, RAM_DATA with file and reason for bad files. On failure *dataset is
 * zeroed. */
Status dataset_open(Dataset *dataset, const DatasetOptions *options);
void dataset_close(Dataset *dataset); /* a zeroed one is allowed */

/* All of dataset->hash, as files name the data that they are of: "train=... test=... validation=...". */
enum { DATASET_HASHES = 3 * HASH_TEXT + 32 };
void dataset_hashes(const Dataset *dataset, char text[DATASET_HASHES]);

/* The file that holds the split's samples. Borrowed. */
const Images *dataset_images(const Dataset *dataset, Split split);
const char *split_name(Split split); /* "train", "validation", "test" */
/* False, and *split as it was, where there is none of that name. */
bool split_find(const char *name, Split *split);

/* Mean and standard deviation of x/255 per channel over the training split, in double. mean, stddev: (channels).
 * RAM_DATA when all pixels of a channel are equal, so that nothing can be divided by stddev. */
Status dataset_measure(const Dataset *dataset, double *mean, double *stddev);

/* order (count): a permutation of the split's samples for `epoch` (>= 1) from (seed, epoch), the same on every rank.
 * order[i] is an index into the split's file. */
void dataset_order(const Dataset *dataset, Split split, uint64_t seed, uint32_t epoch, int32_t *order);

#endif
