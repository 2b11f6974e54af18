/* The data set: its files and labels, the split, the order of an epoch. */
#include "data/dataset.h"
#include "data/draws.h"

#include "idx_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { TRAIN = 1000, TEST = 100, SIDE = 4, CLASSES = 10 };

typedef struct {
    char folder[FIXTURE_PATH];
} Fixture;

static int set_up(void **state) {
    Fixture *fixture = calloc(1, sizeof *fixture);
    make_folder(fixture->folder);
    write_set(fixture->folder, TRAIN, TEST, SIDE, SIDE, 1, CLASSES);
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    Fixture *fixture = *state;
    remove_folder(fixture->folder);
    free(fixture);
    return 0;
}

static Dataset open_seeded(const char *folder, uint64_t seed, double fraction) {
    Dataset dataset;
    Status status =
        dataset_open(&dataset, &(DatasetOptions){.directory = folder, .seed = seed, .validation_fraction = fraction});
    assert_string_equal(status.message, "");
    assert_int_equal(status.code, RAM_OK);
    return dataset;
}

static void refused(const DatasetOptions *options, ExitCode code, const char *words, const char *more_words) {
    Dataset dataset, zero;
    memset(&zero, 0, sizeof zero);
    Status status = dataset_open(&dataset, options);
    if (status.code != code || !strstr(status.message, words) || !strstr(status.message, more_words))
        fail_msg("expected %d with \"%s\", \"%s\", got %d: %s", code, words, more_words, status.code, status.message);
    assert_memory_equal(&dataset, &zero, sizeof zero);
    dataset_close(&dataset);
}

static void set_byte(const char *folder, const char *name, long offset, int value) {
    char path[2 * FIXTURE_PATH];
    FILE *file = fopen(path_in(folder, name, path), "r+b");
    assert_non_null(file);
    fseek(file, offset, SEEK_SET);
    fputc(value, file);
    fclose(file);
}

/* --- files */

static void test_reads_a_set(void **state) {
    Fixture *fixture = *state;
    Dataset dataset = open_seeded(fixture->folder, 0, 0.1);
    assert_int_equal(dataset.train_file.count, TRAIN);
    assert_int_equal(dataset.test_file.count, TEST);
    assert_int_equal(dataset.classes, CLASSES);
    assert_int_equal(dataset.count[SPLIT_TEST], TEST);
    assert_int_equal(dataset.train_file.pixels[5 * SIDE * SIDE + 3], set_pixel(5, 3));
    assert_int_equal(dataset.test_file.labels[47], 7);
    assert_ptr_equal(dataset_images(&dataset, SPLIT_VALIDATION), &dataset.train_file);
    assert_ptr_equal(dataset_images(&dataset, SPLIT_TEST), &dataset.test_file);
    assert_string_equal(dataset.directory, fixture->folder);
    for (int split = 0; split < SPLITS; split++) assert_int_equal(strlen(dataset.hash[split]), 32);
    dataset_close(&dataset);
    dataset_close(&dataset);
}

static void test_looks_where_it_is_told(void **state) {
    Fixture *fixture = *state;
    DatasetOptions options = {.directory = "", .fallback = fixture->folder, .validation_fraction = 0.1};
    Dataset dataset;
    assert_int_equal(dataset_open(&dataset, &options).code, RAM_OK);
    dataset_close(&dataset);
    options.directory = "/nowhere/at all";
    refused(&options, RAM_USAGE, "/nowhere/at all", "data/fetch_mnist.sh");
    char before[4096];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(fixture->folder), 0);
    refused(&(DatasetOptions){.directory = "", .fallback = ""}, RAM_USAGE, "data folder data/mnist", "$RAM_DATA");
    refused(&(DatasetOptions){.directory = ""}, RAM_USAGE, "data folder data/mnist", "data.dir");
    assert_int_equal(chdir(before), 0);
    char long_path[2000];
    memset(long_path, 'x', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    refused(&(DatasetOptions){.directory = long_path}, RAM_USAGE, "too long", "xxx");
    long_path[500] = '\0';
    refused(&(DatasetOptions){.directory = long_path}, RAM_USAGE, "too long", "xxx");
}

static void test_names_each_missing_file(void **state) {
    Fixture *fixture = *state;
    const char *const names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                                 "t10k-labels-idx1-ubyte"};
    for (int i = 0; i < 4; i++) {
        char path[2 * FIXTURE_PATH], aside[2 * FIXTURE_PATH];
        assert_int_equal(rename(path_in(fixture->folder, names[i], path), path_in(fixture->folder, "aside", aside)), 0);
        refused(&(DatasetOptions){.directory = fixture->folder}, RAM_USAGE, names[i], fixture->folder);
        if (i % 2 == 1)
            refused(&(DatasetOptions){.directory = fixture->folder}, RAM_USAGE, names[i], "ubyte, plain or");
        assert_int_equal(rename(aside, path), 0);
    }
}

