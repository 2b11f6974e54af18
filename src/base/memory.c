#include "base/memory.h"
#include "base/free_memory.h"
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* From LARGE on, an array lies in huge pages where the system gives them: reading here and there in a whole data set
 * is else mostly a search for its pages. */
enum { CACHE_LINE = 64, HUGE_PAGE = 2 << 20, LARGE = 8 * HUGE_PAGE };

/* From ASKED on, an array has to leave the reserve: the kernel promises more than it has, and kills who takes it. */
enum { ASKED = 1 << 20, MIB = 1 << 20, RESERVE = MEMORY_RESERVE_MIB * MIB };

static void *allocate(size_t bytes) {
    const size_t unit = bytes < LARGE ? CACHE_LINE : HUGE_PAGE;
    bytes = bytes ? (bytes + unit - 1) / unit * unit : unit;
    void *memory = aligned_alloc(unit, bytes);
    if (!memory) return NULL;
    if (unit == HUGE_PAGE) madvise(memory, bytes, MADV_HUGEPAGE); /* only a hint */
    return memset(memory, 0, bytes);
}

void *memory_new(size_t count, size_t bytes_each) {
    size_t bytes;
    if (__builtin_mul_overflow(count, bytes_each, &bytes) || bytes > SIZE_MAX - HUGE_PAGE)
        fatal("an array of %zu x %zu bytes is too large", count, bytes_each);
    void *memory = allocate(bytes);
    if (!memory) fatal("out of memory: %zu bytes asked for", bytes);
    return memory;
}

FILE *memory_stream_open(char **text, size_t *bytes) {
    FILE *stream = open_memstream(text, bytes);
    if (!stream) fatal("open_memstream: %s", strerror(errno));
    return stream;
}

void memory_stream_close(FILE *stream) {
    const bool lost = ferror(stream);
    if (fclose(stream) != 0 || lost) fatal("out of memory for a text that is being put together");
}

static bool is_free(size_t bytes) {
    return bytes < ASKED || (bytes <= INT64_MAX / 2 && (int64_t)bytes + RESERVE <= free_memory());
}

void *memory_new_if_free(size_t bytes) { return is_free(bytes) ? allocate(bytes) : NULL; }

static Status lacks(size_t bytes, const char *need, va_list arguments) {
    char text[400];
    vsnprintf(text, sizeof text, need, arguments);
    return status_error(RAM_USAGE, "out of memory: %s takes %.1f MiB, where %.1f MiB are free and %d are to stay so",
                        text, (double)bytes / MIB, (double)free_memory() / MIB, MEMORY_RESERVE_MIB);
}

Status memory_room(size_t bytes, const char *need, ...) {
    if (is_free(bytes)) return status_ok();
    va_list arguments;
    va_start(arguments, need);
    const Status status = lacks(bytes, need, arguments);
    va_end(arguments);
    return status;
}

Status memory_new_for(size_t bytes, void **memory, const char *need, ...) {
    void *found = memory_new_if_free(bytes);
    if (found) {
        *memory = found;
        return status_ok();
    }
    va_list arguments;
    va_start(arguments, need);
    const Status status = lacks(bytes, need, arguments);
    va_end(arguments);
    return status;
}
