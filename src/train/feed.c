#include "train/feed.h"
#include "base/memory.h"

#include <stdlib.h>

struct FeedSlot {
    int32_t *picture;  /* (images_most): place of each picture among the pixels */
    uint8_t *label;    /* (images_most) */
    uint8_t *canvas;   /* (images_most, H, W, C), host */
    uint8_t *scratch;  /* of task_draw */
    DevBytes canvases; /* the same on the backend */
};

static size_t picture_bytes(const Task *task) { return (size_t)task->height * task->width * task->channels; }

void feed_open(Feed *feed, const Experiment *experiment, Split split, int64_t images_most) {
    Backend *backend = experiment->backend;
    const Images *images = dataset_images(&experiment->dataset, split);
    const size_t most = (size_t)images_most, bytes = picture_bytes(&experiment->task);
    *feed = (Feed){.experiment = experiment, .split = split};
    feed->slot = memory_new((size_t)backend->workers, sizeof *feed->slot);
    const bool identity = task_is_identity(&experiment->task, split);
    if (identity)
        feed->pixels.address = backend->kernels->present(backend, images->pixels, (size_t)images->count * bytes);
    for (int i = 0; i < backend->workers; i++) {
        FeedSlot *slot = &feed->slot[i];
        slot->picture = memory_new(most, sizeof *slot->picture);
        slot->label = memory_new(most, 1);
        if (identity) continue;
        slot->scratch = memory_new(task_scratch_bytes(&experiment->task), 1);
        slot->canvas = memory_new(most, bytes);
        slot->canvases.address = backend->kernels->allocate(backend, most * bytes);
    }
}

void feed_close(Feed *feed) {
    if (!feed->experiment) return;
    Backend *backend = feed->experiment->backend;
    if (feed->pixels.address) backend->kernels->withdraw(backend, feed->pixels.address);
    for (int i = 0; i < backend->workers; i++) {
        free(feed->slot[i].picture);
        free(feed->slot[i].label);
        free(feed->slot[i].scratch);
        free(feed->slot[i].canvas);
        backend->kernels->release(backend, feed->slot[i].canvases.address);
    }
    free(feed->slot);
    *feed = (Feed){0};
}

void feed_span(const Feed *feed, int worker, const Span *span, uint32_t epoch, const int32_t *samples,
               Pictures *pictures) {
    const Experiment *experiment = feed->experiment;
    Backend *backend = experiment->backend;
    const Kernels *kernels = backend->kernels;
    const FeedSlot *slot = &feed->slot[worker];
    const uint8_t *labels = dataset_images(&experiment->dataset, feed->split)->labels;
    const int32_t *sample = samples + span_first_image(span);
    const size_t n = (size_t)span_images(span), bytes = picture_bytes(&experiment->task);
    const bool identity = feed->pixels.address != NULL;
    for (size_t i = 0; i < n; i++) {
        slot->label[i] = labels[sample[i]];
        slot->picture[i] = identity ? sample[i] : (int32_t)i;
        if (!identity)
            task_draw(&experiment->task, feed->split, epoch, sample[i], slot->scratch, slot->canvas + i * bytes);
    }
    if (!identity) kernels->upload(backend, slot->canvases.address, slot->canvas, n * bytes);
    pictures->pixels = identity ? feed->pixels : slot->canvases;
    kernels->upload(backend, pictures->picture.address, slot->picture, n * sizeof *slot->picture);
    kernels->upload(backend, pictures->sample.address, sample, n * sizeof *sample);
    kernels->upload(backend, pictures->label.address, slot->label, n);
}
