/* The glimpse sensor (Mnih et al. 2014, section 3.1; DESIGN 2): K patches around a location, each `scale` times larger
 * than the one before, pooled to G x G. */
#include "backend/cpu/cpu.h"
#include "backend/element/retina.h"
#include "base/glimpse_window.h"

#include <string.h>

/* Of pool_row(): pixels of a patch's side; pixels of a cell's side, so that the sum of a column fits in 16 bits. */
enum { COLUMNS = 2048, FACTOR_MOST = 257 };

/* One row of cells of a single pixel each, the commonest case: the same arithmetic as retina_pool(), but pixels of one
 * channel lie side by side, so the compiler takes many at once. */
static void copy_row(const RetinaPlane *plane, int patch, int x, int y, float *out) {
    int from = x < 0 ? -x : 0, to = x + patch > plane->width ? plane->width - x : patch;
    if (y < 0 || y >= plane->height || from > to) from = to = patch;
    const int64_t first = (int64_t)y * plane->width + x; /* of the patch's row, which may begin outside */
    const RetinaPlane fixed = *plane;
    for (int i = 0; i < from; i++) out[i] = 0.0f;
    for (int i = from; i < to; i++) out[i] = retina_value(&fixed, fixed.pixel[first + i], 1);
    for (int i = to; i < patch; i++) out[i] = 0.0f;
}

/* Cells `factor` columns wide; `from` and `to` bound the columns inside the picture, of `rows` rows each. Inlined where
 * the factor is a constant, so that its loop goes away. */
static inline __attribute__((always_inline)) void sum_columns(const RetinaPlane *plane, int patch, int factor, int from,
                                                              int to, int rows, const uint16_t *column, float *out) {
    const RetinaPlane fixed = *plane;
    for (int i = 0; i < patch; i++, column += factor) {
        const int left = i * factor > from ? i * factor : from;
        const int right = (i + 1) * factor < to ? (i + 1) * factor : to;
        int sum = 0;
        for (int c = 0; c < factor; c++) sum += column[c];
        out[i] = retina_value(&fixed, sum, left < right ? (right - left) * rows : 0);
    }
}

/* One row of cells of several pixels each, the first of which has its top left pixel at (x, y): first the sums of the
 * rows, column by column, then those of a cell's columns. Sums of bytes are exact, so retina_pool() gives the same. */
static void pool_row(const RetinaPlane *plane, int patch, int x, int y, float *out) {
    const int side = patch * plane->factor;
    const int top = y > 0 ? y : 0, bottom = y + plane->factor < plane->height ? y + plane->factor : plane->height;
    const int from = x < 0 ? -x : 0, to = x + side > plane->width ? plane->width - x : side;
    if (top >= bottom || from >= to) {
        for (int i = 0; i < patch; i++) out[i] = 0.0f;
        return;
    }
    uint16_t column[COLUMNS];
    memset(column, 0, (size_t)side * sizeof *column);
    for (int row = top; row < bottom; row++) {
        const uint8_t *pixel = plane->pixel + ((int64_t)row * plane->width + x + from) * plane->channels;
        if (plane->channels == 1) {
            for (int i = from; i < to; i++) column[i] = (uint16_t)(column[i] + pixel[i - from]);
        } else {
            for (int i = from; i < to; i++, pixel += plane->channels) column[i] = (uint16_t)(column[i] + *pixel);
        }
    }
    const int rows = bottom - top;
    switch (plane->factor) {
    case 2:
        sum_columns(plane, patch, 2, from, to, rows, column, out);
        break;
    case 3:
        sum_columns(plane, patch, 3, from, to, rows, column, out);
        break;
    case 4:
        sum_columns(plane, patch, 4, from, to, rows, column, out);
        break;
    case 8:
        sum_columns(plane, patch, 8, from, to, rows, column, out);
        break;
    default:
        sum_columns(plane, patch, plane->factor, from, to, rows, column, out);
        break;
    }
}

static void pool_row_of_any_size(const RetinaPlane *plane, int patch, int x, int y, float *out) {
    for (int i = 0; i < patch; i++) out[i] = retina_pool(plane, x + i * plane->factor, y);
}

static void look(const Retina *retina, const uint8_t *picture, const float location[2], float *glimpse) {
    const int centre_x = glimpse_window_pixel(location[0], retina->width);
    const int centre_y = glimpse_window_pixel(location[1], retina->height);
    int factor = 1;
    for (int k = 0; k < retina->scales; k++, factor *= retina->scale) {
        const int side = retina->patch * factor;
        const int left = glimpse_window_first(centre_x, side), top = glimpse_window_first(centre_y, side);
        const bool pools = side <= COLUMNS && factor <= FACTOR_MOST;
        for (int c = 0; c < retina->channels; c++) {
            const RetinaPlane plane = retina_plane(retina, picture, factor, c);
            for (int y = 0; y < retina->patch; y++, glimpse += retina->patch) {
                if (factor == 1 && retina->channels == 1)
                    copy_row(&plane, retina->patch, left, top + y, glimpse);
                else if (pools)
                    pool_row(&plane, retina->patch, left, top + y * factor, glimpse);
                else
                    pool_row_of_any_size(&plane, retina->patch, left, top + y * factor, glimpse);
            }
        }
    }
}

void cpu_retina(Backend *backend, const Span *span, const Retina *retina, const Pictures *pictures, DevFloats location,
                DevFloats glimpse) {
    (void)backend;
    const int64_t bytes = (int64_t)retina->height * retina->width * retina->channels;
    const int64_t features = (int64_t)retina->scales * retina->channels * retina->patch * retina->patch;
    const int64_t rows = span_rows(span);
    for (int64_t r = 0; r < rows; r++) {
        const uint8_t *picture = pictures->pixels.address + pictures->picture.address[r / span->samples] * bytes;
        look(retina, picture, location.address + 2 * r, glimpse.address + r * features);
    }
}
