/* Recording: a trace with the configuration and the model it says it is of, ready to be pictured. Must not know what is
 * drawn of it. Nothing here is collective. */
#ifndef RAM_VIEW_RECORDING_H
#define RAM_VIEW_RECORDING_H

#include "base/atomic_file.h"
#include "config/config.h"
#include "data/dataset.h"
#include "store/trace_read.h"

typedef struct {
    char path[FILE_PATH];
    TraceContent content;
    Config config;
    Split split;
    char policy[16];
    int64_t step, epoch; /* of the model */
} Recording;

/* recording_close() the result. Errors as trace_read. */
Status recording_open(const char *path, Recording *recording);
void recording_close(Recording *recording); /* a zeroed one is allowed */

/* "test-step-00010972". Borrowed. */
const char *recording_name(const Recording *recording);

/* "test-step-00010972: 10000 test images, policy sample, 1 roll-out of 6 glimpses, step 10972". */
void recording_describe(const Recording *recording, char *text, size_t size);

/* What the trace was configured with. RAM_DATA. */
Status recording_config(const InspectScalars *facts, Config *config);

/* --- what is counted in it; glimpses are numbered from 0 here */

/* What the model says of an image after a glimpse: the class with the largest probability, mean over the roll-outs, as
 * an evaluation counts. */
typedef struct {
    int said;
    double confidence;
} Verdict;
Verdict recording_verdict(const Recording *recording, int64_t sample, int glimpse);

/* Percent of the images that are wrong after a glimpse. */
double recording_error(const Recording *recording, int glimpse);

/* confusion[label * classes + said] of the last glimpse. */
void recording_confusion(const Recording *recording, int64_t *confusion);

/* The wrong samples, the most confident first; returns how many of at most `most`, and in *all how many there are. */
int recording_mistakes(const Recording *recording, int most, int64_t *sample, int64_t *all);

/* Location of a fixation: (x, y). Borrowed. */
const float *recording_location(const Recording *recording, int64_t sample, int64_t rollout, int fixation);

/* How often fixations fell on each cell of the picture. */
enum { HEAT_CELLS = 28 };
typedef struct {
    int64_t count[HEAT_CELLS][HEAT_CELLS]; /* (y, x) */
    int64_t most;
} HeatMap;
void recording_add_heat(const Recording *recording, int fixation, HeatMap *map);

/* How the policy moves: means over all images and roll-outs, in halves of the picture's side. */
typedef struct {
    double travel; /* from one fixation to the next */
    double spread; /* root mean square distance from where the same glimpse goes on average */
} Movement;
Movement recording_movement(const Recording *recording);

#endif
