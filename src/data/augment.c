#include "data/augment.h"
#include "base/log.h"
#include "data/idx.h"

#include <math.h>
#include <string.h>

enum {
    POINTS_MOST = IDX_MOST_SIDE / AUGMENT_GRID + 5, /* control points along the longest side */
    GROUP = AUGMENT_GRID + 1, /* pixels that are bent together: what lies between control points, and one more that is
                                 done again, since eight fill a vector */
    STRIP = 4 * GROUP         /* pixels of a row that are interpolated together */
};

/* Weights of the four control points around a place t (0..1) between the middle two: the uniform cubic B-spline. */
static void spline_weights(float t, float weight[4]) {
    const float s = 1 - t;
    weight[0] = s * s * s / 6;
    weight[1] = (3 * t * t * t - 6 * t * t + 4) / 6;
    weight[2] = (3 * s * s * s - 6 * s * s + 4) / 6;
    weight[3] = t * t * t / 6;
}

/* The same for the pixels of a group, of columns or of rows. */
static void group_weights(float weight[4][GROUP]) {
    for (int k = 0; k < GROUP; k++) {
        float of_place[4];
        spline_weights((float)k / AUGMENT_GRID, of_place);
        for (int i = 0; i < 4; i++) weight[i][k] = of_place[i];
    }
}

enum { X, Y, AXES };

/* The displacements of one row of pixels, as a spline along x: one for each axis and column of control points. Its four
 * rows of control points serve all rows of pixels between the same two. */
typedef struct {
    int points;
    float point[4][AXES][POINTS_MOST]; /* the four rows of control points around, row r in place r modulo 4, in units
                                          of their standard deviation */
    float along[AXES][POINTS_MOST];    /* pixels */
} RowSpline;

static void draw_points(DrawKey key, int row, RowSpline *spline) {
    key.rollout = 1 + (uint32_t)row;
    for (int column = 0; column < spline->points; column++) {
        float normal[2];
        key.glimpse = (uint32_t)column;
        const philox4x32_ctr_t block = philox_block(key, 0);
        philox_normal(block.v[0], block.v[1], normal);
        for (int axis = 0; axis < AXES; axis++) spline->point[row % 4][axis][column] = normal[axis];
    }
}

/* Straight, until row_spline() is called. */
static void start_spline(int width, RowSpline *spline) {
    spline->points = (width - 1) / AUGMENT_GRID + 4;
    require(spline->points <= POINTS_MOST);
    for (int axis = 0; axis < AXES; axis++)
        memset(spline->along[axis], 0, (size_t)spline->points * sizeof spline->along[axis][0]);
}

/* Called for one row after the other, from 0 on: a row of control points is drawn once. */
static void row_spline(const Augmentation *a, DrawKey key, const float weight[4][GROUP], int row, RowSpline *spline) {
    const int first = row / AUGMENT_GRID;
    for (int i = row == 0 ? 0 : 3; row % AUGMENT_GRID == 0 && i < 4; i++) draw_points(key, first + i, spline);
    for (int axis = 0; axis < AXES; axis++)
        for (int column = 0; column < spline->points; column++) {
            float sum = 0;
            for (int i = 0; i < 4; i++)
                sum += (float)a->elastic * weight[i][row % AUGMENT_GRID] * spline->point[(first + i) % 4][axis][column];
            spline->along[axis][column] = sum;
        }
}

/* Where a row of the new image comes from, in the old one: x and y of each pixel, and of some behind the last. */
typedef struct {
    float place[AXES][IDX_MOST_SIDE + STRIP];
} Origin;

/* Eight numbers of a row side by side, in a vector: of loops over a group compilers make worse ones. */
typedef float Eight __attribute__((vector_size(GROUP * sizeof(float))));

static Eight load(const float *from) {
    Eight eight;
    memcpy(&eight, from, sizeof eight);
    return eight;
}

/* Along an axis: centre + slope * distance of the column + offset, bent by the spline's values. weight: by the column's
 * place between its control points. The last of a group is made again as the first of the next one. */
static void find_origin(float centre, float slope, const float *distance, float offset, const float *bend,
                        const float weight[4][GROUP], int width, float *place) {
    const Eight of_point[4] = {load(weight[0]), load(weight[1]), load(weight[2]), load(weight[3])};
    for (int group = 0; group * AUGMENT_GRID < width; group++) {
        const int first = group * AUGMENT_GRID;
        Eight sum = centre + slope * load(distance + first) + offset;
        for (int i = 0; i < 4; i++) sum += of_point[i] * bend[group + i];
        memcpy(place + first, &sum, sizeof sum);
    }
}

/* An image as numbers, with zeros around: one row and column before it, two behind. */
typedef struct {
    int height, width, channels, stride; /* stride: numbers in a row */
    const float *values;                 /* the pixel at row 0, column 0 */
} Source;

size_t augment_scratch(int height, int width, int channels) {
    return (size_t)(height + 3) * (size_t)(width + 3) * (size_t)channels;
}