static void give_name(const char *folder, const char *from, const char *to) {
    char path[2 * FIXTURE_PATH], new_path[2 * FIXTURE_PATH];
    assert_int_equal(rename(path_in(folder, from, path), path_in(folder, to, new_path)), 0);
}

/* Prefixes, `test` for `t10k`, and a point before idx, in any mixture. */
static void test_reads_other_names(void **state) {
    Fixture *fixture = *state;
    const char *folder = fixture->folder;
    DatasetOptions options = {.directory = folder, .validation_fraction = 0.1};
    give_name(folder, "train-images-idx3-ubyte", "letters-train-images-idx3-ubyte");
    refused(&options, RAM_USAGE, "but letters-train-images-idx3-ubyte is", "set data.prefix=letters-");
    options.prefix = "letter-";
    refused(&options, RAM_USAGE, "no file letter-train-images-idx3-ubyte", "set data.prefix=letters-");
    options.prefix = "letters-";
    refused(&options, RAM_USAGE, "no file letters-train-labels-idx1-ubyte", "but train-labels-idx1-ubyte is");
    give_name(folder, "train-labels-idx1-ubyte", "letters-train-labels.idx1-ubyte");
    give_name(folder, "t10k-images-idx3-ubyte", "letters-test-images.idx3-ubyte");
    give_name(folder, "t10k-labels-idx1-ubyte", "letters-t10k-labels-idx1-ubyte");
    write_set(folder, 20, 10, SIDE, SIDE, 1, 2); /* another set in the same folder */
    Dataset dataset;
    assert_int_equal(dataset_open(&dataset, &options).code, RAM_OK);
    assert_int_equal(dataset.train_file.count, TRAIN);
    assert_int_equal(dataset.test_file.count, TEST);
    dataset_close(&dataset);
    char long_prefix[DATASET_PATH];
    memset(long_prefix, 'x', sizeof long_prefix - 1);
    long_prefix[sizeof long_prefix - 1] = '\0';
    options.prefix = long_prefix;
    refused(&options, RAM_USAGE, "with data.prefix, is too long", folder);
}

/* Of two files for one purpose the plain one is read; data.sh sees the warning. */
static void test_reads_one_of_two(void **state) {
    Fixture *fixture = *state;
    char path[2 * FIXTURE_PATH];
    Dataset dataset = open_seeded(fixture->folder, 0, 0.1);
    dataset_close(&dataset);
    write_file(path_in(fixture->folder, "train-images-idx3-ubyte.gz", path), (const uint8_t *)"bad", 3);
    dataset = open_seeded(fixture->folder, 0, 0.1);
    assert_int_equal(dataset.train_file.count, TRAIN);
    dataset_close(&dataset);
}

static void test_packed_and_plain_are_equal(void **state) {
    Fixture *fixture = *state;
    Dataset plain = open_seeded(fixture->folder, 0, 0.1);
    char command[2 * FIXTURE_PATH];
    snprintf(command, sizeof command, "gzip '%s'/*-ubyte", fixture->folder);
    assert_int_equal(system(command), 0);
    Dataset packed = open_seeded(fixture->folder, 0, 0.1);
    assert_memory_equal(plain.hash, packed.hash, sizeof plain.hash);
    assert_memory_equal(plain.train_file.pixels, packed.train_file.pixels, TRAIN * SIDE * SIDE);
    dataset_close(&plain);
    dataset_close(&packed);
}

static void test_reads_colour(void **state) {
    Fixture *fixture = *state;
    char folder[FIXTURE_PATH];
    make_folder(folder);
    write_set(folder, 20, 10, 5, 3, 3, 4);
    Dataset dataset = open_seeded(folder, 0, 0.25);
    assert_int_equal(dataset.train_file.channels, 3);
    assert_int_equal(dataset.train_file.height, 5);
    assert_int_equal(dataset.train_file.width, 3);
    assert_int_equal(dataset.classes, 4);
    assert_int_equal(dataset.count[SPLIT_VALIDATION], 5);
    dataset_close(&dataset);
    remove_folder(folder);
    (void)fixture;
}

