/* Files built in memory: what comes out is what any reader opens, to the last byte; and a writer that failed says so
 * once, does nothing more, and leaves none of HDF5's objects that belong to no file. */
#include "base/memory.h"
#include "store/hdf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One new object of each kind that belongs to no file: HDF5 numbers those of a kind one after the other. */
typedef struct {
    hid_t type, space, list;
} Marks;

static Marks mark(void) {
    const Marks marks = {H5Tcopy(H5T_NATIVE_INT), H5Screate(H5S_SCALAR), H5Pcreate(H5P_DATASET_CREATE)};
    H5Tclose(marks.type);
    H5Sclose(marks.space);
    H5Pclose(marks.list);
    return marks;
}

/* Nothing that was opened between two marks is open still, but for `lists` property lists. */
static void assert_closed(Marks first, Marks last, int lists) {
    for (hid_t id = first.type; id <= last.type; id++) assert_false(H5Iis_valid(id) > 0);
    for (hid_t id = first.space; id <= last.space; id++) assert_false(H5Iis_valid(id) > 0);
    for (hid_t id = first.list; id <= last.list; id++) lists -= H5Iis_valid(id) > 0;
    assert_int_equal(lists, 0);
}

static HdfImage build(int64_t rows, int64_t columns) {
    HdfWriter writer;
    HdfImage image;
    float *values = memory_new((size_t)(rows * columns), sizeof *values);
    for (int64_t i = 0; i < rows * columns; i++) values[i] = (float)(i % 99991);
    const HdfArray array = {"/a/deep/name", HDF_FLOAT, 2, {rows, columns}};
    hdf_begin(&writer);
    hdf_put_array(&writer, &array, values);
    hdf_put_text(&writer, "a/text", "Gerät");
    const Status status = hdf_finish(&writer, &image);
    if (status_failed(&status)) fail_msg("%s", status.message);
    free(values);
    return image;
}

/* From less than the first piece of memory to many of them. */
static void test_sizes(void **state) {
    (void)state;
    static const int64_t rows[] = {1, 1000, 70000, 1000000};
    for (int i = 0; i < 4; i++) {
        HdfImage image = build(rows[i], 7), again = build(rows[i], 7);
        float *values = memory_new((size_t)rows[i] * 7, sizeof *values);
        assert_int_equal(image.bytes, again.bytes);
        hid_t file;
        Status status = hdf_open("folder", "name", image, &file);
        assert_int_equal(status.code, RAM_OK);
        assert_true(hdf_get_rows(file, "/a/deep/name", values));
        for (int64_t k = 0; k < rows[i] * 7; k++) assert_true(values[k] == (float)(k % 99991));
        H5Fclose(file);
        again.bytes--; /* not one byte is superfluous */
        status = hdf_open("folder", "name", again, &file);
        assert_int_equal(status.code, RAM_DATA);
        free(values);
    }
}

static void provoke(int failure) {
    HdfWriter writer;
    HdfImage image = {0};
    const HdfArray matrix = {"/a/matrix", HDF_FLOAT, 2, {2, 3}}, below = {"/a/matrix/below", HDF_FLOAT, 1, {2}};
    const Marks before = mark();
    hdf_begin(&writer);
    hdf_put_array(&writer, &matrix, (float[6]){0});
    switch (failure) {
    case 0: /* a name that is taken */
        hdf_put_array(&writer, &matrix, (float[6]){0});
        break;
    case 1:
        hdf_put_rows(&writer, &below, (float[2]){0}, 0);
        break;
    case 2:
        hdf_put_virtual(&writer, &matrix, 1);
        break;
    case 3:
        hdf_put_int(&writer, "a/matrix/x/y", 1);
        break;
    default:
        hdf_attach_scale(&writer, "/a/matrix", 0, "/a/absent");
    }
    hdf_put_array(&writer, &matrix, (float[6]){0}); /* does nothing */
    const Status status = hdf_finish(&writer, &image);
    assert_int_equal(status.code, RAM_IO);
    assert_non_null(strstr(status.message, "/a/"));
    assert_null(image.data);
    assert_closed(before, mark(), 0);
}

static void test_failures(void **state) {
    (void)state;
    Marks before = mark();
    free(build(2, 2).data);
    assert_closed(before, mark(), 0);
    for (int failure = 0; failure < 5; failure++) {
        provoke(failure);
        HdfImage image = build(5, 5); /* the next one does not suffer */
        hid_t file;
        const Status status = hdf_open("folder", "name", image, &file);
        assert_int_equal(status.code, RAM_OK);
        H5Fclose(file);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sizes), cmocka_unit_test(test_failures)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
