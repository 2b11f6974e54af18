/* The IDX reader: every damage that one file can have is an error that names the file, whatever its packing. */
#include "data/idx.h"

#include "idx_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { COUNT = 5, HEIGHT = 4, WIDTH = 3, PIXELS = COUNT * HEIGHT * WIDTH };

typedef struct {
    char folder[FIXTURE_PATH];
    char path[2 * FIXTURE_PATH];
    uint8_t *images, *labels; /* complete, good files */
    size_t images_bytes, labels_bytes;
} Fixture;

static int set_up(void **state) {
    Fixture *fixture = calloc(1, sizeof *fixture);
    uint8_t pixels[PIXELS], labels[COUNT] = {3, 1, 4, 1, 5};
    for (int i = 0; i < PIXELS; i++) pixels[i] = (uint8_t)(7 * i);
    fixture->images = make_idx(3, (int[]){COUNT, HEIGHT, WIDTH}, pixels, &fixture->images_bytes);
    fixture->labels = make_idx(1, (int[]){COUNT}, labels, &fixture->labels_bytes);
    make_folder(fixture->folder);
    path_in(fixture->folder, "some-file", fixture->path);
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    Fixture *fixture = *state;
    remove_folder(fixture->folder);
    free(fixture->images);
    free(fixture->labels);
    free(fixture);
    return 0;
}

static void release(Images *images) {
    free(images->pixels);
    free(images->labels);
    *images = (Images){0};
}

/* The file at fixture->path is refused with `code`; the message names it and holds `words`; nothing is allocated. */
static void refused(const Fixture *fixture, bool as_labels, ExitCode code, const char *words) {
    Images images = {.count = COUNT};
    Status status = as_labels ? idx_read_labels(fixture->path, &images) : idx_read_images(fixture->path, &images);
    if (status.code != code || !strstr(status.message, words) || !strstr(status.message, fixture->path))
        fail_msg("expected %d with \"%s\", got %d: %s", code, words, status.code, status.message);
    assert_null(images.pixels);
    assert_null(images.labels);
    assert_int_equal(images.count, COUNT);
}

static void read_back(const Fixture *fixture) {
    Images images = {0};
    Status status = idx_read_images(fixture->path, &images);
    assert_string_equal(status.message, "");
    assert_int_equal(status.code, RAM_OK);
    assert_int_equal(images.count, COUNT);
    assert_int_equal(images.height, HEIGHT);
    assert_int_equal(images.width, WIDTH);
    assert_int_equal(images.channels, 1);
    assert_memory_equal(images.pixels, fixture->images + 16, PIXELS);
    release(&images);
}

static void test_reads_plain_and_packed(void **state) {
    Fixture *fixture = *state;
    write_file(fixture->path, fixture->images, fixture->images_bytes);
    read_back(fixture);
    write_gzip(fixture->path, fixture->images, fixture->images_bytes);
    read_back(fixture);

    Images images = {.count = COUNT};
    write_gzip(fixture->path, fixture->labels, fixture->labels_bytes);
    assert_int_equal(idx_read_labels(fixture->path, &images).code, RAM_OK);
    assert_memory_equal(images.labels, ((uint8_t[]){3, 1, 4, 1, 5}), COUNT);
    release(&images);
}

static void test_reads_colour(void **state) {
    Fixture *fixture = *state;
    uint8_t pixels[2 * 3 * 5 * 4];
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)i;
    size_t bytes;
    uint8_t *file = make_idx(4, (int[]){2, 3, 5, 4}, pixels, &bytes);
    write_file(fixture->path, file, bytes);
    free(file);
    Images images = {0};
    assert_int_equal(idx_read_images(fixture->path, &images).code, RAM_OK);
    assert_int_equal(images.count, 2);
    assert_int_equal(images.height, 3);
    assert_int_equal(images.width, 5);
    assert_int_equal(images.channels, 4);
    assert_memory_equal(images.pixels, pixels, sizeof pixels);
    release(&images);
}