static Source pad(int height, int width, int channels, const uint8_t *image, float *scratch) {
    const int stride = (width + 3) * channels;
    float *values = scratch + stride + channels;
    memset(scratch, 0, augment_scratch(height, width, channels) * sizeof *scratch);
    for (int row = 0; row < height; row++)
        for (int i = 0; i < width * channels; i++)
            values[(ptrdiff_t)row * stride + i] = image[(ptrdiff_t)row * width * channels + i];
    return (Source){height, width, channels, stride, values};
}

static float clamp(float x, int side) {
    x = x > -1 ? x : -1;
    return x < (float)side ? x : (float)side; /* both ends and what lies behind are 0 */
}

/* What the pixels of a strip are interpolated from: the four around the place of each, and how far it lies from the
 * first of them. */
typedef struct {
    int corner[STRIP]; /* in the source's numbers */
    float u[STRIP], v[STRIP];
    float upper[STRIP][2], lower[STRIP][2];
} Corners;

static void find_corners(const Source *source, int channels, const float *place_x, const float *place_y,
                         Corners *corners) {
    for (int k = 0; k < STRIP; k++) {
        const float x = clamp(place_x[k], source->width), left = floorf(x);
        const float y = clamp(place_y[k], source->height), top = floorf(y);
        corners->u[k] = x - left;
        corners->v[k] = y - top;
        corners->corner[k] = (int)top * source->stride + (int)left * channels;
    }
}

/* A strip of the new image: bilinear, rounded. In steps of their own, of which all but the collecting are vectors. */
static inline void sample(const Source *source, int channels, int count, Corners *corners, uint8_t *out) {
    for (int c = 0; c < channels; c++) {
        int pixel[STRIP];
        for (int k = 0; k < STRIP; k++) {
            const float *at = source->values + corners->corner[k] + c, *below = at + source->stride;
            corners->upper[k][0] = at[0];
            corners->upper[k][1] = at[channels];
            corners->lower[k][0] = below[0];
            corners->lower[k][1] = below[channels];
        }
        for (int k = 0; k < STRIP; k++) {
            const float u = corners->u[k], v = corners->v[k];
            const float upper = (1 - u) * corners->upper[k][0] + u * corners->upper[k][1];
            const float lower = (1 - u) * corners->lower[k][0] + u * corners->lower[k][1];
            pixel[k] = (int)rintf((1 - v) * upper + v * lower);
        }
        for (int k = 0; k < count; k++) out[k * channels + c] = (uint8_t)pixel[k];
    }
}

static void sample_row(const Source *source, const Origin *origin, uint8_t *out) {
    Corners corners;
    const int width = source->width, channels = source->channels;
    for (int first = 0; first < width; first += STRIP) {
        const int count = width - first < STRIP ? width - first : STRIP;
        find_corners(source, channels, origin->place[X] + first, origin->place[Y] + first, &corners);
        if (channels == 1)
            sample(source, 1, count, &corners, out + first);
        else
            sample(source, channels, count, &corners, out + (ptrdiff_t)first * channels);
    }
}

void augment_image(const Augmentation *a, DrawKey key, int height, int width, int channels, const uint8_t *image,
                   float *scratch, uint8_t *out) {
    require(width <= IDX_MOST_SIDE && height <= IDX_MOST_SIDE);
    key.rollout = key.glimpse = 0;
    const philox4x32_ctr_t draw = philox_block(key, 0);
    const double angle = a->rotation * (double)philox_signed(draw.v[0]) * 3.14159265358979 / 180;
    const double factor = 1 / (1 + a->scale * (double)philox_signed(draw.v[1]));
    const float cosine = (float)(factor * cos(angle)), sine = (float)(factor * sin(angle));
    const float slope[AXES] = {cosine, -sine}, across[AXES] = {sine, cosine};
    const float centre[AXES] = {0.5f * (float)(width - 1), 0.5f * (float)(height - 1)};
    const float shift[AXES] = {(float)a->shift * philox_signed(draw.v[2]), (float)a->shift * philox_signed(draw.v[3])};
    float weight[4][GROUP], distance[IDX_MOST_SIDE + GROUP];
    group_weights(weight);
    for (int column = 0; column < width + GROUP; column++) distance[column] = (float)column - centre[X] - shift[X];
    RowSpline spline;
    Origin origin;
    start_spline(width, &spline);
    for (int axis = 0; axis < AXES; axis++) /* sample() takes whole strips, also behind the last group */
        memset(origin.place[axis] + width, 0, STRIP * sizeof origin.place[axis][0]);
    const Source source = pad(height, width, channels, image, scratch);
    for (int row = 0; row < height; row++) {
        if (a->elastic > 0) row_spline(a, key, weight, row, &spline);
        const float down = (float)row - centre[Y] - shift[Y];
        for (int axis = 0; axis < AXES; axis++)
            find_origin(centre[axis], slope[axis], distance, across[axis] * down, spline.along[axis], weight, width,
                        origin.place[axis]);
        sample_row(&source, &origin, out + (ptrdiff_t)row * width * channels);
    }
}
