#include "data/dataset.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "data/draws.h"
#include "data/idx.h"
#include "data/idx_folder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES_MOST = 256 };

/* --- the files */

/* `images` and `labels` are one set's; paths: of all files, those two are filled in. */
static Status read_set(IdxFolder *folder, IdxFile images, IdxFile labels, Images *set,
                       char path[IDX_FILES][DATASET_PATH]) {
    TRY(idx_folder_find(folder, images, path[images]));
    TRY(idx_folder_find(folder, labels, path[labels]));
    TRY(idx_read_images(path[images], set));
    return idx_read_labels(path[labels], set);
}

/* --- labels */

typedef struct {
    const char *path;      /* of the labels file */
    const uint8_t *labels; /* (count) */
    int64_t count;
    bool seen[CLASSES_MOST];
    int largest;
} Labels;

static Labels labels_survey(const Images *images, const char *path) {
    Labels labels = {.path = path, .labels = images->labels, .count = images->count};
    for (int64_t i = 0; i < labels.count; i++) labels.seen[labels.labels[i]] = true;
    for (int label = 0; label < CLASSES_MOST; label++)
        if (labels.seen[label]) labels.largest = label;
    return labels;
}

static int64_t first_with(const Labels *labels, int label) {
    int64_t i = 0;
    while (labels->labels[i] != label) i++;
    return i;
}

static Status check_below(const Labels *labels, int classes) {
    if (labels->largest < classes) return status_ok();
    return status_error(RAM_DATA,
                        "%s: label %d of image %lld (counted from 0), but data.classes says %d, so labels are 0..%d: "
                        "correct one of the two",
                        labels->path, labels->largest, (long long)first_with(labels, labels->largest), classes,
                        classes - 1);
}

static Status check_agreement(const Labels *train, const Labels *test) {
    const Labels *larger = train->largest > test->largest ? train : test;
    const Labels *smaller = larger == train ? test : train;
    if (larger->largest != smaller->largest)
        return status_error(RAM_DATA,
                            "%s: label %d of image %lld (counted from 0), but labels end at %d in %s: fetch both "
                            "again, or set data.classes=%d",
                            larger->path, larger->largest, (long long)first_with(larger, larger->largest),
                            smaller->largest, smaller->path, larger->largest + 1);
    for (int label = 0; label < train->largest; label++)
        if (!train->seen[label])
            return status_error(
                RAM_DATA,
                "%s has labels up to %d (image %lld, counted from 0) but none is %d: fetch it again, or "
                "set data.classes=%d",
                train->path, train->largest, (long long)first_with(train, train->largest), label, train->largest + 1);
    return status_ok();
}

static Status count_classes(Dataset *dataset, int classes, const char *train_path, const char *test_path) {
    Labels train = labels_survey(&dataset->train_file, train_path);
    Labels test = labels_survey(&dataset->test_file, test_path);
    dataset->classes = classes > 0 ? classes : train.largest + 1;
    if (classes == 0) return check_agreement(&train, &test);
    TRY(check_below(&train, classes));
    return check_below(&test, classes);
}

/* --- split and order */

/* The first `draws` entries of `items` (count) become a uniformly drawn sequence (Fisher and Yates). */
static void shuffle(int32_t *items, int64_t count, int64_t draws, DrawKey key) {
    Draws source = {.key = key};
    for (int64_t i = 0; i < draws; i++) {
        int64_t j = i + draws_below(&source, (uint32_t)(count - i));
        int32_t item = items[i];
        items[i] = items[j];
        items[j] = item;
    }
}

