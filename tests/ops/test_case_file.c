/* The reader of reference cases: any part of a case that is missing or misshapen is refused by name, so that a case
 * cannot pass for want of something to compare. */
#include "case_file.h"

#include <hdf5.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { NAMES = 128, NAME = 80 };
static const char SOURCE[] = SOURCE_DIR "/tests/reference/small_lstm.h5";

typedef struct {
    int count;
    char name[NAMES][NAME];
} Names;

typedef struct {
    char path[32];
    char *bytes; /* of the good file */
    size_t size;
} Fixture;

static int set_up(void **state) {
    Fixture *fixture = calloc(1, sizeof *fixture);
    strcpy(fixture->path, "/tmp/ram_case_XXXXXX");
    close(mkstemp(fixture->path));
    FILE *file = fopen(SOURCE, "rb");
    fseek(file, 0, SEEK_END);
    fixture->size = (size_t)ftell(file);
    rewind(file);
    fixture->bytes = malloc(fixture->size);
    const size_t read = fread(fixture->bytes, 1, fixture->size, file);
    fclose(file);
    *state = fixture;
    return read == fixture->size ? 0 : -1;
}

static int tear_down(void **state) {
    Fixture *fixture = *state;
    unlink(fixture->path);
    free(fixture->bytes);
    free(fixture);
    return 0;
}

static void write_file(const Fixture *fixture, size_t size) {
    FILE *file = fopen(fixture->path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(fixture->bytes, 1, size, file), size);
    fclose(file);
}

static hid_t open_copy(const Fixture *fixture) {
    write_file(fixture, fixture->size);
    return H5Fopen(fixture->path, H5F_ACC_RDWR, H5P_DEFAULT);
}

static void accepted(const Fixture *fixture, PlainCase *c) {
    PlainOutcome out;
    Status status = case_file_read(fixture->path, c, &out);
    if (status_failed(&status)) fail_msg("refused: %s", status.message);
    plain_outcome_close(&out);
}

static void refused(const Fixture *fixture, const char *name) {
    PlainCase c;
    PlainOutcome out;
    Status status = case_file_read(fixture->path, &c, &out);
    if (status.code != RAM_DATA || !strstr(status.message, name) || !strstr(status.message, fixture->path))
        fail_msg("without a good %s: %d %s", name, status.code, status.message);
    assert_null(c.values);
    assert_null(out.hidden);
}

static herr_t collect_data(hid_t id, const char *name, const H5L_info_t *info, void *names) {
    (void)info;
    Names *list = names;
    const hid_t object = H5Oopen(id, name, H5P_DEFAULT);
    if (H5Iget_type(object) == H5I_DATASET) snprintf(list->name[list->count++], NAME, "%s", name);
    H5Oclose(object);
    return 0;
}

static herr_t collect_attribute(hid_t id, const char *name, const H5A_info_t *info, void *names) {
    (void)id;
    (void)info;
    Names *list = names;
    snprintf(list->name[list->count++], NAME, "%s", name);
    return 0;
}

static void test_data_sets(void **state) {
    const Fixture *fixture = *state;
    Names names = {0};
    hid_t file = open_copy(fixture);
    H5Lvisit(file, H5_INDEX_NAME, H5_ITER_NATIVE, collect_data, &names);
    H5Fclose(file);
    assert_true(names.count > 40);
    for (int i = 0; i < names.count; i++) {
        file = open_copy(fixture);
        H5Ldelete(file, names.name[i], H5P_DEFAULT);
        H5Fclose(file);
        refused(fixture, names.name[i]);
        /* the same name, another shape */
        file = H5Fopen(fixture->path, H5F_ACC_RDWR, H5P_DEFAULT);
        const hid_t space = H5Screate_simple(2, (const hsize_t[]){3, 7}, NULL);
        H5Dclose(H5Dcreate(file, names.name[i], H5T_NATIVE_DOUBLE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
        H5Sclose(space);
        H5Fclose(file);
        refused(fixture, "");
    }
}

/* Attributes with a default may be absent; without the others there is no case. */
static void test_attributes(void **state) {
    const Fixture *fixture = *state;
    static const char *const optional[] = {"core", "channels", "locator",          "canvas",
                                           "mean", "stddev",   "reinforce_weight", NULL};
    Names names = {0};
    hid_t file = open_copy(fixture);
    H5Aiterate(file, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, collect_attribute, &names);
    H5Fclose(file);
    assert_true(names.count > 10);
    for (int i = 0; i < names.count; i++) {
        bool needed = true;
        for (int j = 0; optional[j]; j++) needed = needed && strcmp(optional[j], names.name[i]) != 0;
        file = open_copy(fixture);
        H5Adelete(file, names.name[i]);
        H5Fclose(file);
        PlainCase c;
        if (strcmp(names.name[i], "core") == 0) {
            refused(fixture, "rnn.i2h"); /* an rnn then, without its parameters */
        } else if (needed) {
            refused(fixture, names.name[i]);
        } else {
            accepted(fixture, &c);
            plain_case_close(&c);
        }
    }
}

static void set_doubles(const Fixture *fixture, const char *name, int count, const double *values) {
    const hid_t file = open_copy(fixture);
    H5Adelete(file, name);
    const hid_t space = H5Screate_simple(1, (const hsize_t[]){(hsize_t)count}, NULL);
    const hid_t attribute = H5Acreate(file, name, H5T_NATIVE_DOUBLE, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(attribute, H5T_NATIVE_DOUBLE, values);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Fclose(file);
}

static void test_values(void **state) {
    const Fixture *fixture = *state;
    PlainCase c;
    set_doubles(fixture, "mean", 1, (const double[]){0.25}); /* an array of one */
    accepted(fixture, &c);
    assert_float_equal((double)c.dims.retina.mean[0], 0.25, 0);
    plain_case_close(&c);
    static const double bad[] = {0, -1, 0.5, 1e30, (double)NAN};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        set_doubles(fixture, "glimpses", 1, &bad[i]);
        refused(fixture, "");
    }
    set_doubles(fixture, "stddev", 1, (const double[]){0});
    refused(fixture, "stddev");
    set_doubles(fixture, "mean", 2, (const double[]){0.1, 0.2}); /* of one channel */
    refused(fixture, "mean");
    set_doubles(fixture, "core", 1, (const double[]){1});
    refused(fixture, "core");
    set_doubles(fixture, "std", 1, (const double[]){0});
    refused(fixture, "std");
}

static void test_other_files(void **state) {
    const Fixture *fixture = *state;
    for (size_t size = 0; size < fixture->size; size = 2 * size + 100) {
        write_file(fixture, size);
        refused(fixture, "");
    }
    write_file(fixture, fixture->size - 1);
    refused(fixture, "");
    unlink(fixture->path);
    refused(fixture, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_sets),
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_other_files),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
