#include "base/memory.h"
#include "base/log.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *memory_new(size_t count, size_t bytes_each) {
    size_t bytes;
    if (__builtin_mul_overflow(count, bytes_each, &bytes) || bytes > SIZE_MAX - 64)
        fatal("an array of %zu x %zu bytes is too large", count, bytes_each);
    bytes = (bytes + 63) / 64 * 64;
    if (bytes == 0) bytes = 64;
    void *memory = aligned_alloc(64, bytes);
    if (!memory) fatal("out of memory: %zu bytes asked for", bytes);
    return memset(memory, 0, bytes);
}
