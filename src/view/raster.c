#include "view/raster.h"
#include "base/memory.h"
#include "view/stroke_font.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static Raster *raster_of(Canvas *canvas) { return (Raster *)canvas; }

static void blend(Raster *raster, int x, int y, Rgb colour, double opacity) {
    if (raster->hidden || x < raster->left || x >= raster->right || y < raster->top || y >= raster->bottom) return;
    uint8_t *pixel = raster->pixels + 3 * ((size_t)y * (size_t)raster->width + (size_t)x);
    const uint8_t parts[3] = {colour.red, colour.green, colour.blue};
    for (int c = 0; c < 3; c++) pixel[c] = (uint8_t)lrint(pixel[c] + (parts[c] - pixel[c]) * opacity);
}

static int pixel_at(const Raster *raster, double units) { return (int)lrint(units * raster->scale); }

static int clamp(int value, int least, int most) { return value < least ? least : value > most ? most : value; }

/* Pixels `left` to `right` - 1 of the rows `top` to `bottom` - 1. */
static void fill_pixels(Raster *raster, int left, int top, int right, int bottom, Paint paint) {
    const int from = clamp(left, raster->left, raster->right), to = clamp(right, raster->left, raster->right);
    const int first = clamp(top, raster->top, raster->bottom), end = clamp(bottom, raster->top, raster->bottom);
    for (int y = first; y < end; y++)
        for (int x = from; x < to; x++) blend(raster, x, y, ink_light(paint.ink), paint.opacity);
}

static void raster_fill(Canvas *canvas, Box box, Paint paint) {
    Raster *raster = raster_of(canvas);
    fill_pixels(raster, pixel_at(raster, box.x), pixel_at(raster, box.y), pixel_at(raster, box.x + box.width),
                pixel_at(raster, box.y + box.height), paint);
}

static void raster_frame(Canvas *canvas, Box box, double width, Paint paint) {
    Raster *raster = raster_of(canvas);
    const int left = pixel_at(raster, box.x), right = pixel_at(raster, box.x + box.width);
    const int top = pixel_at(raster, box.y), bottom = pixel_at(raster, box.y + box.height);
    const int line = width * raster->scale < 1 ? 1 : pixel_at(raster, width);
    fill_pixels(raster, left, top, right, top + line, paint);
    fill_pixels(raster, left, bottom - line, right, bottom, paint);
    fill_pixels(raster, left, top + line, left + line, bottom - line, paint);
    fill_pixels(raster, right - line, top + line, right, bottom - line, paint);
}

/* Distance of p from the piece of line a to b, all in pixels. */
static double distance(Point p, Point a, Point b) {
    const double dx = b.x - a.x, dy = b.y - a.y, squared = dx * dx + dy * dy;
    double along = squared > 0 ? ((p.x - a.x) * dx + (p.y - a.y) * dy) / squared : 0;
    along = fmin(1, fmax(0, along));
    return hypot(p.x - a.x - along * dx, p.y - a.y - along * dy);
}

/* How much of each pixel a drawing covers, so that strokes which overlap do not darken each other. */
typedef struct {
    Raster *raster;
    double half; /* width of the stroke, in pixels */
    Point origin;
    bool upright;
    int left, top, width, height;
    float *cover; /* (height, width) */
} Mask;

static Mask mask_begin(Raster *raster, double x0, double y0, double x1, double y1, double half) {
    Mask mask = {.raster = raster, .half = half};
    mask.left = clamp((int)floor(fmin(x0, x1) - half) - 1, raster->left, raster->right);
    mask.top = clamp((int)floor(fmin(y0, y1) - half) - 1, raster->top, raster->bottom);
    mask.width = clamp((int)ceil(fmax(x0, x1) + half) + 2, raster->left, raster->right) - mask.left;
    mask.height = clamp((int)ceil(fmax(y0, y1) + half) + 2, raster->top, raster->bottom) - mask.top;
    mask.cover = memory_new((size_t)mask.width * (size_t)mask.height, sizeof *mask.cover);
    return mask;
}