static void test_refuses_halves_of_different_sets(void **state) {
    Fixture *fixture = *state;
    char folder[FIXTURE_PATH], command[8 * FIXTURE_PATH];
    make_folder(folder);
    write_set(folder, TRAIN, TEST, SIDE, SIDE + 1, 1, CLASSES);
    snprintf(command, sizeof command, "cp '%s'/t10k-* '%s'", folder, fixture->folder);
    assert_int_equal(system(command), 0);
    refused(&(DatasetOptions){.directory = fixture->folder}, RAM_DATA, "t10k-images-idx3-ubyte",
            "4 x 5 pixels in 1 channel, but");
    write_set(fixture->folder, TRAIN, TEST, SIDE, SIDE, 1, CLASSES);
    write_set(folder, TRAIN - 1, TEST, SIDE, SIDE, 1, CLASSES);
    snprintf(command, sizeof command, "cp '%s'/train-labels* '%s'", folder, fixture->folder);
    assert_int_equal(system(command), 0);
    refused(&(DatasetOptions){.directory = fixture->folder}, RAM_DATA, "train-labels-idx1-ubyte", "999 labels");
    remove_folder(folder);
}

/* --- labels */

static void test_refuses_label_10(void **state) {
    Fixture *fixture = *state;
    DatasetOptions options = {.directory = fixture->folder, .validation_fraction = 0.1};
    set_byte(fixture->folder, "train-labels-idx1-ubyte", 8 + 123, 10);
    refused(&options, RAM_DATA, "train-labels-idx1-ubyte: label 10 of image 123", "end at 9");
    options.classes = 10;
    refused(&options, RAM_DATA, "train-labels-idx1-ubyte: label 10 of image 123", "data.classes says 10");
    options.classes = 11;
    Dataset dataset;
    assert_int_equal(dataset_open(&dataset, &options).code, RAM_OK);
    assert_int_equal(dataset.classes, 11);
    dataset_close(&dataset);
    options.classes = 0;
    set_byte(fixture->folder, "train-labels-idx1-ubyte", 8 + 123, 3);
    set_byte(fixture->folder, "t10k-labels-idx1-ubyte", 8 + 45, 10);
    refused(&options, RAM_DATA, "t10k-labels-idx1-ubyte: label 10 of image 45", "end at 9");
    options.classes = 10;
    refused(&options, RAM_DATA, "t10k-labels-idx1-ubyte: label 10 of image 45", "labels are 0..9");
    options.classes = 0;
    set_byte(fixture->folder, "t10k-labels-idx1-ubyte", 8 + 45, 255);
    set_byte(fixture->folder, "train-labels-idx1-ubyte", 8 + 5, 255);
    refused(&options, RAM_DATA, "train-labels-idx1-ubyte has labels up to 255 (image 5",
            "none is 10: fetch it again, or set data.classes=256");
}

/* Every class of a set, the first one too, has its images. */
static void test_refuses_a_class_without_images(void **state) {
    Fixture *fixture = *state;
    write_set(fixture->folder, TRAIN, TEST, SIDE, SIDE, 1, 2);
    for (int i = 0; i < TRAIN; i++) set_byte(fixture->folder, "train-labels-idx1-ubyte", 8 + i, 1);
    refused(&(DatasetOptions){.directory = fixture->folder}, RAM_DATA, "train-labels-idx1-ubyte has labels up to 1",
            "but none is 0");
}

/* The hash is of all bytes: one other label or pixel, be it the last, makes it another set. */
static void test_hashes_all_bytes(void **state) {
    Fixture *fixture = *state;
    Dataset before = open_seeded(fixture->folder, 0, 0.1);
    set_byte(fixture->folder, "train-labels-idx1-ubyte", 8 + TRAIN - 1,
             (before.train_file.labels[TRAIN - 1] + 1) % CLASSES);
    set_byte(fixture->folder, "t10k-images-idx3-ubyte", 16 + TEST * SIDE * SIDE - 1,
             255 - before.test_file.pixels[TEST * SIDE * SIDE - 1]);
    Dataset after = open_seeded(fixture->folder, 0, 0.1);
    assert_string_not_equal(before.hash[SPLIT_TRAIN], after.hash[SPLIT_TRAIN]);
    assert_string_not_equal(before.hash[SPLIT_TEST], after.hash[SPLIT_TEST]);
    dataset_close(&before);
    dataset_close(&after);
}

static void test_counts_other_classes(void **state) {
    Fixture *fixture = *state;
    const int classes[] = {1, 2, 47, 62, 100};
    for (int i = 0; i < 5; i++) {
        write_set(fixture->folder, TRAIN, TEST, SIDE, SIDE, 1, classes[i]);
        Dataset dataset = open_seeded(fixture->folder, 0, 0.1);
        assert_int_equal(dataset.classes, classes[i]);
        dataset_close(&dataset);
    }
}

