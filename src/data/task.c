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

/* A rectangle of an image: rows from top, columns from left. */
typedef struct {
    int top, left, height, width;
} Piece;

/* Adds `piece` of image (image_width wide) to the picture at (top, left), clipped to 255. */
static void add_piece(const Task *task, const uint8_t *image, int image_width, Piece piece, int top, int left,
                      uint8_t *picture) {
    size_t channels = (size_t)task->channels, row_bytes = (size_t)piece.width * channels;
    for (int y = 0; y < piece.height; y++) {
        const uint8_t *from = image + ((size_t)(piece.top + y) * (size_t)image_width + (size_t)piece.left) * channels;
        uint8_t *to = picture + ((size_t)(top + y) * (size_t)task->width + (size_t)left) * channels;
        for (size_t i = 0; i < row_bytes; i++) {
            int total = to[i] + from[i];
            to[i] = (uint8_t)(total < 255 ? total : 255);
        }
    }
}

/* Adds `piece` at a place drawn uniformly from all where it lies wholly on the canvas. */
static void add_somewhere(const Task *task, const uint8_t *image, int image_width, Piece piece, Draws *draws,
                          uint8_t *picture) {
    int top = (int)draws_below(draws, (uint32_t)(task->height - piece.height + 1));
    int left = (int)draws_below(draws, (uint32_t)(task->width - piece.width + 1));
    add_piece(task, image, image_width, piece, top, left, picture);
}

/* Another sample of the split; the same one only where there is no other. */
static int32_t draw_other(const Dataset *dataset, Split split, int32_t sample, Draws *draws) {
    int32_t other;
    do {
        other = dataset->sample[split][draws_below(draws, (uint32_t)dataset->count[split])];
    } while (other == sample && dataset->count[split] > 1);
    return other;
}

static void add_distractor(const Task *task, Split split, int32_t sample, Draws *draws, uint8_t *picture) {
    const Images *images = dataset_images(task->dataset, split);
    const uint8_t *image = image_of(task, split, draw_other(task->dataset, split, sample, draws));
    Piece piece = {.height = images->height < TASK_PIECE ? images->height : TASK_PIECE,
                   .width = images->width < TASK_PIECE ? images->width : TASK_PIECE};
    piece.top = (int)draws_below(draws, (uint32_t)(images->height - piece.height + 1));
    piece.left = (int)draws_below(draws, (uint32_t)(images->width - piece.width + 1));
    add_somewhere(task, image, images->width, piece, draws, picture);
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

void task_draw(const Task *task, Split split, uint32_t epoch, int32_t sample, void *scratch, uint8_t *picture) {
    const Images *images = dataset_images(task->dataset, split);
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
    memset(picture, 0, bytes);
    add_somewhere(task, image, images->width, (Piece){.height = images->height, .width = images->width}, &draws,
                  picture);
    if (task->options.kind != TASK_CLUTTERED) return;
    for (int i = 0; i < task->options.distractors; i++) add_distractor(task, split, sample, &draws, picture);
}
