/* Tasks: what is drawn on the canvas, where, and from which random numbers. */
#include "data/task.h"

#include "idx_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { HEIGHT = 9, WIDTH = 12, CHANNELS = 3, CANVAS = 14, IMAGES = 40, DRAWS = 4000 };

typedef struct {
    char folder[FIXTURE_PATH];
    Dataset dataset;
} Fixture;

static void open_set(Fixture *fixture, int train, int height, int width, int channels) {
    dataset_close(&fixture->dataset);
    remove_folder(fixture->folder);
    make_folder(fixture->folder);
    write_set(fixture->folder, train, train, height, width, channels, 1);
    Status status =
        dataset_open(&fixture->dataset, &(DatasetOptions){.directory = fixture->folder, .validation_fraction = 0.25});
    assert_string_equal(status.message, "");
}

static int set_up(void **state) {
    Fixture *fixture = calloc(1, sizeof *fixture);
    make_folder(fixture->folder);
    open_set(fixture, IMAGES, HEIGHT, WIDTH, CHANNELS);
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    Fixture *fixture = *state;
    dataset_close(&fixture->dataset);
    remove_folder(fixture->folder);
    free(fixture);
    return 0;
}

static Task open_task(const Fixture *fixture, TaskOptions options) {
    Task task;
    Status status = task_open(&task, &fixture->dataset, &options);
    assert_string_equal(status.message, "");
    return task;
}

/* The fixture's images never hold zeros, so that the digit's place can be read off the canvas. */
static void brighten(Fixture *fixture, uint8_t value) {
    memset(fixture->dataset.train_file.pixels, value, IMAGES * HEIGHT * WIDTH * CHANNELS);
    memset(fixture->dataset.test_file.pixels, value, IMAGES * HEIGHT * WIDTH * CHANNELS);
}

static void draw(const Task *task, Split split, uint32_t epoch, int32_t sample, uint8_t *picture) {
    void *scratch = malloc(task_scratch_bytes(task)); /* the sanitizers see whether that is enough */
    memset(picture, 0x5a, (size_t)task->height * (size_t)task->width * (size_t)task->channels);
    task_draw(task, split, epoch, sample, scratch, picture);
    free(scratch);
}

static void test_mnist_is_the_image(void **state) {
    Fixture *fixture = *state;
    Task task = open_task(fixture, (TaskOptions){.kind = TASK_MNIST, .canvas = 1});
    assert_true(task_is_identity(&task, SPLIT_TRAIN));
    assert_int_equal(task.height, HEIGHT);
    assert_int_equal(task.width, WIDTH);
    assert_int_equal(task.channels, CHANNELS);
    uint8_t picture[HEIGHT * WIDTH * CHANNELS];
    draw(&task, SPLIT_TEST, 0, IMAGES - 1, picture);
    assert_memory_equal(picture, fixture->dataset.test_file.pixels + (IMAGES - 1) * sizeof picture, sizeof picture);
}

static void test_refuses_a_small_canvas(void **state) {
    Fixture *fixture = *state;
    Task task;
    Status status = task_open(&task, &fixture->dataset, &(TaskOptions){.kind = TASK_TRANSLATED, .canvas = WIDTH - 1});
    assert_int_equal(status.code, RAM_USAGE);
    assert_non_null(strstr(status.message, "data.canvas is 11"));
    status = task_open(&task, &fixture->dataset, &(TaskOptions){.kind = TASK_CLUTTERED, .canvas = WIDTH});
    assert_int_equal(status.code, RAM_OK);
    open_set(fixture, 4, 7, 3, 1); /* higher than wide */
    status = task_open(&task, &fixture->dataset, &(TaskOptions){.kind = TASK_TRANSLATED, .canvas = 6});
    assert_int_equal(status.code, RAM_USAGE);
    status = task_open(&task, &fixture->dataset, &(TaskOptions){.kind = TASK_TRANSLATED, .canvas = 7});
    assert_int_equal(status.code, RAM_OK);
}

/* Where the image's first pixel lies, and that the picture is the image there and zero elsewhere. */
static void find_image(const Task *task, const uint8_t *image, const uint8_t *picture, int *top, int *left) {
    int first = 0;
    while (first < CANVAS * CANVAS && !picture[first * CHANNELS]) first++;
    assert_true(first < CANVAS * CANVAS);
    *top = first / CANVAS;
    *left = first % CANVAS;
    assert_true(*top + HEIGHT <= task->height && *left + WIDTH <= task->width);
    for (int y = 0; y < CANVAS; y++)
        for (int x = 0; x < CANVAS; x++)
            for (int c = 0; c < CHANNELS; c++) {
                bool inside = y >= *top && y < *top + HEIGHT && x >= *left && x < *left + WIDTH;
                int expected = inside ? image[((y - *top) * WIDTH + x - *left) * CHANNELS + c] : 0;
                assert_int_equal(picture[(y * CANVAS + x) * CHANNELS + c], expected);
            }
}

