/* The glimpse sensor, one cell at a time (Mnih et al. 2014, section 3.1; DESIGN 2), for every backend. Works on the raw
 * bytes: sums of bytes are exact, and the normalisation of a pooled cell is one multiplication and one addition (pixels
 * outside the picture are zero after normalisation). Must not know who computes which cell. Nothing is collective. */
#ifndef RAM_BACKEND_ELEMENT_RETINA_H
#define RAM_BACKEND_ELEMENT_RETINA_H

#include "backend/backend.h"
#include "base/device.h"

/* One channel of a picture at one scale. */
typedef struct {
    const uint8_t *pixel; /* the channel's first; the next one is `channels` bytes further */
    int height, width, channels;
    int factor;        /* pixels of a cell's side */
    float gain, shift; /* pooled = sum * gain + pixels * shift */
} RetinaPlane;

/* picture (H, W, C); `factor` is scale^k. */
RAM_DEVICE RetinaPlane retina_plane(const Retina *retina, const uint8_t *picture, int factor, int channel) {
    const float area = (float)factor * (float)factor;
    RetinaPlane plane;
    plane.pixel = picture + channel;
    plane.height = retina->height;
    plane.width = retina->width;
    plane.channels = retina->channels;
    plane.factor = factor;
    plane.gain = 1.0f / (255.0f * retina->stddev[channel] * area);
    plane.shift = -retina->mean[channel] / (retina->stddev[channel] * area);
    return plane;
}

/* Of a cell with `pixels` pixels inside the picture, the sum of whose bytes is `sum`. */
RAM_DEVICE float retina_value(const RetinaPlane *plane, int64_t sum, int pixels) {
    return (float)sum * plane->gain + (float)pixels * plane->shift;
}

/* The pooled cell whose top left pixel is (x, y). */
RAM_DEVICE float retina_pool(const RetinaPlane *plane, int x, int y) {
    const int left = x > 0 ? x : 0, right = x + plane->factor < plane->width ? x + plane->factor : plane->width;
    const int top = y > 0 ? y : 0, bottom = y + plane->factor < plane->height ? y + plane->factor : plane->height;
    if (left >= right || top >= bottom) return 0.0f;
    int64_t sum = 0;
    for (int row = top; row < bottom; row++) {
        const uint8_t *pixel = plane->pixel + ((int64_t)row * plane->width + left) * plane->channels;
        for (int column = left; column < right; column++, pixel += plane->channels) sum += *pixel;
    }
    return retina_value(plane, sum, (right - left) * (bottom - top));
}

#endif