/* gzip files may be concatenated; large inputs pass through the buffer many times. */
static void test_reads_several_members(void **state) {
    Fixture *fixture = *state;
    const int size[3] = {700, 60, 40};
    size_t count = 700 * 60 * 40, bytes;
    uint8_t *pixels = malloc(count);
    uint32_t noise = 1;
    for (size_t i = 0; i < count; i++) pixels[i] = (uint8_t)((noise = noise * 1664525 + 1013904223) >> 24);
    uint8_t *file = make_idx(3, size, pixels, &bytes);
    char other[2 * FIXTURE_PATH], command[8 * FIXTURE_PATH];
    write_gzip(fixture->path, file, 1000000);
    write_gzip(path_in(fixture->folder, "rest", other), file + 1000000, bytes - 1000000);
    snprintf(command, sizeof command, "cat '%s' >>'%s'", other, fixture->path);
    assert_int_equal(system(command), 0);
    Images images = {0};
    assert_string_equal(idx_read_images(fixture->path, &images).message, "");
    assert_memory_equal(images.pixels, pixels, count);
    release(&images);
    free(file);
    free(pixels);
}

static void test_refuses_every_truncation(void **state) {
    Fixture *fixture = *state;
    for (size_t bytes = 0; bytes < fixture->images_bytes; bytes++) {
        write_file(fixture->path, fixture->images, bytes);
        refused(fixture, false, RAM_DATA, bytes < 4 ? "too short" : "cut short");
        write_gzip(fixture->path, fixture->images, bytes);
        refused(fixture, false, RAM_DATA, bytes < 4 ? "too short" : "cut short");
    }
    for (size_t bytes = 0; bytes < fixture->labels_bytes; bytes++) {
        write_file(fixture->path, fixture->labels, bytes);
        refused(fixture, true, RAM_DATA, "short");
    }
}

static size_t packed_file(const Fixture *fixture, uint8_t *packed, size_t room) {
    write_gzip(fixture->path, fixture->images, fixture->images_bytes);
    FILE *file = fopen(fixture->path, "rb");
    size_t bytes = fread(packed, 1, room, file);
    fclose(file);
    assert_true(bytes > 20 && bytes < room);
    return bytes;
}

static void test_refuses_every_truncated_gzip(void **state) {
    Fixture *fixture = *state;
    uint8_t packed[1024];
    size_t whole = packed_file(fixture, packed, sizeof packed);
    for (size_t bytes = 0; bytes < whole; bytes++) {
        write_file(fixture->path, packed, bytes);
        refused(fixture, false, RAM_DATA, "short");
    }
}

/* A flipped bit is refused, or it lay where gzip keeps nothing of value (time stamp, system) and changed nothing. */
static void test_flipped_bits_of_gzip_change_nothing_silently(void **state) {
    Fixture *fixture = *state;
    uint8_t packed[1024];
    size_t whole = packed_file(fixture, packed, sizeof packed);
    int refusals = 0;
    for (size_t bit = 0; bit < 8 * whole; bit++) {
        packed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        write_file(fixture->path, packed, whole);
        packed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        Images images = {0};
        Status status = idx_read_images(fixture->path, &images);
        if (status_failed(&status)) {
            assert_int_equal(status.code, RAM_DATA);
            refusals++;
        } else {
            assert_memory_equal(images.pixels, fixture->images + 16, PIXELS);
        }
        release(&images);
    }
    assert_true(refusals > (int)(8 * (whole - 12)));
}

static void test_refuses_what_follows(void **state) {
    Fixture *fixture = *state;
    uint8_t longer[1100] = {0};
    memcpy(longer, fixture->images, fixture->images_bytes);
    write_file(fixture->path, longer, fixture->images_bytes + 1);
    refused(fixture, false, RAM_DATA, "goes on after");
    write_gzip(fixture->path, longer, fixture->images_bytes + 1);
    refused(fixture, false, RAM_DATA, "goes on after");
    size_t whole = packed_file(fixture, longer, 1024);
    longer[whole] = 'x';
    write_file(fixture->path, longer, whole + 1);
    refused(fixture, false, RAM_DATA, "other bytes follow");
}

static void test_refuses_wrong_magic(void **state) {
    Fixture *fixture = *state;
    for (int byte = 0; byte < 4; byte++) {
        fixture->images[byte] ^= 0x40;
        write_file(fixture->path, fixture->images, fixture->images_bytes);
        refused(fixture, false, RAM_DATA, "starts with");
        fixture->images[byte] ^= 0x40;
    }
    write_file(fixture->path, fixture->labels, fixture->labels_bytes);
    refused(fixture, false, RAM_DATA, "00 00 08 03 or 04");
    write_file(fixture->path, fixture->images, fixture->images_bytes);
    refused(fixture, true, RAM_DATA, "IDX labels start with 00 00 08 01:");
    write_file(fixture->path, "<!DOCTYPE html><html>404</html>", 31);
    refused(fixture, false, RAM_DATA, "3c 21 44 4f");
}

