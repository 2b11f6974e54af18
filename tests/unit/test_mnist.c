/* Real MNIST, found in $RAM_DATA or data/mnist of the source folder; exit status 77 (skipped) where it is absent. */
#include "data/dataset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int open_mnist(void **state) {
    Dataset *dataset = calloc(1, sizeof *dataset);
    Status status = dataset_open(
        dataset, &(DatasetOptions){.directory = "",
                                   .fallback = getenv("RAM_DATA") ? getenv("RAM_DATA") : SOURCE_DIR "/data/mnist",
                                   .validation_fraction = 0.1});
    *state = dataset;
    if (status.code == RAM_OK) return 0;
    fprintf(stderr, "%s\n", status.message);
    free(dataset);
    if (status.code != RAM_USAGE) return 1;
    fprintf(stderr, "SKIPPED: no MNIST (run data/fetch_mnist.sh)\n");
    exit(77);
}

static int close_mnist(void **state) {
    dataset_close(*state);
    free(*state);
    return 0;
}

static void test_is_mnist(void **state) {
    const Dataset *dataset = *state;
    assert_int_equal(dataset->count[SPLIT_TRAIN], 54000);
    assert_int_equal(dataset->count[SPLIT_VALIDATION], 6000);
    assert_int_equal(dataset->count[SPLIT_TEST], 10000);
    assert_int_equal(dataset->train_file.height, 28);
    assert_int_equal(dataset->train_file.width, 28);
    assert_int_equal(dataset->classes, 10);
    const uint8_t first_labels[] = {5, 0, 4, 1, 9, 2, 1, 3, 1, 4};
    assert_memory_equal(dataset->train_file.labels, first_labels, sizeof first_labels);
    assert_string_equal(dataset->hash[SPLIT_TRAIN], "20a781ce51e8bc6a8d8cfd9ffdb9abda");
    assert_string_equal(dataset->hash[SPLIT_TEST], "3c4fc92f12546860589a156d29776fed");
    assert_string_equal(dataset->hash[SPLIT_VALIDATION], "799cc635e4e835c464604bbad4debbca");
}

static void test_measures_the_usual_values(void **state) {
    const Dataset *dataset = *state;
    double mean, stddev;
    assert_int_equal(dataset_measure(dataset, &mean, &stddev).code, RAM_OK);
    if (fabs(mean - 0.1307) > 2e-4 || fabs(stddev - 0.3081) > 2e-4) fail_msg("mean %.6f, stddev %.6f", mean, stddev);
}

static void test_order_of_the_first_epoch(void **state) {
    const Dataset *dataset = *state;
    int32_t *order = malloc(54000 * sizeof *order);
    const int32_t expected[] = {21163, 40201, 21585, 12690, 34433, 52208, 8280, 29604};
    dataset_order(dataset, SPLIT_TRAIN, 1, 1, order);
    assert_memory_equal(order, expected, sizeof expected);
    free(order);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_is_mnist),
        cmocka_unit_test(test_measures_the_usual_values),
        cmocka_unit_test(test_order_of_the_first_epoch),
    };
    return cmocka_run_group_tests(tests, open_mnist, close_mnist);
}
