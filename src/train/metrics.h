/* Metrics: metrics.jsonl, the truth about a run's course: one JSON object a line (DESIGN 6). Owns the file. Only rank 0
 * writes; nothing here is collective. */
#ifndef RAM_TRAIN_METRICS_H
#define RAM_TRAIN_METRICS_H

#include "base/atomic_file.h"
#include "base/hash.h"
#include "train/evaluate.h"

#include <stdio.h>

/* The figures of one epoch of training; means over the epoch's rows, error in percent. */
typedef struct {
    int64_t epoch, step;
    double lr; /* of the epoch's last step */
    double loss, nll, glimpse_nll, baseline_loss, reinforce_loss, error, reward;
    double seconds; /* of computing, without evaluation and checkpoints */
} EpochFigures;

typedef struct {
    FILE *file; /* NULL on ranks that do not write */
    char path[FILE_PATH];
    bool lost; /* told: the path names another file, or none that could be written */
} Metrics;

/* Opens `path` for appending. RAM_IO. */
Status metrics_open(Metrics *metrics, const char *path);
Metrics metrics_on_stdout(void);      /* not to be closed */
void metrics_close(Metrics *metrics); /* a zeroed one is allowed */

/* Each line is written whole and flushed. RAM_IO. On a closed Metrics: nothing. */
Status metrics_epoch(Metrics *metrics, const EpochFigures *figures);
Status metrics_evaluation(Metrics *metrics, int64_t epoch, int64_t step, const Evaluation *evaluation);
/* A line that says: the best model is chosen from the evaluations from here on. */
Status metrics_measured_anew(Metrics *metrics, int64_t step);

/* Syncs the file, and writes it anew where it was deleted; its length and XXH3-128 of its content are what a checkpoint
 * keeps. RAM_IO. */
Status metrics_mark(Metrics *metrics, int64_t *bytes, char hash[HASH_TEXT]);

/* Cuts `path` to the first `bytes` bytes, which must have the hash; what is cut off goes to `lost_path` (appended;
 * NULL: it is only looked whether it can be cut). A file that is shorter or differs: RAM_DATA. */
Status metrics_cut(const char *path, const char *lost_path, int64_t bytes, const char *hash);

#endif
