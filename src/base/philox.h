/* Every random number of the program: a pure function of (seed, purpose, epoch, sample, roll-out, glimpse, draw) by
 * Philox4x32-10 (Salmon et al. 2011, Random123). No generator state exists, so none is saved, and who computes a
 * number does not matter. Header only: the same source serves host and device. */
#ifndef RAM_BASE_PHILOX_H
#define RAM_BASE_PHILOX_H

#include "base/device.h"

#include <Random123/philox.h>
#include <math.h>
#include <stdint.h>

typedef enum {
    DRAW_WEIGHTS = 1, /* initial parameters */
    DRAW_SPLIT,       /* training / validation split */
    DRAW_ORDER,       /* order of an epoch */
    DRAW_CANVAS,      /* translated and cluttered images */
    DRAW_START,       /* l_0 */
    DRAW_NOISE,       /* of the location policy */
    DRAW_POLICY,      /* locations of the random policy */
    DRAW_AUGMENT      /* how a training image is changed */
} DrawPurpose;

/* Values of `space` keep draws for different sets of samples apart: training, validation and test images. */
typedef struct {
    uint64_t seed;
    DrawPurpose purpose;
    uint32_t space;   /* < 16 */
    uint32_t epoch;   /* 0 for evaluation */
    uint32_t sample;  /* index of the sample in its file, or of the field for weights */
    uint32_t rollout; /* < 2^20 */
    uint32_t glimpse; /* < 2^12 */
} DrawKey;

/* Block `draw` (< 2^24) of four 32-bit numbers under `key`. */
RAM_DEVICE philox4x32_ctr_t philox_block(DrawKey key, uint32_t draw) {
    philox4x32_ctr_t counter = {
        {key.sample, key.epoch, key.rollout << 12 | key.glimpse, (uint32_t)key.purpose << 28 | key.space << 24 | draw}};
    philox4x32_key_t philox_key = {{(uint32_t)key.seed, (uint32_t)(key.seed >> 32)}};
    return philox4x32(counter, philox_key);
}

/* Uniform in [0, 1), every value a multiple of 2^-24. */
RAM_DEVICE float philox_unit(uint32_t bits) { return (float)(bits >> 8) * 0x1p-24f; }

/* Uniform in [-1, 1). */
RAM_DEVICE float philox_signed(uint32_t bits) { return 2.0f * philox_unit(bits) - 1.0f; }

/* Two standard normal numbers from two 32-bit ones (Box and Muller 1958). */
RAM_DEVICE void philox_normal(uint32_t bits0, uint32_t bits1, float out[2]) {
    float radius = sqrtf(-2.0f * logf((float)((bits0 >> 8) + 1) * 0x1p-24f));
    float angle = 6.283185307179586f * philox_unit(bits1);
    out[0] = radius * cosf(angle);
    out[1] = radius * sinf(angle);
}

#endif
