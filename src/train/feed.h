/* Feed: puts the pictures of a span in front of a Pass: the data set's own where the task shows them as they are, else
 * canvases drawn for each worker. Owns those canvases. Must not know what is computed. Nothing is collective; workers
 * may feed at once, each with its own number. */
#ifndef RAM_TRAIN_FEED_H
#define RAM_TRAIN_FEED_H

#include "train/experiment.h"

typedef struct FeedSlot FeedSlot;

typedef struct {
    const Experiment *experiment; /* borrowed */
    Split split;
    DevBytes pixels; /* the data set's, presented to the backend; none where canvases are drawn */
    FeedSlot *slot;  /* (workers) */
} Feed;

/* images_most: of one span. */
void feed_open(Feed *feed, const Experiment *experiment, Split split, int64_t images_most);
void feed_close(Feed *feed); /* a zeroed one is allowed */

/* Fills `pictures` with the span's images of a batch. samples (span->batch): indices into the split's file. */
void feed_span(const Feed *feed, int worker, const Span *span, uint32_t epoch, const int32_t *samples,
               Pictures *pictures);

#endif