static void mask_stroke(Mask *mask, Point a, Point b) {
    const int left = clamp((int)floor(fmin(a.x, b.x) - mask->half) - 1 - mask->left, 0, mask->width);
    const int right = clamp((int)ceil(fmax(a.x, b.x) + mask->half) + 2 - mask->left, 0, mask->width);
    const int top = clamp((int)floor(fmin(a.y, b.y) - mask->half) - 1 - mask->top, 0, mask->height);
    const int bottom = clamp((int)ceil(fmax(a.y, b.y) + mask->half) + 2 - mask->top, 0, mask->height);
    for (int y = top; y < bottom; y++)
        for (int x = left; x < right; x++) {
            const Point centre = {x + mask->left + 0.5, y + mask->top + 0.5};
            const float cover = (float)fmin(1, fmax(0, mask->half + 0.5 - distance(centre, a, b)));
            float *known = &mask->cover[(size_t)y * (size_t)mask->width + (size_t)x];
            if (cover > *known) *known = cover;
        }
}

static void mask_end(Mask *mask, Paint paint) {
    for (int y = 0; y < mask->height; y++)
        for (int x = 0; x < mask->width; x++) {
            const float cover = mask->cover[(size_t)y * (size_t)mask->width + (size_t)x];
            if (cover > 0)
                blend(mask->raster, x + mask->left, y + mask->top, ink_light(paint.ink), (double)cover * paint.opacity);
        }
    free(mask->cover);
}

/* The parts of a piece of line that a dash shows. `at`: length of line before it, in units. */
static void mask_dashed(Mask *mask, Point a, Point b, Dash dash, double at) {
    static const double PATTERN[DASHES][4] = {{1, 0, 1, 0}, {6, 3, 6, 3}, {1.5, 2.5, 1.5, 2.5}, {8, 3, 1.5, 3}};
    const double *pattern = PATTERN[dash], scale = mask->raster->scale;
    const double period = pattern[0] + pattern[1] + pattern[2] + pattern[3];
    const double length = hypot(b.x - a.x, b.y - a.y) / scale;
    if (dash == DASH_NONE || length == 0) {
        mask_stroke(mask, a, b);
        return;
    }
    for (double base = floor(at / period) * period; base < at + length; base += period) {
        const double start[2] = {base, base + pattern[0] + pattern[1]};
        for (int i = 0; i < 2; i++) {
            const double from = fmax(0, start[i] - at) / length;
            const double to = fmin(length, start[i] + pattern[2 * i] - at) / length;
            if (from >= to) continue;
            mask_stroke(mask, (Point){a.x + from * (b.x - a.x), a.y + from * (b.y - a.y)},
                        (Point){a.x + to * (b.x - a.x), a.y + to * (b.y - a.y)});
        }
    }
}

static void raster_line(Canvas *canvas, int points, const Point *point, double width, Dash dash, Paint paint) {
    Raster *raster = raster_of(canvas);
    double left = INFINITY, top = INFINITY, right = -INFINITY, bottom = -INFINITY, at = 0;
    for (int i = 0; i < points; i++) {
        left = fmin(left, point[i].x * raster->scale), right = fmax(right, point[i].x * raster->scale);
        top = fmin(top, point[i].y * raster->scale), bottom = fmax(bottom, point[i].y * raster->scale);
    }
    if (points < 2) return;
    Mask mask = mask_begin(raster, left, top, right, bottom, width * raster->scale / 2);
    for (int i = 1; i < points; i++) {
        const Point a = {point[i - 1].x * raster->scale, point[i - 1].y * raster->scale};
        const Point b = {point[i].x * raster->scale, point[i].y * raster->scale};
        mask_dashed(&mask, a, b, dash, at);
        at += hypot(b.x - a.x, b.y - a.y) / raster->scale;
    }
    mask_end(&mask, paint);
}

static void raster_disc(Canvas *canvas, Point centre, double radius, Paint paint) {
    Raster *raster = raster_of(canvas);
    const Point point = {centre.x * raster->scale, centre.y * raster->scale};
    Mask mask = mask_begin(raster, point.x, point.y, point.x, point.y, radius * raster->scale);
    mask_stroke(&mask, point, point);
    mask_end(&mask, paint);
}

/* A stroke of a letter; `from` and `to` in pixels from the start of the base line. */
static void stroke_letter(void *context, Point from, Point to) {
    Mask *mask = context;
    const Point o = mask->origin;
    if (mask->upright)
        mask_stroke(mask, (Point){o.x + from.y, o.y - from.x}, (Point){o.x + to.y, o.y - to.x});
    else
        mask_stroke(mask, (Point){o.x + from.x, o.y + from.y}, (Point){o.x + to.x, o.y + to.y});
}