static void test_translated_reaches_every_place_equally(void **state) {
    Fixture *fixture = *state;
    enum { ROWS = CANVAS - HEIGHT + 1, COLUMNS = CANVAS - WIDTH + 1 };
    /* data.distractors has a default: it is nothing to a canvas without clutter */
    Task task =
        open_task(fixture, (TaskOptions){.kind = TASK_TRANSLATED, .canvas = CANVAS, .distractors = 4, .seed = 1});
    assert_false(task_is_identity(&task, SPLIT_TRAIN));
    assert_int_equal(task.height, CANVAS);
    assert_int_equal(task.width, CANVAS);
    brighten(fixture, 200);
    fixture->dataset.train_file.pixels[4] = 100; /* a mark, so that a mirrored or shifted copy is noticed */
    int32_t sample = 0;
    int times[ROWS][COLUMNS] = {{0}};
    uint8_t picture[CANVAS * CANVAS * CHANNELS];
    for (uint32_t epoch = 1; epoch <= DRAWS; epoch++) {
        int top, left;
        draw(&task, SPLIT_TRAIN, epoch, sample, picture);
        find_image(&task, fixture->dataset.train_file.pixels, picture, &top, &left);
        times[top][left]++;
    }
    for (int y = 0; y < ROWS; y++)
        for (int x = 0; x < COLUMNS; x++) /* 222 expected, standard deviation 14.5 */
            if (times[y][x] < 140 || times[y][x] > 310) fail_msg("place %d, %d: %d times", y, x, times[y][x]);
}

static void test_depends_on_what_it_should(void **state) {
    Fixture *fixture = *state;
    enum { BYTES = CANVAS * CANVAS * CHANNELS };
    TaskOptions options = {.kind = TASK_CLUTTERED, .canvas = CANVAS, .distractors = 4, .seed = 1, .data_seed = 2};
    Task task = open_task(fixture, options);
    options.seed = 10;
    Task other_seed = open_task(fixture, options);
    options.seed = 1;
    options.data_seed = 20;
    Task other_data_seed = open_task(fixture, options);
    for (int split = 0; split < SPLITS; split++) {
        bool trains = split == SPLIT_TRAIN;
        int32_t sample = fixture->dataset.sample[split][1];
        uint8_t a[BYTES], b[BYTES];
        draw(&task, (Split)split, 1, sample, a);
        draw(&task, (Split)split, 1, sample, b);
        assert_memory_equal(a, b, BYTES);
        draw(&task, (Split)split, 2, sample, b);
        assert_int_equal(memcmp(a, b, BYTES) != 0, trains);
        draw(&other_seed, (Split)split, 1, sample, b);
        assert_int_equal(memcmp(a, b, BYTES) != 0, trains);
        draw(&other_data_seed, (Split)split, 1, sample, b);
        assert_int_equal(memcmp(a, b, BYTES) != 0, !trains);
    }
}

static void test_cluttered_adds_pieces(void **state) {
    Fixture *fixture = *state;
    brighten(fixture, 50);
    const int digit = 50 * HEIGHT * WIDTH * CHANNELS, piece = 50 * TASK_PIECE * TASK_PIECE * CHANNELS;
    for (int distractors = 0; distractors <= 4; distractors++) { /* at most 5 x 50 at a pixel: nothing is clipped */
        Task task = open_task(
            fixture, (TaskOptions){.kind = TASK_CLUTTERED, .canvas = CANVAS, .distractors = distractors, .seed = 3});
        uint8_t picture[CANVAS * CANVAS * CHANNELS];
        draw(&task, SPLIT_TRAIN, 1, fixture->dataset.sample[SPLIT_TRAIN][0], picture);
        int sum = 0;
        for (size_t i = 0; i < sizeof picture; i++) sum += picture[i];
        assert_int_equal(sum, digit + distractors * piece);
    }
    brighten(fixture, 200);
    Task task =
        open_task(fixture, (TaskOptions){.kind = TASK_CLUTTERED, .canvas = CANVAS, .distractors = 30, .seed = 3});
    uint8_t picture[CANVAS * CANVAS * CHANNELS];
    draw(&task, SPLIT_TRAIN, 1, fixture->dataset.sample[SPLIT_TRAIN][0], picture);
    int clipped = 0;
    for (size_t i = 0; i < sizeof picture; i++) {
        assert_true(picture[i] == 0 || picture[i] == 200 || picture[i] == 255);
        clipped += picture[i] == 255;
    }
    assert_true(clipped > 0);
}