/* --- split and order */

static void test_split_is_a_partition(void **state) {
    Fixture *fixture = *state;
    const double fractions[] = {0.1, 0.0001, 0.9, 0.29, 0.99999};
    const int expected[] = {100, 1, 900, 290, 999};
    for (int f = 0; f < 5; f++) {
        Dataset dataset = open_seeded(fixture->folder, 3, fractions[f]);
        assert_int_equal(dataset.count[SPLIT_VALIDATION], expected[f]);
        assert_int_equal(dataset.count[SPLIT_TRAIN], TRAIN - expected[f]);
        int seen[TRAIN] = {0};
        for (int split = SPLIT_TRAIN; split <= SPLIT_VALIDATION; split++)
            for (int64_t i = 0; i < dataset.count[split]; i++) {
                seen[dataset.sample[split][i]]++;
                assert_true(i == 0 || dataset.sample[split][i - 1] < dataset.sample[split][i]);
            }
        for (int i = 0; i < TRAIN; i++) assert_int_equal(seen[i], 1);
        dataset_close(&dataset);
    }
}

static void test_split_needs_two_images(void **state) {
    Fixture *fixture = *state;
    write_set(fixture->folder, 2, 1, SIDE, SIDE, 1, 1);
    Dataset dataset = open_seeded(fixture->folder, 0, 0.9);
    assert_int_equal(dataset.count[SPLIT_TRAIN], 1);
    assert_int_equal(dataset.count[SPLIT_VALIDATION], 1);
    dataset_close(&dataset);
    write_set(fixture->folder, 1, 1, SIDE, SIDE, 1, 1);
    refused(&(DatasetOptions){.directory = fixture->folder}, RAM_DATA, "train-images-idx3-ubyte", "too few");
}

static void test_split_depends_on_its_seed_alone(void **state) {
    Fixture *fixture = *state;
    Dataset first = open_seeded(fixture->folder, 0, 0.1), again = open_seeded(fixture->folder, 0, 0.1);
    Dataset other = open_seeded(fixture->folder, 1, 0.1);
    assert_string_equal(first.hash[SPLIT_VALIDATION], again.hash[SPLIT_VALIDATION]);
    assert_string_not_equal(first.hash[SPLIT_VALIDATION], other.hash[SPLIT_VALIDATION]);
    assert_string_equal(first.hash[SPLIT_TRAIN], other.hash[SPLIT_TRAIN]);
    /* Pinned: another split would make every recorded validation error incomparable. */
    const int32_t expected[] = {4, 6, 9, 25, 29, 38, 50, 51};
    assert_memory_equal(first.sample[SPLIT_VALIDATION], expected, sizeof expected);
    dataset_close(&first);
    dataset_close(&again);
    dataset_close(&other);
}

static void test_order_is_a_permutation(void **state) {
    Fixture *fixture = *state;
    Dataset dataset = open_seeded(fixture->folder, 0, 0.1);
    for (int split = 0; split < SPLITS; split++) {
        int64_t count = dataset.count[split];
        int32_t order[TRAIN], again[TRAIN], next[TRAIN], other[TRAIN];
        dataset_order(&dataset, (Split)split, 1, 1, order);
        dataset_order(&dataset, (Split)split, 1, 1, again);
        dataset_order(&dataset, (Split)split, 1, 2, next);
        dataset_order(&dataset, (Split)split, 2, 1, other);
        size_t bytes = (size_t)count * sizeof(int32_t);
        assert_memory_equal(order, again, bytes);
        assert_memory_not_equal(order, next, bytes);
        assert_memory_not_equal(order, other, bytes);
        int seen[TRAIN] = {0};
        for (int64_t i = 0; i < count; i++) seen[order[i]]++;
        for (int64_t i = 0; i < count; i++) assert_int_equal(seen[dataset.sample[split][i]], 1);
    }
    int32_t order[TRAIN];
    const int32_t expected[] = {347, 669, 357, 216, 581, 865, 149, 498};
    dataset_order(&dataset, SPLIT_TRAIN, 1, 1, order);
    assert_memory_equal(order, expected, sizeof expected);
    dataset_close(&dataset);
}

