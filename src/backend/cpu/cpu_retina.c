/* The glimpse sensor (Mnih et al. 2014, section 3.1; DESIGN 2): K patches around a location, each `scale` times larger
 * than the one before, pooled to G x G. */
#include "backend/cpu/cpu.h"
#include "backend/element/retina.h"
#include "base/glimpse_window.h"

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

static void look(const Retina *retina, const uint8_t *picture, const float location[2], float *glimpse) {
    const int centre_x = glimpse_window_pixel(location[0], retina->width);
    const int centre_y = glimpse_window_pixel(location[1], retina->height);
    int factor = 1;
    for (int k = 0; k < retina->scales; k++, factor *= retina->scale) {
        const int side = retina->patch * factor;
        const int left = glimpse_window_first(centre_x, side), top = glimpse_window_first(centre_y, side);
        for (int c = 0; c < retina->channels; c++) {
            const RetinaPlane plane = retina_plane(retina, picture, factor, c);
            for (int y = 0; y < retina->patch; y++, glimpse += retina->patch) {
                if (factor == 1 && retina->channels == 1) {
                    copy_row(&plane, retina->patch, left, top + y, glimpse);
                    continue;
                }
                for (int x = 0; x < retina->patch; x++)
                    glimpse[x] = retina_pool(&plane, left + x * factor, top + y * factor);
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
