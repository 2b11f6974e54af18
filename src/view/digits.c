#include "view/digits.h"
#include "view/stroke_font.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double FONT = 10, SMALL = 8;
enum {
    PICTURE_ROOM = 168, /* side that pictures and the boxes beyond them are blown up to */
    GAP = 10,
    TITLE_ROOM = 36,
    LABEL = 18,      /* line under the picture */
    LABEL_TEXT = 96, /* bytes of it */
    STRIP_HEAD = 12, /* classes over the strip of probabilities */
    STRIP_ROW = 10,
    STRIP_SIDE = 12,    /* glimpse numbers */
    STRIP_CLASSES = 20, /* at most; more would not be legible */
    NUMBERED_MOST = 20  /* glimpses whose boxes are numbered */
};

Status digits_choose(Digits *digits, int images, const int64_t *image, int standard) {
    const Recording *recording = digits->recording;
    const int64_t samples = recording->content.facts.shape.samples;
    digits->count = images ? images : samples < standard ? (int)samples : standard;
    for (int i = 0; i < digits->count; i++) {
        digits->sample[i] = images ? image[i] : i;
        if (digits->sample[i] >= samples)
            return status_error(RAM_USAGE, "--images names sample %" PRId64 ", but %.300s has samples 0 to %" PRId64,
                                digits->sample[i], recording->path, samples - 1);
    }
    return status_ok();
}

void digits_tell_rollouts(const Recording *recording, char *text, size_t size) {
    const int64_t rollouts = recording->content.facts.shape.rollouts;
    const size_t used = strlen(text);
    if (rollouts > 1) snprintf(text + used, size - used, " Path of the first of %" PRId64 " roll-outs.", rollouts);
}

static const TraceShape *shape_of(const Digits *digits) { return &digits->recording->content.facts.shape; }
static int scales_of(const Digits *digits) { return (int)digits->recording->config.model_scales; }

/* How a picture and its boxes lie on the canvas; a pixel is `zoom` units. */
typedef struct {
    int zoom;
    int margin;           /* pixels around the picture: boxes reach beyond it */
    double width, height; /* of picture and margin, units */
} Sheet;

static Sheet find_sheet(const Digits *digits) {
    const Gallery *gallery = digits->gallery;
    const int longer = gallery->width > gallery->height ? gallery->width : gallery->height;
    const Window largest = gallery_window(gallery, digits->recording, (float[2]){0, 0}, scales_of(digits) - 1);
    const int half = (largest.side + 1) / 2 + 1;
    Sheet sheet = {.margin = half < longer ? half : longer};
    const int whole = longer + 2 * sheet.margin, zoom = (PICTURE_ROOM + whole / 2) / whole;
    sheet.zoom = zoom > 1 ? zoom : 1;
    sheet.width = (gallery->width + 2 * sheet.margin) * (double)sheet.zoom;
    sheet.height = (gallery->height + 2 * sheet.margin) * (double)sheet.zoom;
    return sheet;
}

/* The middle of the pixel that glimpse t looks at. */
static Point glimpse_centre(const Digits *digits, const Sheet *sheet, Point corner, int64_t sample, int t) {
    const float *location = recording_location(digits->recording, sample, 0, t);
    const Window window = gallery_window(digits->gallery, digits->recording, location, 0);
    return (Point){corner.x + (window.left + window.side / 2 + sheet->margin + 0.5) * sheet->zoom,
                   corner.y + (window.top + window.side / 2 + sheet->margin + 0.5) * sheet->zoom};
}

static Box glimpse_box(const Digits *digits, const Sheet *sheet, Point corner, int64_t sample, int t, int scale) {
    const float *location = recording_location(digits->recording, sample, 0, t);
    const Window window = gallery_window(digits->gallery, digits->recording, location, scale);
    const double side = window.side * (double)sheet->zoom;
    return (Box){corner.x + (window.left + sheet->margin) * (double)sheet->zoom,
                 corner.y + (window.top + sheet->margin) * (double)sheet->zoom, side, side};
}

/* The picture on a sheet of what the retina takes for outside. */
static void draw_picture(Canvas *canvas, const Digits *digits, const Sheet *sheet, Point corner, int64_t sample) {
    const Bitmap picture = gallery_draw(digits->gallery, digits->recording, sample);
    const double margin = sheet->margin * (double)sheet->zoom;
    uint8_t outside[3];
    memcpy(outside, digits->gallery->outside, sizeof outside);
    canvas->operations->bitmap(canvas, (Box){corner.x, corner.y, sheet->width, sheet->height},
                               &(Bitmap){1, 1, picture.channels, outside});
    canvas->operations->bitmap(canvas,
                               (Box){corner.x + margin, corner.y + margin, picture.width * (double)sheet->zoom,
                                     picture.height * (double)sheet->zoom},
                               &picture);
    free(picture.pixels);
}

