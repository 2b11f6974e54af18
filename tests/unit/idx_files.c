#include "idx_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static void check(bool good, const char *what) {
    if (good) return;
    perror(what);
    abort();
}

void make_folder(char folder[FIXTURE_PATH]) {
    const char *parent = getenv("TMPDIR");
    int length = snprintf(folder, FIXTURE_PATH, "%s/ram_test_XXXXXX", parent ? parent : "/tmp");
    check(length < FIXTURE_PATH && mkdtemp(folder), "mkdtemp");
}

void remove_folder(const char *folder) {
    char command[FIXTURE_PATH + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    check(system(command) == 0, command);
}

const char *path_in(const char *folder, const char *name, char path[2 * FIXTURE_PATH]) {
    check(snprintf(path, 2 * FIXTURE_PATH, "%s/%s", folder, name) < 2 * FIXTURE_PATH, "path");
    return path;
}

void write_file(const char *path, const void *bytes, size_t count) {
    FILE *file = fopen(path, "wb");
    check(file && fwrite(bytes, 1, count, file) == count && fclose(file) == 0, path);
}

void write_gzip(const char *path, const void *bytes, size_t count) {
    gzFile file = gzopen(path, "wb");
    check(file && gzwrite(file, bytes, (unsigned)count) == (int)count && gzclose(file) == Z_OK, path);
}

uint8_t *make_idx(int dimensions, const int *size, const uint8_t *values, size_t *bytes) {
    size_t items = 1, header = 4 + 4 * (size_t)dimensions;
    for (int d = 0; d < dimensions; d++) items *= (size_t)size[d];
    uint8_t *file = calloc(1, header + items);
    check(file, "calloc");
    file[2] = 8;
    file[3] = (uint8_t)dimensions;
    for (int d = 0; d < dimensions; d++)
        for (int byte = 0; byte < 4; byte++) file[4 + 4 * d + byte] = (uint8_t)((uint32_t)size[d] >> (24 - 8 * byte));
    if (items) memcpy(file + header, values, items);
    *bytes = header + items;
    return file;
}

uint8_t set_pixel(int image, int byte) { return (uint8_t)((31 * image + byte) % 251); }

static void write_half(const char *folder, const char *set, int count, const int *image_size, int classes) {
    int dimensions = image_size[2] > 1 ? 4 : 3, size[4] = {count, image_size[0], image_size[1], image_size[2]};
    int image_bytes = image_size[0] * image_size[1] * image_size[2];
    uint8_t *pixels = calloc((size_t)count * (size_t)image_bytes, 1), *labels = calloc((size_t)count, 1);
    check(pixels && labels, "calloc");
    for (int i = 0; i < count; i++) {
        labels[i] = (uint8_t)(i % classes);
        for (int p = 0; p < image_bytes; p++) pixels[i * image_bytes + p] = set_pixel(i, p);
    }
    char name[64], path[2 * FIXTURE_PATH];
    size_t bytes;
    uint8_t *file = make_idx(dimensions, size, pixels, &bytes);
    snprintf(name, sizeof name, "%s-images-idx%d-ubyte", set, dimensions);
    write_file(path_in(folder, name, path), file, bytes);
    free(file);
    file = make_idx(1, size, labels, &bytes);
    snprintf(name, sizeof name, "%s-labels-idx1-ubyte", set);
    write_file(path_in(folder, name, path), file, bytes);
    free(file);
    free(pixels);
    free(labels);
}

void write_set(const char *folder, int train, int test, int height, int width, int channels, int classes) {
    const int image_size[3] = {height, width, channels};
    write_half(folder, "train", train, image_size, classes);
    write_half(folder, "t10k", test, image_size, classes);
}
