#include "data/augment.h"
#include "base/log.h"

#include <math.h>
#include <string.h>

enum {
    SIDE_MOST = 4096,                           /* of what IDX files may have */
    POINTS_MOST = SIDE_MOST / AUGMENT_GRID + 5, /* its control points */
    GROUP = AUGMENT_GRID + 1 /* pixels that are bent together: what lies between control points, and one
                                more that is done again, since eight fill a vector */
};

/* Weights of the four control points around a place t (0..1) between the middle two: the uniform cubic B-spline. */
static void spline_weights(float t, float weight[4]) {
    const float s = 1 - t;
    weight[0] = s * s * s / 6;
    weight[1] = (3 * t * t * t - 6 * t * t + 4) / 6;
    weight[2] = (3 * s * s * s - 6 * s * s + 4) / 6;
    weight[3] = t * t * t / 6;
}

/* The same for the columns of a group. */
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
static void row_spline(const Augmentation *a, DrawKey key, int row, RowSpline *spline) {
    float weight[4];
    const int first = row / AUGMENT_GRID;
    spline_weights((float)(row % AUGMENT_GRID) / AUGMENT_GRID, weight);
    for (int i = row == 0 ? 0 : 3; row % AUGMENT_GRID == 0 && i < 4; i++) draw_points(key, first + i, spline);
    for (int axis = 0; axis < AXES; axis++)
        for (int column = 0; column < spline->points; column++) {
            float sum = 0;
            for (int i = 0; i < 4; i++)
                sum += (float)a->elastic * weight[i] * spline->point[(first + i) % 4][axis][column];
            spline->along[axis][column] = sum;
        }
}

/* Where a row of the new image comes from, in the old one: x and y of each pixel, and of some behind the last. */
typedef struct {
    float place[AXES][SIDE_MOST + 2 * GROUP];
} Origin;

/* Along an axis: centre + slope * distance of the column + offset, bent by the spline's values. weight: by the column's
 * place between its control points. The last of a group is made again as the first of the next one. */
static void find_origin(float centre, float slope, const float *distance, float offset, const float *bend,
                        const float weight[4][GROUP], int width, float *place) {
    for (int group = 0; group * AUGMENT_GRID < width; group++) {
        const int first = group * AUGMENT_GRID;
        float sum[GROUP];
        for (int k = 0; k < GROUP; k++) sum[k] = centre + slope * distance[first + k] + offset;
        for (int i = 0; i < 4; i++)
            for (int k = 0; k < GROUP; k++) sum[k] += weight[i][k] * bend[group + i];
        for (int k = 0; k < GROUP; k++) place[first + k] = sum[k];
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

/* A row of the new image: bilinear, rounded. Whole vectors: some pixels behind the last are made too. */
static inline void sample(const Source *source, const Origin *origin, int channels, uint8_t *restrict out) {
    const float *restrict values = source->values;
    const int width = source->width, stride = source->stride;
    for (int first = 0; first < width; first += GROUP) {
        int pixel[GROUP], corner[GROUP];
        float u[GROUP], v[GROUP];
        for (int k = 0; k < GROUP; k++) {
            const float x = clamp(origin->place[X][first + k], width), left = floorf(x);
            const float y = clamp(origin->place[Y][first + k], source->height), top = floorf(y);
            u[k] = x - left;
            v[k] = y - top;
            corner[k] = (int)top * stride + (int)left * channels;
        }
        const int count = width - first < GROUP ? width - first : GROUP;
        for (int c = 0; c < channels; c++) {
            for (int k = 0; k < GROUP; k++) {
                const float *at = values + corner[k] + c;
                const float upper = (1 - u[k]) * at[0] + u[k] * at[channels];
                const float lower = (1 - u[k]) * at[stride] + u[k] * at[stride + channels];
                pixel[k] = (int)rintf((1 - v[k]) * upper + v[k] * lower);
            }
            for (int k = 0; k < count; k++) out[(first + k) * channels + c] = (uint8_t)pixel[k];
        }
    }
}

void augment_image(const Augmentation *a, DrawKey key, int height, int width, int channels, const uint8_t *image,
                   float *scratch, uint8_t *out) {
    require(width <= SIDE_MOST && height <= SIDE_MOST);
    key.rollout = key.glimpse = 0;
    const philox4x32_ctr_t draw = philox_block(key, 0);
    const double angle = a->rotation * (double)philox_signed(draw.v[0]) * 3.14159265358979 / 180;
    const double factor = 1 / (1 + a->scale * (double)philox_signed(draw.v[1]));
    const float cosine = (float)(factor * cos(angle)), sine = (float)(factor * sin(angle));
    const float slope[AXES] = {cosine, -sine}, across[AXES] = {sine, cosine};
    const float centre[AXES] = {0.5f * (float)(width - 1), 0.5f * (float)(height - 1)};
    const float shift[AXES] = {(float)a->shift * philox_signed(draw.v[2]), (float)a->shift * philox_signed(draw.v[3])};
    float weight[4][GROUP], distance[SIDE_MOST + GROUP];
    group_weights(weight);
    for (int column = 0; column < width + GROUP; column++) distance[column] = (float)column - centre[X] - shift[X];
    RowSpline spline;
    Origin origin;
    start_spline(width, &spline);
    for (int axis = 0; axis < AXES; axis++) /* sample() goes by whole vectors, also behind the last group */
        memset(origin.place[axis] + width, 0, GROUP * sizeof origin.place[axis][0]);
    const Source source = pad(height, width, channels, image, scratch);
    for (int row = 0; row < height; row++) {
        if (a->elastic > 0) row_spline(a, key, row, &spline);
        const float down = (float)row - centre[Y] - shift[Y];
        for (int axis = 0; axis < AXES; axis++)
            find_origin(centre[axis], slope[axis], distance, across[axis] * down, spline.along[axis], weight, width,
                        origin.place[axis]);
        uint8_t *row_out = out + (ptrdiff_t)row * width * channels;
        if (channels == 1)
            sample(&source, &origin, 1, row_out);
        else
            sample(&source, &origin, channels, row_out);
    }
}
