#include "base/memory.h"
#include "base/log.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* From LARGE on, an array lies in huge pages where the system gives them: reading here and there in a whole data set
 * is else mostly a search for its pages. */
enum { CACHE_LINE = 64, HUGE_PAGE = 2 << 20, LARGE = 8 * HUGE_PAGE };

void *memory_new(size_t count, size_t bytes_each) {
    size_t bytes;
    if (__builtin_mul_overflow(count, bytes_each, &bytes) || bytes > SIZE_MAX - HUGE_PAGE)
        fatal("an array of %zu x %zu bytes is too large", count, bytes_each);
    if (bytes == 0) bytes = 1;
    const size_t unit = bytes < LARGE ? CACHE_LINE : HUGE_PAGE;
    bytes = (bytes + unit - 1) / unit * unit;
    void *memory = aligned_alloc(unit, bytes);
    if (!memory) fatal("out of memory: %zu bytes asked for", bytes);
    if (unit == HUGE_PAGE) madvise(memory, bytes, MADV_HUGEPAGE); /* only a hint */
    return memset(memory, 0, bytes);
}
