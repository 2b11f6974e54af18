/* Allocation that cannot fail: running out of host memory is fatal(), so no caller has to handle it.
 * Memory is zeroed, aligned to 64 bytes, and freed with free(). */
#ifndef RAM_BASE_MEMORY_H
#define RAM_BASE_MEMORY_H

#include <stddef.h>

void *memory_new(size_t count, size_t bytes_each);

#endif
