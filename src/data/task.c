#include "data/task.h"

#include "base/log.h"
#include "data/draws.h"

#include <string.h>

Status task_open(Task *task, const Dataset *dataset, const TaskOptions *options) {
    const Images *images = &dataset->train_file;
    *task = (Task){.dataset = dataset,
                   .options = *options,
                   .height = images->height,
                   .width = images->width,
                   .channels = images->channels};
    if (options->kind == TASK_MNIST) return status_ok();
    if (options->canvas < images->height || options->canvas < images->width)
        return status_error(RAM_USAGE,
                            "data.canvas is %d, too small for the images of %d x %d pixels in %s: raise it, or set "
                            "data.task=mnist",
                            options->canvas, images->height, images->width, dataset->directory);
    task->height = task->width = options->canvas;
    return status_ok();
}

bool task_is_identity(const Task *task, Split split) {
    return task->options.kind == TASK_MNIST && (split != SPLIT_TRAIN || augment_is_off(&task->options.augmentation));
}

size_t task_scratch_bytes(const Task *task) {
    const Images *images = &task->dataset->train_file;
    const int height = images->height, width = images->width, channels = images->channels;
    if (augment_is_off(&task->options.augmentation)) return 0;
    return augment_scratch(height, width, channels) * sizeof(float) + (size_t)height * width * channels;
}

static const uint8_t *image_of(const Task *task, Split split, int32_t sample) {
    const Images *images = dataset_images(task->dataset, split);
    require(sample >= 0 && sample < images->count);
    return images->pixels + (size_t)sample * (size_t)images->height * (size_t)images->width * (size_t)images->channels;
}

/* A rectangle of an image, and where it goes on the canvas. */
typedef struct {
    const uint8_t *from; /* its first row */
    uint8_t *to;
    size_t from_stride, to_stride, row_bytes; /* bytes */
    int rows;
} Piece;

typedef uint8_t Eight __attribute__((vector_size(8)));

/* to += from, clipped to 255: a sum that wraps is less than what was there. */
static void add_eight(const uint8_t *from, uint8_t *to) {
    Eight more, there, sum;
    memcpy(&more, from, sizeof more);
    memcpy(&there, to, sizeof there);
    sum = there + more;
    sum |= (Eight)(sum < there);
    memcpy(to, &sum, sizeof sum);
}

static void add_row(size_t bytes, const uint8_t *from, uint8_t *to) {
    size_t i = 0;
    for (; i + sizeof(Eight) <= bytes; i += sizeof(Eight)) add_eight(from + i, to + i);
    for (; i < bytes; i++) {
        const int total = to[i] + from[i];
        to[i] = (uint8_t)(total < 255 ? total : 255);
    }
}

static void add_piece(const Piece *piece) {
    for (size_t y = 0; y < (size_t)piece->rows; y++)
        add_row(piece->row_bytes, piece->from + y * piece->from_stride, piece->to + y * piece->to_stride);
}

/* Puts height x width pixels of an image, from (top, left) on, at a place drawn uniformly from all where they lie
 * wholly on the canvas. */
static Piece place(const Task *task, const uint8_t *image, int top, int left, int height, int width, Draws *draws,
                   uint8_t *picture) {
    const size_t channels = (size_t)task->channels, image_width = (size_t)task->dataset->train_file.width;
    const size_t canvas_top = draws_below(draws, (uint32_t)(task->height - height + 1));
    const size_t canvas_left = draws_below(draws, (uint32_t)(task->width - width + 1));
    return (Piece){.from = image + ((size_t)top * image_width + (size_t)left) * channels,
                   .to = picture + (canvas_top * (size_t)task->width + canvas_left) * channels,
                   .from_stride = image_width * channels,
                   .to_stride = (size_t)task->width * channels,
                   .row_bytes = (size_t)width * channels,
                   .rows = height};
}

