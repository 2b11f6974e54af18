#include "train/feed.h"
#include "base/memory.h"

#include <stdlib.h>

static size_t picture_bytes(const Task *task) { return (size_t)task->height * task->width * task->channels; }

static void open_canvases(Feed *feed, size_t images_most) {
    const Task *task = &feed->experiment->task;
    Backend *backend = feed->experiment->backend;
    const size_t bytes = images_most * picture_bytes(task);
    feed->shown.pixels.address = backend->kernels->allocate(backend, bytes);
    feed->canvas = backend->host_memory ? feed->shown.pixels.address : memory_new(bytes, 1);
    feed->scratch = memory_new((size_t)backend->workers, sizeof *feed->scratch);
    for (int i = 0; i < backend->workers; i++) feed->scratch[i] = memory_new(task_scratch_bytes(task), 1);
}

static void close_canvases(Feed *feed) {
    Backend *backend = feed->experiment->backend;
    for (int i = 0; i < backend->workers; i++) free(feed->scratch[i]);
    free(feed->scratch);
    if (!backend->host_memory) free(feed->canvas);
    backend->kernels->release(backend, feed->shown.pixels.address);
}

void feed_open(Feed *feed, const Experiment *experiment, Split split, int64_t images_most) {
    Backend *backend = experiment->backend;
    const Kernels *kernels = backend->kernels;
    const Images *images = dataset_images(&experiment->dataset, split);
    const size_t most = (size_t)images_most;
    *feed = (Feed){.experiment = experiment, .split = split, .drawn = !task_is_identity(&experiment->task, split)};
    feed->shown.picture.address = kernels->allocate(backend, most * sizeof *feed->picture);
    feed->shown.sample.address = kernels->allocate(backend, most * sizeof(int32_t));
    feed->shown.label.address = kernels->allocate(backend, most);
    feed->picture = memory_new(most, sizeof *feed->picture);
    feed->label = memory_new(most, 1);
    if (feed->drawn)
        open_canvases(feed, most);
    else
        feed->shown.pixels.address =
            kernels->present(backend, images->pixels, (size_t)images->count * picture_bytes(&experiment->task));
}

void feed_close(Feed *feed) {
    if (!feed->experiment) return;
    Backend *backend = feed->experiment->backend;
    const Kernels *kernels = backend->kernels;
    if (feed->drawn)
        close_canvases(feed);
    else
        kernels->withdraw(backend, feed->shown.pixels.address);
    kernels->release(backend, feed->shown.picture.address);
    kernels->release(backend, feed->shown.sample.address);
    kernels->release(backend, feed->shown.label.address);
    free(feed->picture);
    free(feed->label);
    *feed = (Feed){0};
}

typedef struct {
    const Feed *feed;
    uint32_t epoch;
    const int32_t *samples; /* of the batch */
} Drawing;

static void draw_canvases(void *context, int worker, const Span *span) {
    const Drawing *drawing = context;
    const Feed *feed = drawing->feed;
    const Task *task = &feed->experiment->task;
    const int64_t first = span_first_image(span), end = first + span_images(span);
    for (int64_t i = first; i < end; i++)
        task_draw(task, feed->split, drawing->epoch, drawing->samples[i], feed->scratch[worker],
                  feed->canvas + (size_t)(i - feed->first) * picture_bytes(task));
}

void feed_lanes(Feed *feed, const Span *lanes, uint32_t epoch, const int32_t *samples) {
    Backend *backend = feed->experiment->backend;
    const Kernels *kernels = backend->kernels;
    const uint8_t *labels = dataset_images(&feed->experiment->dataset, feed->split)->labels;
    feed->first = span_first_image(lanes);
    const int32_t *sample = samples + feed->first;
    const size_t n = (size_t)span_images(lanes);
    for (size_t i = 0; i < n; i++) {
        feed->label[i] = labels[sample[i]];
        feed->picture[i] = feed->drawn ? (int32_t)i : sample[i];
    }
    kernels->upload(backend, feed->shown.picture.address, feed->picture, n * sizeof *feed->picture);
    kernels->upload(backend, feed->shown.sample.address, sample, n * sizeof *sample);
    kernels->upload(backend, feed->shown.label.address, feed->label, n);
    if (!feed->drawn) return;
    Drawing drawing = {feed, epoch, samples};
    kernels->run(backend, *lanes, 1, draw_canvases, &drawing);
    if (!backend->host_memory)
        kernels->upload(backend, feed->shown.pixels.address, feed->canvas, n * picture_bytes(&feed->experiment->task));
}

Pictures feed_pictures(const Feed *feed, const Span *lane) {
    const int64_t at = span_first_image(lane) - feed->first;
    const Pictures *shown = &feed->shown;
    return (Pictures){.pixels = shown->pixels,
                      .picture = {shown->picture.address + at},
                      .sample = {shown->sample.address + at},
                      .label = {shown->label.address + at}};
}
