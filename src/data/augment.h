/* Augment: a training image shifted, turned, scaled and bent at random, so that a training sees each image anew every
 * epoch. A pure function of the image and a key of Philox. Must not know tasks, splits or epochs. Nothing here is
 * collective; augment_image is re-entrant. */
#ifndef RAM_DATA_AUGMENT_H
#define RAM_DATA_AUGMENT_H

#include "base/philox.h"

#include <stdbool.h>
#include <stddef.h>

/* Each is the most by which an image is changed, either way, drawn uniformly (elastic: normally); 0: not at all. */
typedef struct {
    double shift;    /* pixels, along each axis */
    double rotation; /* degrees about the centre */
    double scale;    /* share: 0.1 is from 0.9 to 1.1 times */
    double elastic; /* pixels: standard deviation of the displacement at control points AUGMENT_GRID apart (after Simard
                       et al. 2003) */
} Augmentation;

enum { AUGMENT_GRID = 7 /* pixels */ };

static inline bool augment_is_off(const Augmentation *a) {
    return a->shift <= 0 && a->rotation <= 0 && a->scale <= 0 && a->elastic <= 0;
}

/* Numbers that augment_image needs for itself. */
size_t augment_scratch(int height, int width, int channels);

/* image, out (height, width, channels): each pixel of `out` is interpolated between the four of `image` around the
 * place it comes from; outside is 0. key: its rollout and glimpse are used up here. */
void augment_image(const Augmentation *augmentation, DrawKey key, int height, int width, int channels,
                   const uint8_t *image, float *scratch, uint8_t *out);

#endif