/* Another sample of the split; the same one only where there is no other. */
static int32_t draw_other(const Dataset *dataset, Split split, int32_t sample, Draws *draws) {
    int32_t other;
    do {
        other = dataset->sample[split][draws_below(draws, (uint32_t)dataset->count[split])];
    } while (other == sample && dataset->count[split] > 1);
    return other;
}

static Piece place_distractor(const Task *task, Split split, int32_t sample, Draws *draws, uint8_t *picture) {
    const Images *images = dataset_images(task->dataset, split);
    const uint8_t *image = image_of(task, split, draw_other(task->dataset, split, sample, draws));
    const int height = images->height < TASK_PIECE ? images->height : TASK_PIECE;
    const int width = images->width < TASK_PIECE ? images->width : TASK_PIECE;
    const int top = (int)draws_below(draws, (uint32_t)(images->height - height + 1));
    const int left = (int)draws_below(draws, (uint32_t)(images->width - width + 1));
    return place(task, image, top, left, height, width, draws, picture);
}

/* The image, augmented in `scratch` where a training asks for it. */
static const uint8_t *training_image(const Task *task, Split split, uint32_t epoch, int32_t sample, void *scratch) {
    const Images *images = dataset_images(task->dataset, split);
    const int height = images->height, width = images->width, channels = images->channels;
    const uint8_t *image = image_of(task, split, sample);
    if (split != SPLIT_TRAIN || epoch == 0 || augment_is_off(&task->options.augmentation)) return image;
    const DrawKey key = {
        .seed = task->options.seed, .purpose = DRAW_AUGMENT, .epoch = epoch, .sample = (uint32_t)sample};
    uint8_t *augmented = (uint8_t *)((float *)scratch + augment_scratch(height, width, channels));
    augment_image(&task->options.augmentation, key, height, width, channels, image, scratch, augmented);
    return augmented;
}

static void fetch(const Piece *piece) {
    for (int y = 0; y < piece->rows; y++) __builtin_prefetch(piece->from + (size_t)y * piece->from_stride);
}

/* The image first, then what clutters it. Any image of the set may be asked for a piece, so that most of the time goes
 * by waiting for memory: some pieces are fetched side by side, and the canvas is cleared meanwhile. */
static void draw_canvas(const Task *task, Split split, int32_t sample, const uint8_t *image, Draws *draws,
                        uint8_t *picture) {
    enum { AHEAD = 16 };
    const Images *images = dataset_images(task->dataset, split);
    const int pieces = 1 + (task->options.kind == TASK_CLUTTERED ? task->options.distractors : 0);
    Piece piece[AHEAD];
    for (int first = 0; first < pieces; first += AHEAD) {
        const int count = pieces - first < AHEAD ? pieces - first : AHEAD;
        for (int i = 0; i < count; i++) {
            piece[i] = first + i == 0 ? place(task, image, 0, 0, images->height, images->width, draws, picture)
                                      : place_distractor(task, split, sample, draws, picture);
            fetch(&piece[i]);
        }
        if (first == 0) memset(picture, 0, (size_t)task->height * (size_t)task->width * (size_t)task->channels);
        for (int i = 0; i < count; i++) add_piece(&piece[i]);
    }
}

void task_draw(const Task *task, Split split, uint32_t epoch, int32_t sample, void *scratch, uint8_t *picture) {
    const uint8_t *image = training_image(task, split, epoch, sample, scratch);
    size_t bytes = (size_t)task->height * (size_t)task->width * (size_t)task->channels;
    if (task->options.kind == TASK_MNIST) {
        memcpy(picture, image, bytes);
        return;
    }
    bool trains = split == SPLIT_TRAIN;
    Draws draws = {.key = {.seed = trains ? task->options.seed : task->options.data_seed,
                           .purpose = DRAW_CANVAS,
                           .space = (uint32_t)split,
                           .epoch = trains ? epoch : 0,
                           .sample = (uint32_t)sample}};
    draw_canvas(task, split, sample, image, &draws, picture);
}