/* In the corner of a box, on a ground of its own: what lies below may be as bright. */
static void draw_number(Canvas *canvas, Box box, int number, Paint ink) {
    char text[16];
    snprintf(text, sizeof text, "%d", number);
    canvas->operations->fill(canvas, (Box){box.x, box.y, number < 10 ? 9 : 15, 11}, ink);
    canvas->operations->text(canvas, (Point){box.x + 2, box.y + 9},
                             (TextStyle){.size = 9, .paint = {INK_BLACK, ink.opacity}, .bold = true}, text);
}

/* The largest box whose corner is on the sheet; else the smallest. */
static Box numbered_box(const Digits *digits, const Sheet *sheet, Point corner, int64_t sample, int t) {
    for (int scale = scales_of(digits) - 1; scale > 0; scale--) {
        const Box box = glimpse_box(digits, sheet, corner, sample, t, scale);
        if (box.x >= corner.x && box.y >= corner.y) return box;
    }
    return glimpse_box(digits, sheet, corner, sample, t, 0);
}

/* The boxes of glimpse t and the way there from the one before. `strength`: 1, or less where it is past. */
static void draw_glimpse(Canvas *canvas, const Digits *digits, const Sheet *sheet, Point corner, int64_t sample, int t,
                         double strength) {
    const CanvasOperations *draw = canvas->operations;
    const int glimpses = shape_of(digits)->glimpses;
    const Paint ink = {ink_of_step(t, glimpses), strength};
    const Point centre = glimpse_centre(digits, sheet, corner, sample, t);
    if (t > 0) {
        const Point way[2] = {glimpse_centre(digits, sheet, corner, sample, t - 1), centre};
        draw->line(canvas, 2, way, 3.5, DASH_NONE, (Paint){INK_BLACK, 0.6 * strength});
        draw->line(canvas, 2, way, 1.5, DASH_NONE, ink);
    }
    for (int scale = scales_of(digits) - 1; scale >= 0; scale--)
        draw->frame(canvas, glimpse_box(digits, sheet, corner, sample, t, scale), scale == 0 ? 2 : 1, ink);
    if (t == 0) draw->disc(canvas, centre, 3.5, ink);
    if (t == glimpses - 1) {
        draw->fill(canvas, (Box){centre.x - 4, centre.y - 4, 8, 8}, (Paint){INK_WHITE, strength});
        draw->fill(canvas, (Box){centre.x - 3, centre.y - 3, 6, 6}, (Paint){(Ink)(INK_SERIES + 1), strength});
    }
    if (glimpses <= NUMBERED_MOST) draw_number(canvas, numbered_box(digits, sheet, corner, sample, t), t + 1, ink);
}

/* --- what it thought */

static double strip_width(const Sheet *sheet) { return fmax(sheet->width, PICTURE_ROOM) - STRIP_SIDE; }

bool digits_have_bars(const Recording *recording) { return recording->content.facts.shape.classes <= STRIP_CLASSES; }

static double strip_height(const Digits *digits) {
    return digits_have_bars(digits->recording) ? STRIP_HEAD + shape_of(digits)->glimpses * (double)STRIP_ROW : 0;
}

static void draw_strip_head(Canvas *canvas, const Digits *digits, const Sheet *sheet, Point corner) {
    const int classes = shape_of(digits)->classes;
    const double cell = strip_width(sheet) / classes;
    for (int c = 0; c < classes; c++) {
        char text[16];
        const Point rule[2] = {{corner.x + STRIP_SIDE + c * cell - 0.5, corner.y + STRIP_HEAD},
                               {corner.x + STRIP_SIDE + c * cell - 0.5, corner.y + strip_height(digits)}};
        if (c > 0) canvas->operations->line(canvas, 2, rule, 0.5, DASH_NONE, paint(INK_GRID));
        snprintf(text, sizeof text, "%d", c);
        canvas->operations->text(canvas, (Point){corner.x + STRIP_SIDE + (c + 0.5) * cell, corner.y + 9},
                                 (TextStyle){.size = SMALL, .paint = paint(INK_MUTED), .anchor = ANCHOR_MIDDLE}, text);
    }
    canvas->operations->frame(canvas,
                              (Box){corner.x + STRIP_SIDE - 1, corner.y + STRIP_HEAD - 1, strip_width(sheet) + 2,
                                    strip_height(digits) - STRIP_HEAD + 2},
                              1, paint(INK_GRID));
}

