/* Hashes of memory: XXH3-128, to tell an intact file from a damaged one (not a signature: it stops no forger).
 * Must not know files. Nothing here is collective. */
#ifndef RAM_BASE_HASH_H
#define RAM_BASE_HASH_H

#include <stddef.h>

enum { HASH_TEXT = 33 }; /* 32 hexadecimal digits and the end */

/* XXH3-128 of `bytes` bytes in its canonical form, as `xxhsum -H2` prints it. */
void hash_memory(const void *data, size_t bytes, char text[HASH_TEXT]);

#endif
