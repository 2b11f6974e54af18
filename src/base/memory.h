/* Host memory: zeroed, aligned to 64 bytes, freed with free(). */
#ifndef RAM_BASE_MEMORY_H
#define RAM_BASE_MEMORY_H

#include <stddef.h>

/* Cannot fail: running out of memory is fatal(), so no caller has to handle it. */
void *memory_new(size_t count, size_t bytes_each);

/* For what a user may have chosen too large: NULL where the system refuses `bytes`, or has not so much free and a
 * reserve for all that is allocated by memory_new(). */
void *memory_new_if_free(size_t bytes);

#endif
