/* Test fixture: writes small IDX files, good and damaged, into a folder of its own. */
#ifndef RAM_TESTS_IDX_FILES_H
#define RAM_TESTS_IDX_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FIXTURE_PATH = 128 };

/* A new, empty folder below $TMPDIR or /tmp; remove_folder also removes the files in it. */
void make_folder(char folder[FIXTURE_PATH]);
void remove_folder(const char *folder);

/* FOLDER/NAME, in `path`, which is also returned. */
const char *path_in(const char *folder, const char *name, char path[2 * FIXTURE_PATH]);

void write_file(const char *path, const void *bytes, size_t count);
void write_gzip(const char *path, const void *bytes, size_t count);

/* A complete IDX file in memory (malloc): header of `dimensions` sizes, then item i = values[i]. *bytes: its length. */
uint8_t *make_idx(int dimensions, const int *size, const uint8_t *values, size_t *bytes);

/* A data set of `train` and `test` images of height x width x channels (idx4 when channels > 1): byte p of image i is
 * (31 i + p) mod 251, and the label of image i is i mod classes. */
void write_set(const char *folder, int train, int test, int height, int width, int channels, int classes);
uint8_t set_pixel(int image, int byte);

#endif
