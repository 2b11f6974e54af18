#include "data/augment.h"
#include "base/log.h"

#include <math.h>
#include <string.h>

enum { POINTS_MOST = 4096 / AUGMENT_GRID + 5 /* control points of the longest side that IDX files may have */ };

/* Weights of the four control points around a place t (0..1) between the middle two: the uniform cubic B-spline. */
static void spline_weights(float t, float weight[4]) {
    const float s = 1 - t;
    weight[0] = s * s * s / 6;
    weight[1] = (3 * t * t * t - 6 * t * t + 4) / 6;
    weight[2] = (3 * s * s * s - 6 * s * s + 4) / 6;
    weight[3] = t * t * t / 6;
}

/* Displacement (x, y) at control point (row, column), in units of its standard deviation. */
static void control_point(DrawKey key, int row, int column, float out[2]) {
    key.rollout = 1 + (uint32_t)row;
    key.glimpse = (uint32_t)column;
    const philox4x32_ctr_t block = philox_block(key, 0);
    philox_normal(block.v[0], block.v[1], out);
}

/* The displacements of one row of pixels, as a spline along x: one pair for each column of control points. Its four
 * rows of control points serve all rows of pixels between the same two. */
typedef struct {
    int points;
    float point[4][POINTS_MOST][2]; /* the four rows of control points around, row r in place r modulo 4 */
    float x[POINTS_MOST], y[POINTS_MOST];
} RowSpline;

static void draw_points(DrawKey key, int row, RowSpline *spline) {
    for (int column = 0; column < spline->points; column++)
        control_point(key, row, column, spline->point[row % 4][column]);
}

/* Called for one row after the other, from 0 on: a row of control points is drawn once. */
static void row_spline(const Augmentation *a, DrawKey key, int row, int width, RowSpline *spline) {
    float weight[4];
    const int first = row / AUGMENT_GRID;
    spline_weights((float)(row % AUGMENT_GRID) / AUGMENT_GRID, weight);
    spline->points = (width - 1) / AUGMENT_GRID + 4;
    require(spline->points <= POINTS_MOST);
    for (int i = row == 0 ? 0 : 3; row % AUGMENT_GRID == 0 && i < 4; i++) draw_points(key, first + i, spline);
    for (int column = 0; column < spline->points; column++) {
        spline->x[column] = spline->y[column] = 0;
        for (int i = 0; i < 4; i++) {
            const float *point = spline->point[(first + i) % 4][column];
            spline->x[column] += (float)a->elastic * weight[i] * point[0];
            spline->y[column] += (float)a->elastic * weight[i] * point[1];
        }
    }
}

/* weight: of the column's place between its control points. */
static void bend(const RowSpline *spline, int column, const float weight[4], float *x, float *y) {
    const int first = column / AUGMENT_GRID;
    for (int i = 0; i < 4; i++) {
        *x += weight[i] * spline->x[first + i];
        *y += weight[i] * spline->y[first + i];
    }
}

typedef struct {
    int height, width, channels;
    const uint8_t *pixels;
} Source;

static float pixel(const Source *source, int row, int column, int channel) {
    if (row < 0 || row >= source->height || column < 0 || column >= source->width) return 0;
    return source
        ->pixels[((size_t)row * (size_t)source->width + (size_t)column) * (size_t)source->channels + (size_t)channel];
}

/* Bilinear, rounded. */
static void sample(const Source *source, float x, float y, uint8_t *out) {
    const float left = floorf(x), top = floorf(y), u = x - left, v = y - top;
    if (!(left >= -1 && left < (float)source->width && top >= -1 && top < (float)source->height)) {
        memset(out, 0, (size_t)source->channels);
        return;
    }
    const int column = (int)left, row = (int)top, channels = source->channels;
    const bool inside = column >= 0 && column + 1 < source->width && row >= 0 && row + 1 < source->height;
    for (int c = 0; c < channels; c++) {
        float corner[4];
        if (inside) { /* nearly all */
            const uint8_t *upper =
                source->pixels + ((size_t)row * (size_t)source->width + (size_t)column) * (size_t)channels;
            const uint8_t *lower = upper + source->width * channels;
            corner[0] = upper[c];
            corner[1] = upper[c + channels];
            corner[2] = lower[c];
            corner[3] = lower[c + channels];
        } else {
            for (int i = 0; i < 4; i++) corner[i] = pixel(source, row + i / 2, column + i % 2, c);
        }
        const float upper = (1 - u) * corner[0] + u * corner[1], lower = (1 - u) * corner[2] + u * corner[3];
        out[c] = (uint8_t)lrintf((1 - v) * upper + v * lower);
    }
}

void augment_image(const Augmentation *a, DrawKey key, int height, int width, int channels, const uint8_t *image,
                   uint8_t *out) {
    const Source source = {height, width, channels, image};
    key.rollout = key.glimpse = 0;
    const philox4x32_ctr_t draw = philox_block(key, 0);
    const double angle = a->rotation * (double)philox_signed(draw.v[0]) * 3.14159265358979 / 180;
    const double factor = 1 / (1 + a->scale * (double)philox_signed(draw.v[1]));
    const float cosine = (float)(factor * cos(angle)), sine = (float)(factor * sin(angle));
    const float centre_x = 0.5f * (float)(width - 1), centre_y = 0.5f * (float)(height - 1);
    const float shift_x = (float)a->shift * philox_signed(draw.v[2]),
                shift_y = (float)a->shift * philox_signed(draw.v[3]);
    RowSpline spline;
    float weight[AUGMENT_GRID][4];
    for (int i = 0; i < AUGMENT_GRID; i++) spline_weights((float)i / AUGMENT_GRID, weight[i]);
    for (int row = 0; row < height; row++) {
        if (a->elastic > 0) row_spline(a, key, row, width, &spline);
        for (int column = 0; column < width; column++) {
            const float dx = (float)column - centre_x - shift_x, dy = (float)row - centre_y - shift_y;
            float x = centre_x + cosine * dx + sine * dy, y = centre_y - sine * dx + cosine * dy;
            if (a->elastic > 0) bend(&spline, column, weight[column % AUGMENT_GRID], &x, &y);
            sample(&source, x, y, out);
            out += channels;
        }
    }
}
