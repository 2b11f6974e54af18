#include "view/gallery.h"
#include "base/glimpse_window.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE_MOST = 512 /* of a picture that is shown */ };

/* Whether the files are those that the trace names. */
static Status check_data(const Dataset *dataset, const Recording *recording) {
    const Split file = recording->split == SPLIT_TEST ? SPLIT_TEST : SPLIT_TRAIN;
    const char *hashes = inspect_text(&recording->content.facts.scalars, "provenance/data_hashes");
    char wanted[64];
    snprintf(wanted, sizeof wanted, "%s=%s", split_name(file), dataset->hash[file]);
    if (!*hashes || strstr(hashes, wanted)) return status_ok();
    return status_error(RAM_DATA,
                        "the images in %.200s are not those that %.200s was recorded on: name their folder with --set "
                        "data.dir=DIR",
                        dataset->directory, recording->path);
}

static Status check_indices(const Gallery *gallery, const Recording *recording) {
    const int64_t count = dataset_images(&gallery->dataset, recording->split)->count;
    for (int64_t i = 0; i < recording->content.facts.shape.samples; i++)
        if (recording->content.rows.index[i] >= count)
            return status_error(RAM_DATA,
                                "%.300s has image %d, but %.150s has only %lld: name the right folder with "
                                "--set data.dir=DIR",
                                recording->path, recording->content.rows.index[i], gallery->dataset.directory,
                                (long long)count);
    if (gallery->task.height <= SIDE_MOST && gallery->task.width <= SIDE_MOST) return status_ok();
    return status_error(RAM_USAGE, "images of %d x %d pixels are too large to be shown: at most %d x %d are",
                        gallery->task.width, gallery->task.height, SIDE_MOST, SIDE_MOST);
}

static Status open_task(Gallery *gallery, const Recording *recording, const char *directory, const char *prefix,
                        const char *fallback) {
    const Config *config = &recording->config;
    const DatasetOptions data = {.directory = *directory ? directory : config->data_dir,
                                 .prefix = *prefix ? prefix : config->data_prefix,
                                 .fallback = fallback,
                                 .classes = config->data_classes == KEY_AUTO_INT ? 0 : (int)config->data_classes,
                                 .seed = (uint64_t)config->data_seed,
                                 .validation_fraction = config->data_validation};
    const TaskOptions task = {.kind = (TaskKind)config->data_task,
                              .canvas = (int)config->data_canvas,
                              .distractors = (int)config->data_distractors,
                              .seed = (uint64_t)config->_seed,
                              .data_seed = (uint64_t)config->data_seed};
    TRY(dataset_open(&gallery->dataset, &data));
    TRY(check_data(&gallery->dataset, recording));
    TRY(task_open(&gallery->task, &gallery->dataset, &task));
    return check_indices(gallery, recording);
}

/* Zero after normalisation is the mean. */
static Status find_outside(Gallery *gallery, const Config *config) {
    double mean[CHANNELS_MOST], stddev[CHANNELS_MOST];
    for (int c = 0; c < CHANNELS_MOST; c++) mean[c] = config->data_mean;
    if (isnan(config->data_mean)) TRY(dataset_measure(&gallery->dataset, mean, stddev));
    for (int c = 0; c < 3; c++) gallery->outside[c] = (uint8_t)lrint(255 * fmin(1, fmax(0, mean[c])));
    return status_ok();
}

Status gallery_open(Gallery *gallery, const Recording *recording, const char *directory, const char *prefix,
                    const char *fallback) {
    *gallery = (Gallery){0};
    Status status = open_task(gallery, recording, directory, prefix, fallback);
    if (!status_failed(&status)) status = find_outside(gallery, &recording->config);
    if (status_failed(&status)) {
        gallery_close(gallery);
        return status;
    }
    gallery->height = gallery->task.height;
    gallery->width = gallery->task.width;
    gallery->channels = gallery->task.channels < 3 ? 1 : 3;
    return status;
}

void gallery_close(Gallery *gallery) {
    dataset_close(&gallery->dataset);
    *gallery = (Gallery){0};
}

/* Of two channels the first is shown, of four the first three. */
Bitmap gallery_draw(const Gallery *gallery, const Recording *recording, int64_t sample) {
    const size_t count = (size_t)gallery->height * (size_t)gallery->width;
    const size_t stored = (size_t)gallery->task.channels, shown = (size_t)gallery->channels;
    uint8_t *picture = memory_new(count * stored, 1), *pixels = memory_new(count * shown, 1);
    uint8_t *scratch = memory_new(task_scratch_bytes(&gallery->task), 1);
    task_draw(&gallery->task, recording->split, 0, recording->content.rows.index[sample], scratch, picture);
    free(scratch);
    for (size_t i = 0; i < count; i++) memcpy(pixels + i * shown, picture + i * stored, shown);
    free(picture);
    return (Bitmap){gallery->width, gallery->height, gallery->channels, pixels};
}

Window gallery_window(const Gallery *gallery, const Recording *recording, const float location[2], int scale) {
    const Config *config = &recording->config;
    int side = (int)config->model_patch;
    for (int k = 0; k < scale; k++) side *= (int)config->model_scale;
    return (Window){.left = glimpse_window_first(glimpse_window_pixel(location[0], gallery->width), side),
                    .top = glimpse_window_first(glimpse_window_pixel(location[1], gallery->height), side),
                    .side = side};
}

/* The pooled cell of `factor` x `factor` pixels from (x, y) on, of one channel. */
static uint8_t pool(const Bitmap *picture, int x, int y, int factor, int channel, uint8_t outside) {
    const int left = x > 0 ? x : 0, right = x + factor < picture->width ? x + factor : picture->width;
    const int top = y > 0 ? y : 0, bottom = y + factor < picture->height ? y + factor : picture->height;
    if (left >= right || top >= bottom) return outside;
    int64_t sum = 0;
    for (int row = top; row < bottom; row++)
        for (int column = left; column < right; column++)
            sum += picture->pixels[((int64_t)row * picture->width + column) * picture->channels + channel];
    const int64_t area = (int64_t)factor * factor, beyond = area - (int64_t)(right - left) * (bottom - top);
    return (uint8_t)lrint((double)(sum + beyond * outside) / (double)area);
}

Bitmap gallery_patch(const Gallery *gallery, const Recording *recording, const Bitmap *picture, Window window) {
    const int side = (int)recording->config.model_patch, factor = window.side / side;
    uint8_t *pixels = memory_new((size_t)side * (size_t)side * (size_t)picture->channels, 1), *at = pixels;
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++)
            for (int c = 0; c < picture->channels; c++)
                *at++ =
                    pool(picture, window.left + x * factor, window.top + y * factor, factor, c, gallery->outside[c]);
    return (Bitmap){side, side, picture->channels, pixels};
}
