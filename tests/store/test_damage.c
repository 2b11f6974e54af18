/* Every byte of every file of a small checkpoint, one flipped bit at a time, and every length that a file can be cut
 * to: never accepted, never a crash or a wait, the file always named. And what HDF5 would have to face if MANIFEST did
 * not stand before it: a set whose hashes are right and whose content is not what a checkpoint holds. */
#include "sample.h"
#include "store/inspect.h"
#include "store/manifest.h"
#include "store/hdf.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const files[] = {"MANIFEST", "index.h5", "shard-00000-of-00001.h5"};
enum { FILES = 3 };

typedef struct {
    Comm *comm;
    char folder[FILE_PATH], set[FILE_PATH];
    Sample *loaded;
} Fixture;

static void join(char path[FILE_PATH], const char *folder, const char *name) {
    assert_int_equal(atomic_file_join(path, folder, name).code, RAM_OK);
}

static int start(void **state) {
    Fixture *fixture = calloc(1, sizeof *fixture);
    fixture->comm = comm_self_new();
    fixture->loaded = sample_new(0);
    *state = fixture;
    return 0;
}

static int stop(void **state) {
    Fixture *fixture = *state;
    comm_free(fixture->comm);
    sample_free(fixture->loaded);
    free(fixture);
    return 0;
}

/* A good set in a fresh folder. */
static int save(void **state) {
    Fixture *fixture = *state;
    Sample *sample = sample_new(3);
    sample_folder(fixture->comm, "damage", fixture->folder);
    Status status = checkpoint_save(fixture->comm, fixture->folder, 1, &sample->snapshot);
    sample_free(sample);
    join(fixture->set, fixture->folder, "step-00000001");
    return status.code;
}

static void assert_refused(Fixture *fixture, const char *name, size_t byte) {
    Status status = sample_load(fixture->comm, fixture->set, &fixture->loaded->snapshot);
    if (status.code != RAM_DATA || !strstr(status.message, name))
        fail_msg("%s at byte %zu: code %d, '%s'", name, byte, (int)status.code, status.message);
}

static void test_every_byte(void **state) {
    Fixture *fixture = *state;
    char path[FILE_PATH];
    for (int f = 0; f < FILES; f++) {
        join(path, fixture->set, files[f]);
        size_t bytes = sample_file_bytes(path);
        for (size_t byte = 0; byte < bytes; byte++) {
            int bit = (int)(byte % 8);
            sample_flip_bit(path, byte, bit);
            assert_refused(fixture, files[f], byte);
            sample_flip_bit(path, byte, bit);
        }
    }
    assert_int_equal(sample_load(fixture->comm, fixture->set, &fixture->loaded->snapshot).code, RAM_OK);
    assert_true(sample_is(fixture->loaded, 3));
}

/* All eight bits where a text is parsed. */
static void test_every_bit_of_manifest(void **state) {
    Fixture *fixture = *state;
    char path[FILE_PATH];
    join(path, fixture->set, "MANIFEST");
    size_t bytes = sample_file_bytes(path);
    for (size_t i = 0; i < 8 * bytes; i++) {
        sample_flip_bit(path, i / 8, (int)(i % 8));
        assert_refused(fixture, "MANIFEST", i / 8);
        sample_flip_bit(path, i / 8, (int)(i % 8));
    }
}

static void test_every_length(void **state) {
    Fixture *fixture = *state;
    char path[FILE_PATH];
    for (int f = 0; f < FILES; f++) {
        join(path, fixture->set, files[f]);
        for (size_t bytes = sample_file_bytes(path); bytes-- > 0;) {
            sample_truncate(path, bytes);
            assert_refused(fixture, files[f], bytes);
        }
        save(state);
        sample_truncate(path, sample_file_bytes(path) + 1); /* and one byte too many */
        assert_refused(fixture, files[f], 0);
        save(state);
    }
}

/* Gives files of the set other content and a MANIFEST that vouches for it. */
static void forge(Fixture *fixture, int file, const void *data, size_t bytes) {
    char path[FILE_PATH];
    Manifest manifest;
    join(path, fixture->set, files[file]);
    assert_int_equal(atomic_file_write(path, data, bytes).code, RAM_OK);
    assert_int_equal(manifest_read(fixture->set, MANIFEST_CHECKPOINT, &manifest).code, RAM_OK);
    manifest.file[file == 1 ? 1 : 0] = manifest_describe(files[file], data, bytes);
    assert_int_equal(manifest_write(fixture->set, &manifest).code, RAM_OK);
    manifest_free(&manifest);
}

static void test_forged_content(void **state) {
    Fixture *fixture = *state;
    for (int file = 1; file < FILES; file++) {
        static const char text[] = "this is not HDF5";
        forge(fixture, file, text, sizeof text);
        assert_refused(fixture, files[file], 0);
        forge(fixture, file, "", 0);
        assert_refused(fixture, files[file], 0);
        HdfWriter writer; /* HDF5, but not a checkpoint */
        HdfImage image;
        const HdfArray part = {"/param/rnn.i2h.weight", HDF_FLOAT, 2, {2, 3}};
        hdf_begin(&writer);
        hdf_put_rows(&writer, &part, (float[6]){0}, 0);
        assert_int_equal(hdf_finish(&writer, &image).code, RAM_OK);
        forge(fixture, file, image.data, image.bytes);
        free(image.data);
        assert_refused(fixture, file == 1 ? "`step`" : files[file], 0);
        save(state);
    }
}

