/* How n things are cut into parts: part v of V holds [floor(v n / V), floor((v+1) n / V)), possibly none.
 * The one rule for images to lanes, lanes to ranks, lanes to threads and rows to shards. Owns nothing, knows no things.
 * Nothing is collective. */
#ifndef RAM_BASE_PARTITION_H
#define RAM_BASE_PARTITION_H

#include <stdint.h>

/* First element of part `part`; partition_begin(n, parts, parts) == n. */
static inline int64_t partition_begin(int64_t n, int64_t part, int64_t parts) {
    /* n < 2^40 and parts < 2^20 in all uses, so the product cannot overflow */
    return part * n / parts;
}

static inline int64_t partition_count(int64_t n, int64_t part, int64_t parts) {
    return partition_begin(n, part + 1, parts) - partition_begin(n, part, parts);
}

#endif
