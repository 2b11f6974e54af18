/* Canvas: what a figure is drawn on. A figure is written once, against the operations below, and comes out as SVG (the
 * report, F.svg) or as pixels (F.png, F.gif). Owns inks and operations. Must not know what is drawn, nor files.
 * Lengths are in units: user units of an SVG, 1 / scale of a pixel. Nothing here is collective. */
#ifndef RAM_VIEW_CANVAS_H
#define RAM_VIEW_CANVAS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint8_t red, green, blue;
} Rgb;

/* What a colour is for; its value differs between light and dark. Series are Okabe and Ito's colours (2008), most of
 * them darker on white than theirs. The first four keep apart for the colour-blind; beside them the others need a dash
 * of their own. Steps are a ramp between two of them, sky blue and yellow. */
typedef enum {
    INK_PAPER,
    INK_TEXT,
    INK_MUTED,
    INK_GRID,
    INK_WHITE,
    INK_BLACK,
    INK_SERIES,                /* the first of SERIES_INKS */
    INK_STEP = INK_SERIES + 8, /* the first of STEP_INKS: first to last glimpse, over pictures */
    INKS = INK_STEP + 8
} Ink;
enum { SERIES_INKS = INK_STEP - INK_SERIES, STEP_INKS = INKS - INK_STEP };

Rgb ink_light(Ink ink);
Rgb ink_dark(Ink ink);
const char *ink_name(Ink ink); /* of its class in a style sheet */
Ink ink_of_step(int step, int steps);

typedef struct {
    double x, y;
} Point;

typedef struct {
    double x, y, width, height;
} Box;

typedef struct {
    Ink ink;
    double opacity;
} Paint;
static inline Paint paint(Ink ink) { return (Paint){ink, 1}; }

/* A raster picture: grey (1), RGB (3) or RGBA (4). */
typedef struct {
    int width, height, channels;
    uint8_t *pixels; /* (height, width, channels) */
} Bitmap;

typedef enum { ANCHOR_START, ANCHOR_MIDDLE, ANCHOR_END } Anchor;
typedef enum { DASH_NONE, DASH_LONG, DASH_DOTS, DASH_MIXED, DASHES } Dash;

typedef struct {
    double size; /* of the font */
    Anchor anchor;
    Paint paint;
    bool bold;
    bool upright; /* read from below: for the title of a vertical axis */
} TextStyle;

typedef struct Canvas Canvas;

typedef struct {
    void (*fill)(Canvas *canvas, Box box, Paint paint);
    void (*frame)(Canvas *canvas, Box box, double width, Paint paint); /* the line lies inside the box */
    void (*line)(Canvas *canvas, int points, const Point *point, double width, Dash dash, Paint paint);
    void (*disc)(Canvas *canvas, Point centre, double radius, Paint paint);
    void (*text)(Canvas *canvas, Point base, TextStyle style, const char *text); /* UTF-8 */
    void (*bitmap)(Canvas *canvas, Box box, const Bitmap *bitmap);               /* square pixels, no smoothing */
    void (*clip)(Canvas *canvas, const Box *box);             /* what follows shows only inside; NULL: everywhere */
    void (*begin_step)(Canvas *canvas, int step);             /* what follows belongs to this glimpse, from 1 */
    void (*begin_only)(Canvas *canvas, int step, bool shown); /* the same, but it gives way to the next; shown: now */
    void (*end_step)(Canvas *canvas);
} CanvasOperations;

struct Canvas {
    const CanvasOperations *operations;
};

#endif
