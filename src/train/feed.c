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
    feed->scratch = memory_new((size_t)backend->threads, sizeof *feed->scratch);
    for (int i = 0; i < backend->threads; i++) feed->scratch[i] = memory_new(task_scratch_bytes(task), 1);
}

static void close_canvases(Feed *feed) {
    Backend *backend = feed->experiment->backend;
    for (int i = 0; i < backend->threads; i++) free(feed->scratch[i]);
    free(feed->scratch);
    if (!backend->host_memory) free(feed->canvas);
    backend->kernels->release(backend, feed->shown.pixels.address);
}

void feed_open(Feed *feed, const Experiment *experiment, Split split, int64_t images_most) {
    Backend *backend = experiment->backend;
    const Kernels *kernels = backend->kernels;
    const Images *images = dataset_images(&experiment->dataset, split);
    const size_t most = (size_t)images_most;
    *feed = (Feed){.experiment = experiment, .split = split};
    feed->shown.picture.address = kernels->allocate(backend, most * sizeof(int32_t));
    feed->shown.sample.address = kernels->allocate(backend, most * sizeof(int32_t));
    feed->shown.label.address = kernels->allocate(backend, most);
    feed->place.address = kernels->allocate(backend, sizeof(int32_t));
    feed->choice = (Choice){.count = experiment->dataset.count[split],
                            .labels = images->count,
                            .drawn = !task_is_identity(&experiment->task, split)};
    feed->choice.order.address = kernels->allocate(backend, (size_t)feed->choice.count * sizeof(int32_t));
    feed->choice.label.address = kernels->present(backend, images->labels, (size_t)images->count);
    if (feed->choice.drawn)
        open_canvases(feed, most);
    else
        feed->shown.pixels.address =
            kernels->present(backend, images->pixels, (size_t)images->count * picture_bytes(&experiment->task));
}

void feed_close(Feed *feed) {
    if (!feed->experiment) return;
    Backend *backend = feed->experiment->backend;
    const Kernels *kernels = backend->kernels;
    if (feed->choice.drawn)
        close_canvases(feed);
    else
        kernels->withdraw(backend, feed->shown.pixels.address);
    kernels->withdraw(backend, feed->choice.label.address);
    kernels->release(backend, feed->choice.order.address);
    kernels->release(backend, feed->place.address);
    kernels->release(backend, feed->shown.picture.address);
    kernels->release(backend, feed->shown.sample.address);
    kernels->release(backend, feed->shown.label.address);
    *feed = (Feed){0};
}

void feed_order(Feed *feed, const int32_t *order) {
    Backend *backend = feed->experiment->backend;
    feed->order = order;
    feed->ahead = false;
    backend->kernels->upload(backend, feed->choice.order.address, order, (size_t)feed->choice.count * sizeof *order);
}

typedef struct {
    const Feed *feed;
    uint32_t epoch;
    const int32_t *samples; /* (images) */
    int64_t images;
} Drawing;

static void draw_canvases(void *context, int thread) {
    const Drawing *drawing = context;
    const Feed *feed = drawing->feed;
    const Task *task = &feed->experiment->task;
    const int threads = feed->experiment->backend->threads;
    const int64_t end = partition_begin(drawing->images, thread + 1, threads);
    for (int64_t i = partition_begin(drawing->images, thread, threads); i < end; i++)
        task_draw(task, feed->split, drawing->epoch, drawing->samples[i], feed->scratch[thread],
                  feed->canvas + (size_t)i * picture_bytes(task));
}

/* The canvases of `images` images from place `first` of the order on. */
static void draw(Feed *feed, uint32_t epoch, int64_t first, int64_t images) {
    Backend *backend = feed->experiment->backend;
    Drawing drawing = {feed, epoch, feed->order + first, images};
    backend->kernels->run_threads(backend, draw_canvases, &drawing);
}

void feed_draw(Feed *feed, const Span *lanes, uint32_t epoch, int64_t first) {
    Backend *backend = feed->experiment->backend;
    const int64_t images = span_images(lanes);
    feed->first = span_first_image(lanes);
    if (!feed->choice.drawn) return;
    first += feed->first;
    if (!feed->ahead || feed->drawn_epoch != epoch || feed->drawn_first != first || feed->drawn_images != images)
        draw(feed, epoch, first, images);
    feed->ahead = false;
    if (!backend->host_memory)
        backend->kernels->upload(backend, feed->shown.pixels.address, feed->canvas,
                                 (size_t)images * picture_bytes(&feed->experiment->task));
}

void feed_draw_ahead(Feed *feed, const Span *lanes, uint32_t epoch, int64_t first) {
    if (!feed->choice.drawn || feed->experiment->backend->host_memory) return;
    feed->ahead = true;
    feed->drawn_epoch = epoch;
    feed->drawn_first = first + span_first_image(lanes);
    feed->drawn_images = span_images(lanes);
    draw(feed, epoch, feed->drawn_first, feed->drawn_images);
}

void feed_choose(const Feed *feed, const Span *lanes, DevInts first) {
    Backend *backend = feed->experiment->backend;
    Choice choice = feed->choice;
    choice.first = first;
    choice.offset = span_first_image(lanes);
    backend->kernels->choose(backend, &choice, span_images(lanes), &feed->shown);
}

void feed_lanes(Feed *feed, const Span *lanes, int64_t first) {
    Backend *backend = feed->experiment->backend;
    const int32_t place = (int32_t)first;
    feed_draw(feed, lanes, 0, first);
    backend->kernels->upload(backend, feed->place.address, &place, sizeof place);
    feed_choose(feed, lanes, feed->place);
}

Pictures feed_pictures(const Feed *feed, const Span *lane) {
    const int64_t at = span_first_image(lane) - feed->first;
    const Pictures *shown = &feed->shown;
    return (Pictures){.pixels = shown->pixels,
                      .picture = {shown->picture.address + at},
                      .sample = {shown->sample.address + at},
                      .label = {shown->label.address + at}};
}