/* The probabilities after glimpse t of the first roll-out: each cell is filled from the left by that share. */
static void draw_strip_row(Canvas *canvas, const Digits *digits, const Sheet *sheet, Point corner, int64_t sample,
                           int t) {
    const TraceShape *shape = shape_of(digits);
    const TraceRows *rows = &digits->recording->content.rows;
    const float *prob = rows->prob + (sample * shape->rollouts * shape->glimpses + t) * shape->classes;
    const double cell = strip_width(sheet) / shape->classes, y = corner.y + STRIP_HEAD + t * (double)STRIP_ROW;
    char number[16];
    snprintf(number, sizeof number, "%d", t + 1);
    canvas->operations->text(canvas, (Point){corner.x, y + STRIP_ROW - 2},
                             (TextStyle){.size = SMALL, .paint = paint(INK_MUTED)}, number);
    for (int c = 0; c < shape->classes; c++) {
        const Ink ink = c == rows->label[sample] ? INK_SERIES : (Ink)(INK_SERIES + 1);
        const double share = isfinite(prob[c]) ? fmin(1, fmax(0, (double)prob[c])) : 0;
        if (share < 0.005) continue;
        canvas->operations->fill(
            canvas, (Box){corner.x + STRIP_SIDE + c * cell, y + 1, share * (cell - 1), STRIP_ROW - 2}, paint(ink));
    }
}

static void write_label(char text[LABEL_TEXT], int label, Verdict verdict) {
    snprintf(text, LABEL_TEXT, "label %d, says %d (%.0f %%)%s", label, verdict.said, 100 * verdict.confidence,
             verdict.said == label ? "" : "  wrong");
}

/* Of the longest label that so many classes can have, in whole units; the gap has room for the rest. */
static double label_width(const Digits *digits) {
    const int classes = shape_of(digits)->classes;
    char text[LABEL_TEXT];
    write_label(text, classes - 1, (Verdict){.said = classes - 2, .confidence = 1});
    return floor(stroke_font_width(text, FONT));
}

/* What the model says after glimpse t, of all roll-outs. */
static void draw_label(Canvas *canvas, const Digits *digits, Point corner, int64_t sample, int t) {
    const Verdict verdict = recording_verdict(digits->recording, sample, t);
    const int label = digits->recording->content.rows.label[sample];
    char text[LABEL_TEXT];
    write_label(text, label, verdict);
    canvas->operations->text(canvas, (Point){corner.x, corner.y + 12},
                             (TextStyle){.size = FONT,
                                         .bold = true,
                                         .paint = paint(verdict.said == label ? INK_TEXT : (Ink)(INK_SERIES + 1))},
                             text);
}

/* --- a digit, and all of them */

/* As it is after glimpse `last`, which stands out where there are glimpses to come. */
static void draw_digit(Canvas *canvas, const Digits *digits, const Sheet *sheet, Point corner, int64_t sample,
                       int last) {
    const int glimpses = shape_of(digits)->glimpses;
    const Box paper = {corner.x, corner.y, sheet->width, sheet->height};
    const Point label = {corner.x, corner.y + sheet->height}, strip = {corner.x, label.y + LABEL};
    canvas->operations->clip(canvas, &paper);
    draw_picture(canvas, digits, sheet, corner, sample);
    for (int t = 0; t <= last; t++) {
        canvas->operations->begin_step(canvas, t + 1);
        draw_glimpse(canvas, digits, sheet, corner, sample, t, t == last || last == glimpses - 1 ? 1 : 0.4);
        canvas->operations->end_step(canvas);
    }
    canvas->operations->clip(canvas, NULL);
    for (int t = 0; t <= last; t++) {
        canvas->operations->begin_only(canvas, t + 1, t == last);
        draw_label(canvas, digits, label, sample, t);
        canvas->operations->end_step(canvas);
    }
    if (!digits_have_bars(digits->recording)) return;
    draw_strip_head(canvas, digits, sheet, strip);
    for (int t = 0; t <= last; t++) {
        canvas->operations->begin_step(canvas, t + 1);
        draw_strip_row(canvas, digits, sheet, strip, sample, t);
        canvas->operations->end_step(canvas);
    }
}

/* Above several digits; one alone has its caption elsewhere. */
static double title_height(const Digits *digits) { return digits->count > 1 ? TITLE_ROOM : 0; }

