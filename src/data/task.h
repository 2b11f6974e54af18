/* Task: what picture the model sees for a sample. `mnist` shows the file's image as it is; `translated` and `cluttered`
 * draw it onto a larger canvas (Mnih et al. 2014, section 4.1); in training the image may be augmented before. Made on
 * the fly, a pure function of (seed, epoch, sample). Must not know batches, normalisation or models. Nothing here is
 * collective; task_draw is re-entrant. */
#ifndef RAM_DATA_TASK_H
#define RAM_DATA_TASK_H

#include "base/terms.h"
#include "data/augment.h"
#include "data/dataset.h"

#include <stdbool.h>

enum { TASK_PIECE = 8 /* side of a distractor in pixels (Mnih et al. 2014); smaller where the image is */ };

typedef struct {
    TaskKind kind;
    int canvas;                /* side, for translated and cluttered */
    int distractors;           /* for cluttered */
    Augmentation augmentation; /* of what a training sees; never of what is measured */
    uint64_t seed;             /* the training's: training canvases differ by epoch */
    uint64_t data_seed; /* validation and test canvases: epoch 0, so that every seed is measured on the same images */
} TaskOptions;

typedef struct {
    const Dataset *dataset; /* borrowed */
    TaskOptions options;
    int height, width, channels; /* of the pictures */
} Task;

/* RAM_USAGE when the canvas is smaller than the data set's images. Nothing to close. */
Status task_open(Task *task, const Dataset *dataset, const TaskOptions *options);

/* True when task_draw would only copy the files' images of the split: then dataset_images()->pixels can be used. */
bool task_is_identity(const Task *task, Split split);

/* Bytes that task_draw needs for itself, aligned for float. */
size_t task_scratch_bytes(const Task *task);

/* Draws sample `sample` (an index into the split's file) into picture (height, width, channels). `epoch` counts for
 * SPLIT_TRAIN alone; in epoch 0, which is for measuring, nothing is augmented. */
void task_draw(const Task *task, Split split, uint32_t epoch, int32_t sample, void *scratch, uint8_t *picture);

#endif