/* MANIFEST texts that end with their right hash, but say what cannot be. */
static void test_forged_manifest(void **state) {
    Fixture *fixture = *state;
    static const char *const bodies[] = {
        "",
        "\n",
        "\n\n\n",
        "ram_dist checkpoint format 2\nindex.h5 1 0\n",
        "ram_dist checkpoint format 1\n",
        "ram_dist checkpoint format 1\nindex.h5 1 00000000000000000000000000000000\n",
        "ram_dist checkpoint format 1\n../../x.h5 1 00000000000000000000000000000000\n"
        "index.h5 1 00000000000000000000000000000000\n",
        "ram_dist checkpoint format 1\nshard-00000-of-00002.h5 1 00000000000000000000000000000000\n"
        "index.h5 1 00000000000000000000000000000000\n",
        "ram_dist checkpoint format 1\nshard-00000-of-00001.h5 -1 00000000000000000000000000000000\n"
        "index.h5 1 00000000000000000000000000000000\n",
        "ram_dist checkpoint format 1\nshard-00000-of-00001.h5 99999999999999999999 00000000000000000000000000000000\n"
        "index.h5 1 00000000000000000000000000000000\n",
        "ram_dist checkpoint format 1\nshard-00000-of-00001.h5  1 00000000000000000000000000000000\n"
        "index.h5 1 00000000000000000000000000000000\n",
        "ram_dist checkpoint format 1\n\n\n",
    };
    char path[FILE_PATH], text[1024], hash[HASH_TEXT];
    join(path, fixture->set, "MANIFEST");
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        hash_memory(bodies[i], strlen(bodies[i]), hash);
        snprintf(text, sizeof text, "%smanifest %s\n", bodies[i], hash);
        assert_int_equal(atomic_file_write(path, text, strlen(text)).code, RAM_OK);
        assert_refused(fixture, "MANIFEST", i);
    }
    /* the size of a file does not make the reader allocate it */
    static const char huge[] = "ram_dist checkpoint format 1\nshard-00000-of-00001.h5 9999999999999999999 "
                               "00000000000000000000000000000000\nindex.h5 1 00000000000000000000000000000000\n";
    hash_memory(huge, strlen(huge), hash);
    snprintf(text, sizeof text, "%smanifest %s\n", huge, hash);
    assert_int_equal(atomic_file_write(path, text, strlen(text)).code, RAM_OK);
    assert_refused(fixture, "shard-00000-of-00001.h5", 0);
}

static void test_inspect(void **state) {
    Fixture *fixture = *state;
    Sample *sample = sample_new(3);
    for (int v = 0; v < SAMPLE_VECTORS; v++)
        for (size_t i = 0; i < sample->layout.total; i++) sample->vector[v].values[i] = 0;
    const Field *matrix = &sample->layout.field[0];
    sample->vector[0].values[matrix->offset + 1] = 3;
    sample->vector[0].values[matrix->offset + matrix->count - 1] = -4;
    sample->vector[1].values[matrix->offset] = NAN;
    sample->vector[1].values[matrix->offset + 1] = 2;
    assert_int_equal(checkpoint_save(fixture->comm, fixture->folder, 2, &sample->snapshot).code, RAM_OK);
    sample_free(sample);
    join(fixture->set, fixture->folder, "step-00000002");

    Checkpoint *checkpoint;
    InspectField *field;
    InspectScalars scalars;
    int fields;
    assert_int_equal(checkpoint_open(fixture->comm, fixture->set, &checkpoint).code, RAM_OK);
    assert_int_equal(inspect_fields(checkpoint, &fields, &field).code, RAM_OK);
    assert_int_equal(fields, 18);
    assert_string_equal(field[0].group, "adam/m"); /* groups and names in alphabetical order */
    assert_string_equal(field[4].name, "rnn.i2h.weight");
    assert_int_equal(field[4].not_finite, 1);
    assert_true(isnan(field[4].norm) && field[4].most == 2 && field[4].least == 0);
    assert_string_equal(field[16].group, "param");
    assert_true(field[16].norm == 5 && field[16].least == -4 && field[16].most == 3);
    assert_true(field[16].rows == 7 && field[16].columns == 5 && field[15].rows == 7 && field[15].columns == 0);
    free(field);

    assert_int_equal(inspect_scalars(checkpoint, &scalars).code, RAM_OK);
    assert_int_equal(scalars.count, SAMPLE_SCALARS + 4); /* about, format_version, step, shards */
    assert_string_equal(inspect_text(&scalars, "state/epoch"), "3000009");
    assert_string_equal(inspect_text(&scalars, "config/train.lr"), "0.30000000000000004");
    assert_string_equal(inspect_text(&scalars, "provenance/host"), "Gerät 3");
    assert_string_equal(inspect_text(&scalars, "step"), "2");
    free(scalars.scalar);
    checkpoint_close(checkpoint);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_every_byte, save),      cmocka_unit_test_setup(test_every_bit_of_manifest, save),
        cmocka_unit_test_setup(test_every_length, save),    cmocka_unit_test_setup(test_forged_content, save),
        cmocka_unit_test_setup(test_forged_manifest, save), cmocka_unit_test_setup(test_inspect, save),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