static void split_train_file(Dataset *dataset, const DatasetOptions *options) {
    int64_t count = dataset->train_file.count;
    int64_t validation = llround(options->validation_fraction * (double)count);
    if (validation < 1) validation = 1;
    if (validation > count - 1) validation = count - 1;
    int32_t *drawn = memory_new((size_t)count, sizeof *drawn);
    for (int64_t i = 0; i < count; i++) drawn[i] = (int32_t)i;
    shuffle(drawn, count, validation, (DrawKey){.seed = options->seed, .purpose = DRAW_SPLIT});
    bool *validates = memory_new((size_t)count, sizeof *validates);
    for (int64_t i = 0; i < validation; i++) validates[drawn[i]] = true;
    free(drawn);
    dataset->sample[SPLIT_TRAIN] = memory_new((size_t)(count - validation), sizeof(int32_t));
    dataset->sample[SPLIT_VALIDATION] = memory_new((size_t)validation, sizeof(int32_t));
    for (int64_t i = 0; i < count; i++) {
        Split split = validates[i] ? SPLIT_VALIDATION : SPLIT_TRAIN;
        dataset->sample[split][dataset->count[split]++] = (int32_t)i;
    }
    free(validates);
}

void dataset_order(const Dataset *dataset, Split split, uint64_t seed, uint32_t epoch, int32_t *order) {
    require(epoch >= 1);
    int64_t count = dataset->count[split];
    memcpy(order, dataset->sample[split], (size_t)count * sizeof *order);
    shuffle(order, count, count,
            (DrawKey){.seed = seed, .purpose = DRAW_ORDER, .space = (uint32_t)split, .epoch = epoch});
}

/* --- hashes */

static size_t pixel_bytes(const Images *images) {
    return (size_t)images->count * (size_t)images->height * (size_t)images->width * (size_t)images->channels;
}

static void hash_images(const Images *images, char text[HASH_TEXT]) {
    const int64_t shape[] = {images->height, images->width, images->channels};
    char parts[3][HASH_TEXT];
    hash_memory(images->pixels, pixel_bytes(images), parts[0]);
    hash_memory(images->labels, (size_t)images->count, parts[1]);
    /* The same bytes are other pictures in rows of another length. Of MNIST's own shape the first checkpoints had no
     * more than these two. */
    hash_memory(shape, sizeof shape, parts[2]);
    const bool usual = images->height == 28 && images->width == 28 && images->channels == 1;
    hash_memory(parts, usual ? 2 * sizeof *parts : sizeof parts, text);
}

void dataset_hashes(const Dataset *dataset, char text[DATASET_HASHES]) {
    snprintf(text, DATASET_HASHES, "train=%s test=%s validation=%s", dataset->hash[SPLIT_TRAIN],
             dataset->hash[SPLIT_TEST], dataset->hash[SPLIT_VALIDATION]);
}

/* --- the data set */

static Status open_directory(Dataset *dataset, const DatasetOptions *options) {
    const char *directory = options->directory;
    if (directory[0] == '\0') directory = options->fallback ? options->fallback : "";
    if (directory[0] == '\0') directory = "data/mnist";
    if (snprintf(dataset->directory, sizeof dataset->directory, "%s", directory) >= (int)sizeof dataset->directory)
        return status_error(RAM_USAGE, "the data folder's path is too long: %.300s...", directory);
    IdxFolder folder = {.directory = dataset->directory, .prefix = options->prefix ? options->prefix : ""};
    char path[IDX_FILES][DATASET_PATH];
    TRY(read_set(&folder, IDX_TRAIN_IMAGES, IDX_TRAIN_LABELS, &dataset->train_file, path));
    TRY(read_set(&folder, IDX_TEST_IMAGES, IDX_TEST_LABELS, &dataset->test_file, path));
    idx_folder_warn(&folder);

    const Images *train = &dataset->train_file, *test = &dataset->test_file;
    if (train->height != test->height || train->width != test->width || train->channels != test->channels)
        return status_error(RAM_DATA, "%s holds images of %d x %d pixels in %d channel%s, but %s of %d x %d in %d: %s",
                            path[IDX_TEST_IMAGES], test->height, test->width, test->channels,
                            test->channels == 1 ? "" : "s", path[IDX_TRAIN_IMAGES], train->height, train->width,
                            train->channels, "put files of one data set into the folder");
    if (train->count < 2)
        return status_error(RAM_DATA, "%s holds 1 image, too few to train on and to validate with",
                            path[IDX_TRAIN_IMAGES]);
    return count_classes(dataset, options->classes, path[IDX_TRAIN_LABELS], path[IDX_TEST_LABELS]);
}

