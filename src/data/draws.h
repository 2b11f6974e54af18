/* Draws: whole numbers below a limit, one after the other, under one key of Philox (base/philox.h).
 * Must not know what is drawn. A Draws lives on the stack of the function that draws; no state outlives it.
 * Nothing here is collective. */
#ifndef RAM_DATA_DRAWS_H
#define RAM_DATA_DRAWS_H

#include "base/philox.h"

typedef struct {
    DrawKey key; /* glimpse must be 0: it carries the high bits of the block's number */
    uint64_t block;
    philox4x32_ctr_t word;
    int left; /* words of the block not yet used */
} Draws;

static inline uint32_t draws_next(Draws *draws) {
    if (draws->left == 0) {
        draws->key.glimpse = (uint32_t)(draws->block >> 24);
        draws->word = philox_block(draws->key, (uint32_t)(draws->block & 0xffffff));
        draws->block++;
        draws->left = 4;
    }
    return draws->word.v[4 - draws->left--];
}

/* Uniform in 0..limit-1, without bias (Lemire 2019, "Fast random integer generation in an interval"); limit >= 1. */
static inline uint32_t draws_below(Draws *draws, uint32_t limit) {
    uint64_t product = (uint64_t)draws_next(draws) * limit;
    if ((uint32_t)product < limit) {
        uint32_t threshold = -limit % limit; /* 2^32 mod limit: so many low words would be one too many */
        while ((uint32_t)product < threshold) product = (uint64_t)draws_next(draws) * limit;
    }
    return (uint32_t)(product >> 32);
}

#endif