enum { LINE = 160 /* bytes of the line below the title */ };

static void write_line(const Digits *digits, const char *what, char text[LINE]) {
    snprintf(text, LINE, "%s", what);
    digits_tell_rollouts(digits->recording, text, LINE);
}

/* A figure with a title is at least as wide as the line below it. */
static double title_width(const Digits *digits, const char *what) {
    char text[LINE];
    write_line(digits, what, text);
    return ceil(stroke_font_width(text, FONT)) + GAP;
}

static void draw_title(Canvas *canvas, const Digits *digits, const char *title, const char *what) {
    char text[LINE];
    write_line(digits, what, text);
    canvas->operations->text(canvas, (Point){GAP, GAP + 10},
                             (TextStyle){.size = 12, .paint = paint(INK_TEXT), .bold = true}, title);
    canvas->operations->text(canvas, (Point){GAP, GAP + 25}, (TextStyle){.size = FONT, .paint = paint(INK_MUTED)},
                             text);
}

static int columns_of(const Digits *digits) { return (int)ceil(sqrt(digits->count)); }

static Point cell_size(const Digits *digits, const Sheet *sheet) {
    return (Point){fmax(fmax(sheet->width, PICTURE_ROOM), label_width(digits)),
                   sheet->height + LABEL + strip_height(digits)};
}

static const char *line_of_digits(const Digits *digits) {
    return digits_have_bars(digits->recording)
               ? "Numbered boxes: glimpses. Bars: class probabilities after each glimpse."
               : "Numbered boxes: glimpses.";
}

static void draw_digits(Canvas *canvas, const void *data, int frame) {
    const Digits *digits = data;
    const Sheet sheet = find_sheet(digits);
    const Point size = cell_size(digits, &sheet);
    const int columns = columns_of(digits);
    const double top = GAP + title_height(digits);
    if (digits->count > 1) draw_title(canvas, digits, "Where it looks", line_of_digits(digits));
    for (int i = 0; i < digits->count; i++) {
        const Point corner = {GAP + i % columns * (size.x + GAP), top + i / columns * (size.y + GAP)};
        draw_digit(canvas, digits, &sheet, corner, digits->sample[i], frame);
    }
}

/* What is said of each sample, in one sentence for all. */
static void describe(const Digits *digits, const char *what, char *text, size_t size) {
    const int last = shape_of(digits)->glimpses - 1;
    snprintf(text, size, "%s", what);
    digits_tell_rollouts(digits->recording, text, size);
    int used = (int)strlen(text);
    for (int i = 0; i < digits->count && used < (int)size; i++) {
        const Verdict verdict = recording_verdict(digits->recording, digits->sample[i], last);
        used += snprintf(text + used, size - (size_t)used, " Sample %lld: label %d, the model says %d (%.0f %%).",
                         (long long)digits->sample[i], digits->recording->content.rows.label[digits->sample[i]],
                         verdict.said, 100 * verdict.confidence);
    }
}

Figure digits_figure(const Digits *digits) {
    const Sheet sheet = find_sheet(digits);
    const Point size = cell_size(digits, &sheet);
    const int columns = columns_of(digits), rows = (digits->count + columns - 1) / columns;
    const double title = digits->count > 1 ? title_width(digits, line_of_digits(digits)) : 0;
    Figure figure = {.width = GAP + fmax(columns * (size.x + GAP), title),
                     .height = GAP + title_height(digits) + rows * (size.y + GAP),
                     .frames = shape_of(digits)->glimpses,
                     .draw = draw_digits,
                     .data = digits};
    describe(digits,
             digits_have_bars(digits->recording)
                 ? "Pictures with numbered glimpse boxes and class probabilities after each glimpse."
                 : "Pictures with numbered glimpse boxes.",
             figure.alternative, sizeof figure.alternative);
    return figure;
}

/* --- retina */

enum { PATCH_ROOM = 84, RETINA_HEAD = 30, NAME_SIDE = 58, SIZE_TEXT = 48 };
static const char RETINA_LINE[] = "The picture, and the patch of each scale.";

static int patch_zoom(const Digits *digits) {
    const int zoom = PATCH_ROOM / (int)digits->recording->config.model_patch;
    return zoom > 1 ? zoom : 1;
}

static double patch_side(const Digits *digits) {
    return (double)digits->recording->config.model_patch * patch_zoom(digits);
}

