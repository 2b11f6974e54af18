/* Feed: the pictures of a batch in front of the lanes that look at them: the data set's own where the task shows them
 * as they are, else canvases drawn by all the host's threads. Owns the memory they lie in. Must not know what is
 * computed. Nothing is collective. */
#ifndef RAM_TRAIN_FEED_H
#define RAM_TRAIN_FEED_H

#include "train/experiment.h"

typedef struct {
    const Experiment *experiment; /* borrowed */
    Split split;
    Pictures shown;       /* of the fed images; pixels: the data set's, presented to the backend, or the canvases */
    int64_t first;        /* number of the first fed image in its batch */
    const int32_t *order; /* (count), host, borrowed: the samples that batches are cut from */
    Choice choice;        /* the same for the backend, but the batch's own part; drawn: canvases, not the data set's */
    DevInts place;        /* (1): choice.first of feed_lanes */
    uint8_t *canvas;      /* (images_most, H, W, C), host; the same memory where the backend's is the host's */
    void **scratch;       /* (threads): of task_draw */
    bool ahead;           /* the canvases are those of drawn_epoch, drawn_images from drawn_first of the order on */
    uint32_t drawn_epoch;
    int64_t drawn_first, drawn_images;
} Feed;

/* images_most: of one feed_lanes. */
void feed_open(Feed *feed, const Experiment *experiment, Split split, int64_t images_most);
void feed_close(Feed *feed); /* a zeroed one is allowed */

/* The samples that batches are cut from, from now on: order (all of the split), indices into its file. Borrowed. */
void feed_order(Feed *feed, const int32_t *order);

/* The next four are called by one thread while no worker of the host computes. */

/* Takes the images of `lanes` of a batch, which begins at place `first` of the order, in place of those before, as they
 * are in epoch 0: feed_draw and feed_choose at once. */
void feed_lanes(Feed *feed, const Span *lanes, int64_t first);

/* The host's part of it, before feed_choose of the same lanes: draws the canvases, where there are any. */
void feed_draw(Feed *feed, const Span *lanes, uint32_t epoch, int64_t first);

/* Draws the canvases of a batch that is probably the next one, while a GPU computes: feed_draw finds them done. Nothing
 * where the backend computes with the host's threads. */
void feed_draw_ahead(Feed *feed, const Span *lanes, uint32_t epoch, int64_t first);

/* The backend's part: kernels alone, which can be recorded: they are the same for the same lanes and the same address
 * of `first` (1), whose value when they run is the batch's place. */
void feed_choose(const Feed *feed, const Span *lanes, DevInts first);

/* The images of a lane, or some lanes, of those fed: arrays of its images. Borrowed, at the same place for the same
 * lanes until feed_close. */
Pictures feed_pictures(const Feed *feed, const Span *lane);

#endif