/* Of three quarters of 2^32 numbers each third one would come twice as often, were none refused. */
static void test_draws_are_uniform(void **state) {
    (void)state;
    enum { DRAWN = 3000 };
    Draws draws = {.key = {.seed = 1, .purpose = DRAW_ORDER}};
    int times[3] = {0};
    for (int i = 0; i < DRAWN; i++) times[draws_below(&draws, UINT32_C(3) << 30) % 3]++;
    for (int i = 0; i < 3; i++) /* 1000 expected, standard deviation 26 */
        if (abs(times[i] - DRAWN / 3) > 130) fail_msg("residue %d: %d times", i, times[i]);
    for (int i = 0; i < 100; i++) assert_int_equal(draws_below(&draws, 1), 0);
}

/* Every sample is equally likely at the first and at the last place: chi-squared with 99 degrees of freedom, whose 1e-6
 * bounds are 46 and 182. */
static void test_order_is_uniform(void **state) {
    Fixture *fixture = *state;
    enum { EPOCHS = 20000 };
    Dataset dataset = open_seeded(fixture->folder, 0, 0.1);
    int first[TEST] = {0}, last[TEST] = {0};
    int32_t order[TEST];
    for (uint32_t epoch = 1; epoch <= EPOCHS; epoch++) {
        dataset_order(&dataset, SPLIT_TEST, 5, epoch, order);
        first[order[0]]++;
        last[order[TEST - 1]]++;
    }
    double expected = (double)EPOCHS / TEST, chi_first = 0, chi_last = 0;
    for (int i = 0; i < TEST; i++) {
        chi_first += (first[i] - expected) * (first[i] - expected) / expected;
        chi_last += (last[i] - expected) * (last[i] - expected) / expected;
    }
    if (chi_first < 46 || chi_first > 182 || chi_last < 46 || chi_last > 182)
        fail_msg("chi-squared %g and %g", chi_first, chi_last);
    dataset_close(&dataset);
}

/* --- measure */

static void test_measures_each_channel(void **state) {
    Fixture *fixture = *state;
    char folder[FIXTURE_PATH];
    make_folder(folder);
    write_set(folder, 20, 10, 5, 3, 3, 4);
    Dataset dataset = open_seeded(folder, 0, 0.25);
    double mean[3], stddev[3];
    assert_int_equal(dataset_measure(&dataset, mean, stddev).code, RAM_OK);
    for (int c = 0; c < 3; c++) {
        double sum = 0, spread = 0, n = 15.0 * 5 * 3;
        for (int pass = 0; pass < 2; pass++)
            for (int i = 0; i < 15; i++)
                for (int p = c; p < 5 * 3 * 3; p += 3) {
                    double x = set_pixel(dataset.sample[SPLIT_TRAIN][i], p) / 255.0;
                    if (pass == 0) sum += x;
                    if (pass == 1) spread += (x - sum / n) * (x - sum / n);
                }
        assert_true(fabs(mean[c] - sum / n) < 1e-12);
        assert_true(fabs(stddev[c] - sqrt(spread / n)) < 1e-12);
    }
    dataset_close(&dataset);
    remove_folder(folder);
    (void)fixture;
}

static void test_cannot_measure_a_constant(void **state) {
    Fixture *fixture = *state;
    Dataset dataset = open_seeded(fixture->folder, 0, 0.1);
    memset(dataset.train_file.pixels, 77, TRAIN * SIDE * SIDE);
    double mean, stddev;
    Status status = dataset_measure(&dataset, &mean, &stddev);
    assert_int_equal(status.code, RAM_DATA);
    assert_non_null(strstr(status.message, "data.stddev"));
    dataset_close(&dataset);
}

int main(void) {
#define DATASET_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        DATASET_TEST(test_reads_a_set),
        DATASET_TEST(test_looks_where_it_is_told),
        DATASET_TEST(test_names_each_missing_file),
        DATASET_TEST(test_reads_other_names),
        DATASET_TEST(test_reads_one_of_two),
        DATASET_TEST(test_packed_and_plain_are_equal),
        DATASET_TEST(test_reads_colour),
        DATASET_TEST(test_refuses_halves_of_different_sets),
        DATASET_TEST(test_refuses_label_10),
        DATASET_TEST(test_refuses_a_class_without_images),
        DATASET_TEST(test_hashes_all_bytes),
        DATASET_TEST(test_counts_other_classes),
        DATASET_TEST(test_split_is_a_partition),
        DATASET_TEST(test_split_needs_two_images),
        DATASET_TEST(test_split_depends_on_its_seed_alone),
        DATASET_TEST(test_order_is_a_permutation),
        cmocka_unit_test(test_draws_are_uniform),
        DATASET_TEST(test_order_is_uniform),
        DATASET_TEST(test_measures_each_channel),
        DATASET_TEST(test_cannot_measure_a_constant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