static void write_size(char text[SIZE_TEXT], const Digits *digits, int scale) {
    int side = (int)digits->recording->config.model_patch;
    for (int k = 0; k < scale; k++) side *= (int)digits->recording->config.model_scale;
    snprintf(text, SIZE_TEXT, "%d x %d px", side, side);
}

/* From one scale's patch to the next: its size is written above. */
static double patch_step(const Digits *digits) {
    char text[SIZE_TEXT];
    write_size(text, digits, scales_of(digits) - 1);
    return fmax(patch_side(digits), ceil(stroke_font_width(text, FONT))) + GAP;
}

static double retina_row(const Digits *digits, const Sheet *sheet) {
    return fmax(patch_side(digits), sheet->height) + GAP;
}

static void draw_patches(Canvas *canvas, const Digits *digits, Point corner, int64_t sample, int t) {
    const Bitmap picture = gallery_draw(digits->gallery, digits->recording, sample);
    const float *location = recording_location(digits->recording, sample, 0, t);
    const double side = patch_side(digits);
    for (int scale = 0; scale < scales_of(digits); scale++) {
        const Window window = gallery_window(digits->gallery, digits->recording, location, scale);
        const Bitmap patch = gallery_patch(digits->gallery, digits->recording, &picture, window);
        const Box box = {corner.x + scale * patch_step(digits), corner.y, side, side};
        canvas->operations->bitmap(canvas, box, &patch);
        canvas->operations->frame(canvas, (Box){box.x - 2, box.y - 2, side + 4, side + 4}, 2,
                                  paint(ink_of_step(t, shape_of(digits)->glimpses)));
        free(patch.pixels);
    }
    free(picture.pixels);
}

static void draw_retina_head(Canvas *canvas, const Digits *digits, const Sheet *sheet, Point corner, int64_t sample) {
    const TextStyle style = {.size = FONT, .paint = paint(INK_MUTED)};
    draw_label(canvas, digits, corner, sample, shape_of(digits)->glimpses - 1);
    for (int scale = 0; scale < scales_of(digits); scale++) {
        char text[SIZE_TEXT];
        write_size(text, digits, scale);
        canvas->operations->text(
            canvas, (Point){corner.x + NAME_SIDE + sheet->width + GAP + scale * patch_step(digits), corner.y + 26},
            style, text);
    }
}

static void draw_retina(Canvas *canvas, const void *data, int frame) {
    const Digits *digits = data;
    const Sheet sheet = find_sheet(digits);
    const int glimpses = shape_of(digits)->glimpses;
    const double row = retina_row(digits, &sheet), block = RETINA_HEAD + glimpses * row;
    (void)frame;
    draw_title(canvas, digits, "What the retina sees", RETINA_LINE);
    for (int i = 0; i < digits->count; i++) {
        const Point top = {GAP, GAP + TITLE_ROOM + i * (block + GAP)};
        draw_retina_head(canvas, digits, &sheet, top, digits->sample[i]);
        for (int t = 0; t < glimpses; t++) {
            const Point corner = {top.x + NAME_SIDE, top.y + RETINA_HEAD + t * row};
            char name[32];
            snprintf(name, sizeof name, "glimpse %d", t + 1);
            canvas->operations->text(canvas, (Point){top.x, corner.y + 14},
                                     (TextStyle){.size = FONT, .paint = paint(INK_MUTED)}, name);
            canvas->operations->clip(canvas, &(Box){corner.x, corner.y, sheet.width, sheet.height});
            draw_picture(canvas, digits, &sheet, corner, digits->sample[i]);
            draw_glimpse(canvas, digits, &sheet, corner, digits->sample[i], t, 1);
            canvas->operations->clip(canvas, NULL);
            draw_patches(canvas, digits, (Point){corner.x + sheet.width + GAP, corner.y + 4}, digits->sample[i], t);
        }
    }
}

Figure retina_figure(const Digits *digits) {
    const Sheet sheet = find_sheet(digits);
    const double block = RETINA_HEAD + shape_of(digits)->glimpses * retina_row(digits, &sheet);
    const double patches = scales_of(digits) * patch_step(digits);
    Figure figure = {.width = GAP + fmax(NAME_SIDE + sheet.width + GAP + patches, title_width(digits, RETINA_LINE)),
                     .height = GAP + TITLE_ROOM + digits->count * (block + GAP),
                     .frames = 1,
                     .draw = draw_retina,
                     .data = digits};
    describe(digits, "What the retina sees: for each glimpse the picture with its boxes, and a patch of each scale.",
             figure.alternative, sizeof figure.alternative);
    return figure;
}
