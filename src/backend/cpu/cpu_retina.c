/* The glimpse sensor (Mnih et al. 2014, section 3.1; DESIGN 2): K patches around a location, each `scale` times larger
 * than the one before, pooled to G x G. Works on the raw bytes: sums of bytes are exact, and the normalisation of a
 * pooled cell is one multiplication and one addition per cell (pixels outside the picture are zero after
 * normalisation). */
#include "backend/cpu/cpu.h"
#include "base/glimpse_window.h"

typedef struct {
    const Retina *retina;
    const uint8_t *picture; /* (H, W, C) */
    float gain, shift;      /* of the channel at this scale: pooled = sum * gain + pixels * shift */
    int channel;
    int factor; /* pixels of a cell's side */
} Cell;

/* The pooled cell whose top left pixel is (x, y). */
static float pool(const Cell *cell, int x, int y) {
    const Retina *retina = cell->retina;
    int left = x > 0 ? x : 0, right = x + cell->factor < retina->width ? x + cell->factor : retina->width;
    int top = y > 0 ? y : 0, bottom = y + cell->factor < retina->height ? y + cell->factor : retina->height;
    if (left >= right || top >= bottom) return 0.0f;
    int64_t sum = 0;
    for (int row = top; row < bottom; row++) {
        const uint8_t *pixel = cell->picture + ((int64_t)row * retina->width + left) * retina->channels + cell->channel;
        for (int column = left; column < right; column++, pixel += retina->channels) sum += *pixel;
    }
    return (float)sum * cell->gain + (float)((right - left) * (bottom - top)) * cell->shift;
}

/* One row of cells of a single pixel each, the commonest case: the same arithmetic as pool(), but pixels of one channel
 * lie side by side, so the compiler takes many at once. */
static void copy_row(const Cell *cell, int x, int y, float *out) {
    const Retina *retina = cell->retina;
    const int patch = retina->patch;
    int from = x < 0 ? -x : 0, to = x + patch > retina->width ? retina->width - x : patch;
    if (y < 0 || y >= retina->height || from > to) from = to = patch;
    const int64_t first = (int64_t)y * retina->width + x; /* of the patch's row, which may begin outside */
    const float gain = cell->gain, shift = cell->shift;
    for (int i = 0; i < from; i++) out[i] = 0.0f;
    for (int i = from; i < to; i++) out[i] = (float)cell->picture[first + i] * gain + shift;
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
            const float area = (float)factor * (float)factor;
            Cell cell = {.retina = retina, .picture = picture, .channel = c, .factor = factor};
            cell.gain = 1.0f / (255.0f * retina->stddev[c] * area);
            cell.shift = -retina->mean[c] / (retina->stddev[c] * area);
            for (int y = 0; y < retina->patch; y++, glimpse += retina->patch) {
                if (factor == 1 && retina->channels == 1) {
                    copy_row(&cell, left, top + y, glimpse);
                    continue;
                }
                for (int x = 0; x < retina->patch; x++) glimpse[x] = pool(&cell, left + x * factor, top + y * factor);
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