static void refuses_header(const Fixture *fixture, int dimensions, const uint32_t *size, const char *words) {
    uint8_t file[64] = {0, 0, 8, (uint8_t)dimensions};
    for (int d = 0; d < dimensions; d++)
        for (int byte = 0; byte < 4; byte++) file[4 + 4 * d + byte] = (uint8_t)(size[d] >> (24 - 8 * byte));
    write_file(fixture->path, file, sizeof file);
    refused(fixture, dimensions == 1, RAM_DATA, words);
    write_gzip(fixture->path, file, sizeof file);
    refused(fixture, dimensions == 1, RAM_DATA, words);
}

static void test_refuses_impossible_sizes(void **state) {
    Fixture *fixture = *state;
    const uint32_t most = UINT32_MAX;
    refuses_header(fixture, 3, (uint32_t[]){0, HEIGHT, WIDTH}, "holds 0 items: fetch it again");
    refuses_header(fixture, 3, (uint32_t[]){COUNT, 0, WIDTH}, "dimension 2 is 0");
    refuses_header(fixture, 3, (uint32_t[]){COUNT, HEIGHT, 0}, "dimension 3 is 0");
    refuses_header(fixture, 4, (uint32_t[]){COUNT, HEIGHT, WIDTH, 0}, "dimension 4 is 0");
    refuses_header(fixture, 1, (uint32_t[]){0}, "holds 0 items: fetch it again");
    refuses_header(fixture, 3, (uint32_t[]){most, most, most}, "impossible");
    refuses_header(fixture, 4, (uint32_t[]){1u << 31, 1u << 31, 1u << 31, 1u << 31}, "impossible");
    refuses_header(fixture, 3, (uint32_t[]){1u << 31, 4, 4}, "at most");
    refuses_header(fixture, 3, (uint32_t[]){1, IDX_MOST_SIDE + 1, 1}, "at most");
    refuses_header(fixture, 3, (uint32_t[]){1, 1, IDX_MOST_SIDE + 1}, "at most");
    refuses_header(fixture, 4, (uint32_t[]){1, 1, 1, CHANNELS_MOST + 1}, "at most");
    refuses_header(fixture, 3, (uint32_t[]){INT32_MAX, IDX_MOST_SIDE, IDX_MOST_SIDE}, "cut short");
}

static void test_refuses_other_counts(void **state) {
    Fixture *fixture = *state;
    size_t bytes;
    for (int count = COUNT - 1; count <= COUNT + 1; count += 2) {
        uint8_t *file = make_idx(1, &count, (uint8_t[COUNT + 1]){0}, &bytes);
        write_file(fixture->path, file, bytes);
        free(file);
        refused(fixture, true, RAM_DATA, count < COUNT ? "holds 4 labels" : "holds 6 labels");
    }
}

static void test_refuses_what_is_no_file(void **state) {
    Fixture *fixture = *state;
    refused(fixture, false, RAM_IO, "No such file");
    assert_int_equal(mkfifo(fixture->path, 0600), 0);
    refused(fixture, false, RAM_DATA, "not a regular file");
    remove(fixture->path);
    assert_int_equal(mkdir(fixture->path, 0700), 0);
    refused(fixture, false, RAM_DATA, "not a regular file");
}

int main(void) {
#define IDX_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IDX_TEST(test_reads_plain_and_packed),       IDX_TEST(test_reads_colour),
        IDX_TEST(test_reads_several_members),        IDX_TEST(test_refuses_every_truncation),
        IDX_TEST(test_refuses_every_truncated_gzip), IDX_TEST(test_flipped_bits_of_gzip_change_nothing_silently),
        IDX_TEST(test_refuses_what_follows),         IDX_TEST(test_refuses_wrong_magic),
        IDX_TEST(test_refuses_impossible_sizes),     IDX_TEST(test_refuses_other_counts),
        IDX_TEST(test_refuses_what_is_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