static void raster_text(Canvas *canvas, Point base, TextStyle style, const char *text) {
    Raster *raster = raster_of(canvas);
    const double size = style.size * raster->scale, length = stroke_font_width(text, size);
    const double shift = style.anchor == ANCHOR_START ? 0 : style.anchor == ANCHOR_MIDDLE ? -length / 2 : -length;
    const double half = fmax(0.5, size * (style.bold ? 0.065 : 0.045));
    const Point start = {base.x * raster->scale + (style.upright ? 0 : shift),
                         base.y * raster->scale - (style.upright ? shift : 0)};
    const double right = start.x + (style.upright ? size : length), end = start.y - (style.upright ? length : -size);
    Mask mask = mask_begin(raster, start.x - size, fmin(start.y, end) - size, right, fmax(start.y, end), half);
    mask.origin = start;
    mask.upright = style.upright;
    stroke_font_draw(text, size, stroke_letter, &mask);
    mask_end(&mask, style.paint);
}

static void raster_draw_bitmap(Canvas *canvas, Box box, const Bitmap *bitmap) {
    Raster *raster = raster_of(canvas);
    const int left = pixel_at(raster, box.x), right = pixel_at(raster, box.x + box.width);
    const int top = pixel_at(raster, box.y), bottom = pixel_at(raster, box.y + box.height);
    for (int y = top; y < bottom; y++)
        for (int x = left; x < right; x++) {
            const size_t row = (size_t)(y - top) * (size_t)bitmap->height / (size_t)(bottom - top);
            const size_t column = (size_t)(x - left) * (size_t)bitmap->width / (size_t)(right - left);
            const uint8_t *from = bitmap->pixels + (row * (size_t)bitmap->width + column) * (size_t)bitmap->channels;
            const bool grey = bitmap->channels == 1;
            blend(raster, x, y, (Rgb){from[0], from[grey ? 0 : 1], from[grey ? 0 : 2]},
                  bitmap->channels == 4 ? from[3] / 255.0 : 1);
        }
}

static void raster_clip(Canvas *canvas, const Box *box) {
    Raster *raster = raster_of(canvas);
    raster->left = box ? clamp(pixel_at(raster, box->x), 0, raster->width) : 0;
    raster->top = box ? clamp(pixel_at(raster, box->y), 0, raster->height) : 0;
    raster->right = box ? clamp(pixel_at(raster, box->x + box->width), 0, raster->width) : raster->width;
    raster->bottom = box ? clamp(pixel_at(raster, box->y + box->height), 0, raster->height) : raster->height;
}

/* Pixels do not change afterwards: what is hidden now is left out. */
static void raster_begin_step(Canvas *canvas, int step) { (void)canvas, (void)step; }
static void raster_begin_only(Canvas *canvas, int step, bool shown) {
    (void)step;
    raster_of(canvas)->hidden = !shown;
}
static void raster_end_step(Canvas *canvas) { raster_of(canvas)->hidden = false; }

static const CanvasOperations OPERATIONS = {.fill = raster_fill,
                                            .frame = raster_frame,
                                            .line = raster_line,
                                            .disc = raster_disc,
                                            .text = raster_text,
                                            .bitmap = raster_draw_bitmap,
                                            .clip = raster_clip,
                                            .begin_step = raster_begin_step,
                                            .begin_only = raster_begin_only,
                                            .end_step = raster_end_step};

void raster_begin(Raster *raster, double width, double height, int scale) {
    *raster = (Raster){.canvas = {&OPERATIONS}, .scale = scale};
    raster->width = (int)ceil(width * scale);
    raster->height = (int)ceil(height * scale);
    raster->pixels = memory_new((size_t)raster->width * (size_t)raster->height, 3);
    raster_clip(&raster->canvas, NULL);
    raster_fill(&raster->canvas, (Box){0, 0, width, height}, paint(INK_PAPER));
}

void raster_free(Raster *raster) {
    free(raster->pixels);
    *raster = (Raster){0};
}

Bitmap raster_bitmap(const Raster *raster) {
    return (Bitmap){.width = raster->width, .height = raster->height, .channels = 3, .pixels = raster->pixels};
}