/* Only what a training sees is augmented: not the other splits, and nothing that is measured in epoch 0. */
static void test_augments_training_alone(void **state) {
    Fixture *fixture = *state;
    for (int kind = TASK_MNIST; kind <= TASK_CLUTTERED; kind++) {
        TaskOptions options = {.kind = (TaskKind)kind, .canvas = CANVAS, .seed = 1};
        const Task plain = open_task(fixture, options);
        options.augmentation.rotation = 90;
        const Task task = open_task(fixture, options);
        assert_int_equal(task_is_identity(&task, SPLIT_TEST), kind == TASK_MNIST);
        assert_false(task_is_identity(&task, SPLIT_TRAIN));
        const size_t bytes = (size_t)task.height * (size_t)task.width * CHANNELS;
        for (int split = 0; split < SPLITS; split++)
            for (uint32_t epoch = 0; epoch < 2; epoch++) {
                uint8_t a[CANVAS * CANVAS * CHANNELS], b[CANVAS * CANVAS * CHANNELS];
                draw(&plain, (Split)split, epoch, fixture->dataset.sample[split][0], a);
                draw(&task, (Split)split, epoch, fixture->dataset.sample[split][0], b);
                assert_int_equal(memcmp(a, b, bytes) != 0, split == SPLIT_TRAIN && epoch > 0);
            }
    }
}

/* By numbers of its own, of the training's seed, the epoch and the image: none that places the canvas, too. */
static void test_augments_by_numbers_of_its_own(void **state) {
    Fixture *fixture = *state;
    enum { BYTES = HEIGHT * WIDTH * CHANNELS };
    const Augmentation bent = {.shift = 2, .rotation = 20, .scale = 0.1, .elastic = 1};
    const Task task = open_task(fixture, (TaskOptions){.augmentation = bent, .seed = 5, .data_seed = 6});
    float *scratch = malloc(augment_scratch(HEIGHT, WIDTH, CHANNELS) * sizeof *scratch);
    for (uint32_t epoch = 1; epoch <= 3; epoch++)
        for (int i = 0; i < 3; i++) {
            const int32_t sample = fixture->dataset.sample[SPLIT_TRAIN][i];
            const DrawKey key = {.seed = 5, .purpose = DRAW_AUGMENT, .epoch = epoch, .sample = (uint32_t)sample};
            uint8_t expected[BYTES], got[BYTES];
            augment_image(&bent, key, HEIGHT, WIDTH, CHANNELS,
                          fixture->dataset.train_file.pixels + (size_t)sample * BYTES, scratch, expected);
            draw(&task, SPLIT_TRAIN, epoch, sample, got);
            assert_memory_equal(got, expected, BYTES);
        }
    free(scratch);
}

/* Distractors come from other images, and only from the same split. */
static void test_distractors_stay_in_their_split(void **state) {
    Fixture *fixture = *state;
    const size_t image_bytes = HEIGHT * WIDTH * CHANNELS;
    Task task =
        open_task(fixture, (TaskOptions){.kind = TASK_CLUTTERED, .canvas = CANVAS, .distractors = 20, .seed = 4});
    uint8_t picture[CANVAS * CANVAS * CHANNELS];
    for (int split = SPLIT_TRAIN; split <= SPLIT_VALIDATION; split++) {
        int32_t own = fixture->dataset.sample[split][2];
        for (int which = 0; which < 2; which++) {
            brighten(fixture, 0);
            int other = SPLIT_VALIDATION - split; /* bright: the other split's images, or the drawn image itself */
            for (int64_t i = 0; which == 0 && i < fixture->dataset.count[other]; i++)
                memset(fixture->dataset.train_file.pixels + (size_t)fixture->dataset.sample[other][i] * image_bytes, 9,
                       image_bytes);
            if (which == 1) memset(fixture->dataset.train_file.pixels + (size_t)own * image_bytes, 9, image_bytes);
            for (uint32_t epoch = 1; epoch <= 20; epoch++) {
                size_t bright = 0;
                draw(&task, (Split)split, epoch, own, picture);
                for (size_t i = 0; i < sizeof picture; i++) bright += picture[i] == 9 ? 1 : picture[i];
                assert_int_equal(bright, which == 0 ? 0 : image_bytes);
            }
        }
    }
}

/* Where there is one other image in the split, every distractor is of that one. */
static void test_the_other_of_two(void **state) {
    Fixture *fixture = *state;
    open_set(fixture, 4, 2, 2, 1);
    fixture->dataset.count[SPLIT_TRAIN] = 2;
    Task task = open_task(fixture, (TaskOptions){.kind = TASK_CLUTTERED, .canvas = 6, .distractors = 8});
    memset(fixture->dataset.train_file.pixels, 0, 4 * 4);
    const int32_t *sample = fixture->dataset.sample[SPLIT_TRAIN];
    memset(fixture->dataset.train_file.pixels + sample[1] * 4, 1, 4);
    uint8_t picture[36];
    for (uint32_t epoch = 1; epoch <= 20; epoch++) {
        int sum = 0;
        draw(&task, SPLIT_TRAIN, epoch, sample[0], picture);
        for (size_t i = 0; i < sizeof picture; i++) sum += picture[i];
        assert_int_equal(sum, 8 * 4);
    }
}

