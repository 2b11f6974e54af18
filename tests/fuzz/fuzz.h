/* What the fuzz targets share: untrusted bytes as a file that a reader opens by path. */
#ifndef RAM_TESTS_FUZZ_H
#define RAM_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* libFuzzer calls it with every input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* The path of a file in memory that holds the bytes; the next call overwrites it. */
static inline const char *fuzz_file(const uint8_t *data, size_t bytes) {
    static int file = -1;
    static char path[64];
    if (file < 0) {
        file = memfd_create("fuzz", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    if (file < 0 || ftruncate(file, 0) || pwrite(file, data, bytes, 0) != (ssize_t)bytes) abort();
    return path;
}

#endif