Status dataset_open(Dataset *dataset, const DatasetOptions *options) {
    require(options->classes >= 0 && options->classes <= CLASSES_MOST);
    *dataset = (Dataset){0};
    Status status = open_directory(dataset, options);
    if (status_failed(&status)) {
        dataset_close(dataset);
        return status;
    }
    split_train_file(dataset, options);
    dataset->count[SPLIT_TEST] = dataset->test_file.count;
    dataset->sample[SPLIT_TEST] = memory_new((size_t)dataset->test_file.count, sizeof(int32_t));
    for (int64_t i = 0; i < dataset->test_file.count; i++) dataset->sample[SPLIT_TEST][i] = (int32_t)i;

    hash_images(&dataset->train_file, dataset->hash[SPLIT_TRAIN]);
    hash_images(&dataset->test_file, dataset->hash[SPLIT_TEST]);
    hash_memory(dataset->sample[SPLIT_VALIDATION], (size_t)dataset->count[SPLIT_VALIDATION] * sizeof(int32_t),
                dataset->hash[SPLIT_VALIDATION]);
    return status;
}

void dataset_close(Dataset *dataset) {
    Images *files[] = {&dataset->train_file, &dataset->test_file};
    for (int i = 0; i < 2; i++) {
        free(files[i]->pixels);
        free(files[i]->labels);
    }
    for (int split = 0; split < SPLITS; split++) free(dataset->sample[split]);
    *dataset = (Dataset){0};
}

const Images *dataset_images(const Dataset *dataset, Split split) {
    return split == SPLIT_TEST ? &dataset->test_file : &dataset->train_file;
}

const char *split_name(Split split) {
    static const char *const names[SPLITS] = {"train", "validation", "test"};
    require(split >= 0 && split < SPLITS);
    return names[split];
}

bool split_find(const char *name, Split *split) {
    for (Split each = 0; each < SPLITS; each++)
        if (strcmp(name, split_name(each)) == 0) {
            *split = each;
            return true;
        }
    return false;
}

Status dataset_measure(const Dataset *dataset, double *mean, double *stddev) {
    const Images *images = &dataset->train_file;
    int channels = images->channels;
    size_t image_bytes = pixel_bytes(images) / (size_t)images->count;
    uint64_t sum[CHANNELS_MOST] = {0}, sum_of_squares[CHANNELS_MOST] = {0}; /* whole numbers: exact */
    for (int64_t i = 0; i < dataset->count[SPLIT_TRAIN]; i++) {
        const uint8_t *pixel = images->pixels + (size_t)dataset->sample[SPLIT_TRAIN][i] * image_bytes;
        for (int c = 0; c < channels; c++) {
            uint64_t image_sum = 0, image_squares = 0;
            for (size_t p = (size_t)c; p < image_bytes; p += (size_t)channels) {
                image_sum += pixel[p];
                image_squares += (uint32_t)pixel[p] * pixel[p];
            }
            sum[c] += image_sum;
            sum_of_squares[c] += image_squares;
        }
    }
    uint64_t n = (uint64_t)dataset->count[SPLIT_TRAIN] * (image_bytes / (size_t)channels);
    for (int c = 0; c < channels; c++) {
        /* n^2 times the variance, exact */
        unsigned __int128 spread = (unsigned __int128)n * sum_of_squares[c] - (unsigned __int128)sum[c] * sum[c];
        mean[c] = (double)sum[c] / (double)n / 255;
        stddev[c] = sqrt((double)spread) / (double)n / 255;
        if (spread == 0)
            return status_error(RAM_DATA,
                                "all training pixels of channel %d in %s are equal, so auto finds no standard "
                                "deviation: set data.mean and data.stddev",
                                c, dataset->directory);
    }
    return status_ok();
}