/* A side shorter than a piece is taken whole, whichever of the two it is. */
static void test_pieces_of_narrow_images(void **state) {
    Fixture *fixture = *state;
    const struct { int height, width; } size[] = {{12, 3}, {3, 12}};
    for (int i = 0; i < 2; i++) {
        open_set(fixture, 8, size[i].height, size[i].width, 1);
        memset(fixture->dataset.train_file.pixels, 1, 8 * 12 * 3);
        Task task = open_task(fixture, (TaskOptions){.kind = TASK_CLUTTERED, .canvas = 12, .distractors = 5});
        uint8_t picture[12 * 12];
        int sum = 0;
        draw(&task, SPLIT_TRAIN, 1, fixture->dataset.sample[SPLIT_TRAIN][0], picture);
        for (size_t p = 0; p < sizeof picture; p++) sum += picture[p];
        assert_int_equal(sum, 12 * 3 + 5 * TASK_PIECE * 3);
    }
}

static void test_tiny_images_and_splits(void **state) {
    Fixture *fixture = *state;
    open_set(fixture, 2, 1, 5, 1); /* one image in each split: no other one to draw from; pieces are 1 x 5 */
    Task task = open_task(fixture, (TaskOptions){.kind = TASK_CLUTTERED, .canvas = 5, .distractors = 4});
    uint8_t picture[25];
    for (int split = SPLIT_TRAIN; split <= SPLIT_VALIDATION; split++)
        for (uint32_t epoch = 1; epoch < 100; epoch++)
            draw(&task, (Split)split, epoch, fixture->dataset.sample[split][0], picture);
}

/* Pinned: other canvases would make every recorded error incomparable. */
static void test_places_are_pinned(void **state) {
    Fixture *fixture = *state;
    brighten(fixture, 1);
    Task task = open_task(fixture, (TaskOptions){.kind = TASK_TRANSLATED, .canvas = CANVAS, .seed = 1});
    const int expected[][2] = {{0, 1}, {0, 2}, {4, 0}, {5, 2}, {0, 2}, {5, 0}};
    uint8_t picture[CANVAS * CANVAS * CHANNELS];
    for (int32_t sample = 0; sample < 6; sample++) {
        int top, left;
        draw(&task, SPLIT_TEST, 0, sample, picture);
        find_image(&task, fixture->dataset.test_file.pixels, picture, &top, &left);
        if (top != expected[sample][0] || left != expected[sample][1])
            fail_msg("sample %d is at {%d, %d}", (int)sample, top, left);
    }
}

/* Pinned as well: all bytes, with pieces that overlap and are clipped, and rows that are no whole vectors. */
static void test_pictures_are_pinned(void **state) {
    Fixture *fixture = *state;
    const struct {
        int height, width, channels;
        const char *hash;
    } expected[] = {{9, 12, 3, "c03ecceae0ac5b2a8efaafcc8f5469b9"},
                    {28, 28, 1, "be99b289a47aadf940d3a8c7ca042d42"},
                    {5, 3, 1, "57ed045f72b6826a298025f9f2bc35ef"}};
    for (int i = 0; i < 3; i++) {
        open_set(fixture, IMAGES, expected[i].height, expected[i].width, expected[i].channels);
        Task task =
            open_task(fixture, (TaskOptions){.kind = TASK_CLUTTERED, .canvas = 30, .distractors = 40, .seed = 1});
        uint8_t pictures[10][30 * 30 * CHANNELS] = {{0}};
        for (int32_t sample = 0; sample < 10; sample++) draw(&task, SPLIT_TEST, 0, sample, pictures[sample]);
        char hash[HASH_TEXT];
        hash_memory(pictures, sizeof pictures, hash);
        assert_string_equal(hash, expected[i].hash);
    }
}

int main(void) {
#define TASK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TASK_TEST(test_augments_training_alone),
        TASK_TEST(test_augments_by_numbers_of_its_own),
        TASK_TEST(test_mnist_is_the_image),
        TASK_TEST(test_refuses_a_small_canvas),
        TASK_TEST(test_translated_reaches_every_place_equally),
        TASK_TEST(test_depends_on_what_it_should),
        TASK_TEST(test_cluttered_adds_pieces),
        TASK_TEST(test_distractors_stay_in_their_split),
        TASK_TEST(test_the_other_of_two),
        TASK_TEST(test_pieces_of_narrow_images),
        TASK_TEST(test_tiny_images_and_splits),
        TASK_TEST(test_places_are_pinned),
        TASK_TEST(test_pictures_are_pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
