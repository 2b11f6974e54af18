/* Glimpse window: which pixels of a picture a glimpse covers (DESIGN 2). The one place where a location becomes pixels:
 * the retina looks there, and pictures draw its boxes there. Must not know what is in the pixels. Header only. */
#ifndef RAM_BASE_GLIMPSE_WINDOW_H
#define RAM_BASE_GLIMPSE_WINDOW_H

#include "base/device.h"

/* The pixel that a coordinate in [-1, 1] falls on along an axis of `side` pixels, 0 to `side`; the first for the NaN of
 * a diverged model, which has none. */
RAM_DEVICE int glimpse_window_pixel(float coordinate, int side) {
    const float pixel = 0.5f * (coordinate + 1.0f) * (float)side;
    return pixel > 0.0f ? (int)pixel : 0;
}

/* The first of the `covered` pixels of a patch around `pixel`; negative where it begins outside the picture. */
RAM_DEVICE int glimpse_window_first(int pixel, int covered) { return pixel - covered / 2; }

#endif
