#include "base/hash.h"

#include <stdio.h>
#include <xxhash.h>

void hash_memory(const void *data, size_t bytes, char text[HASH_TEXT]) {
    XXH128_hash_t hash = XXH3_128bits(data, bytes);
    snprintf(text, HASH_TEXT, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
}
