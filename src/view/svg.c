#include "view/svg.h"
#include "view/markup.h"
#include "view/picture_file.h"

#include <stdlib.h>

/* name="value", a space before it */
static void put(FILE *out, const char *name, double value) {
    fprintf(out, " %s=\"", name);
    markup_number(out, value);
    putc('"', out);
}

static void put_box(FILE *out, Box box) {
    put(out, "x", box.x);
    put(out, "y", box.y);
    put(out, "width", box.width);
    put(out, "height", box.height);
}

static void put_paint(FILE *out, const char *kind, Paint paint) {
    fprintf(out, " class=\"%c-%s\"", *kind, ink_name(paint.ink));
    if (paint.opacity >= 1) return;
    fprintf(out, " %s-opacity=\"%.3g\"", kind, paint.opacity);
}

static FILE *out_of(Canvas *canvas) { return ((Svg *)canvas)->out; }

static void svg_fill(Canvas *canvas, Box box, Paint paint) {
    FILE *out = out_of(canvas);
    fputs("<rect", out);
    put_box(out, box);
    put_paint(out, "fill", paint);
    fputs("/>", out);
}

static void svg_frame(Canvas *canvas, Box box, double width, Paint paint) {
    FILE *out = out_of(canvas);
    fputs("<rect", out);
    put_box(out, (Box){box.x + width / 2, box.y + width / 2, box.width - width, box.height - width});
    put(out, "stroke-width", width);
    put_paint(out, "stroke", paint);
    fputs("/>", out);
}

static void svg_line(Canvas *canvas, int points, const Point *point, double width, Dash dash, Paint paint) {
    static const char *const DASHED[DASHES] = {NULL, "6 3", "1.5 2.5", "8 3 1.5 3"};
    FILE *out = out_of(canvas);
    fputs("<polyline points=\"", out);
    for (int i = 0; i < points; i++) {
        if (i) putc(' ', out);
        markup_number(out, point[i].x);
        putc(',', out);
        markup_number(out, point[i].y);
    }
    putc('"', out);
    put(out, "stroke-width", width);
    if (DASHED[dash]) fprintf(out, " stroke-dasharray=\"%s\"", DASHED[dash]);
    put_paint(out, "stroke", paint);
    fputs("/>", out);
}

static void svg_disc(Canvas *canvas, Point centre, double radius, Paint paint) {
    FILE *out = out_of(canvas);
    fputs("<circle", out);
    put(out, "cx", centre.x);
    put(out, "cy", centre.y);
    put(out, "r", radius);
    put_paint(out, "fill", paint);
    fputs("/>", out);
}

static void svg_text(Canvas *canvas, Point base, TextStyle style, const char *text) {
    static const char *const ANCHORS[] = {"start", "middle", "end"};
    FILE *out = out_of(canvas);
    fputs("<text", out);
    if (style.upright)
        fprintf(out, " transform=\"translate(%.2f %.2f) rotate(-90)\"", base.x, base.y);
    else {
        put(out, "x", base.x);
        put(out, "y", base.y);
    }
    put(out, "font-size", style.size);
    if (style.anchor != ANCHOR_START) fprintf(out, " text-anchor=\"%s\"", ANCHORS[style.anchor]);
    if (style.bold) fputs(" font-weight=\"600\"", out);
    put_paint(out, "fill", style.paint);
    putc('>', out);
    markup_text(out, text);
    fputs("</text>", out);
}

static void svg_bitmap(Canvas *canvas, Box box, const Bitmap *bitmap) {
    FILE *out = out_of(canvas);
    void *data;
    size_t bytes;
    picture_file_png(bitmap, &data, &bytes);
    fputs("<image class=\"pixels\" preserveAspectRatio=\"none\"", out);
    put_box(out, box);
    fputs(" href=\"data:image/png;base64,", out);
    markup_base64(out, data, bytes);
    fputs("\"/>", out);
    free(data);
}

/* An inner <svg> cuts off what lies outside of it, without names that would have to differ within a page. */
static void svg_clip(Canvas *canvas, const Box *box) {
    Svg *svg = (Svg *)canvas;
    if (svg->clipped) fputs("</svg>", svg->out);
    svg->clipped = box != NULL;
    if (!box) return;
    fputs("<svg", svg->out);
    put_box(svg->out, *box);
    fprintf(svg->out, " viewBox=\"%.2f %.2f %.2f %.2f\">", box->x, box->y, box->width, box->height);
}

static void svg_begin_step(Canvas *canvas, int step) { fprintf(out_of(canvas), "<g data-step=\"%d\">", step); }

static void svg_begin_only(Canvas *canvas, int step, bool shown) {
    fprintf(out_of(canvas), "<g data-step=\"%d\" class=\"only\"%s>", step, shown ? "" : " visibility=\"hidden\"");
}

static void svg_end_step(Canvas *canvas) { fputs("</g>", out_of(canvas)); }

static const CanvasOperations OPERATIONS = {.fill = svg_fill,
                                            .frame = svg_frame,
                                            .line = svg_line,
                                            .disc = svg_disc,
                                            .text = svg_text,
                                            .bitmap = svg_bitmap,
                                            .clip = svg_clip,
                                            .begin_step = svg_begin_step,
                                            .begin_only = svg_begin_only,
                                            .end_step = svg_end_step};

static void put_rules(FILE *out, Rgb (*colour)(Ink ink)) {
    for (Ink ink = 0; ink < INKS; ink++) {
        const Rgb rgb = colour(ink);
        fprintf(out, ".f-%s{fill:#%02X%02X%02X}.s-%s{stroke:#%02X%02X%02X}\n", ink_name(ink), rgb.red, rgb.green,
                rgb.blue, ink_name(ink), rgb.red, rgb.green, rgb.blue);
    }
}

void svg_style(FILE *out) {
    fputs("svg text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif}\n"
          "rect,polyline{fill:none}polyline{stroke-linejoin:round}.pixels{image-rendering:pixelated}\n",
          out);
    put_rules(out, ink_light);
    fputs("@media (prefers-color-scheme:dark){\n", out);
    put_rules(out, ink_dark);
    fputs("}\n", out);
}

void svg_begin(Svg *svg, FILE *out, double width, double height, const char *alternative, bool whole) {
    *svg = (Svg){.canvas = {&OPERATIONS}, .out = out};
    if (whole) {
        fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\"", out);
        put(out, "width", width);
        put(out, "height", height);
    } else {
        fputs("<svg style=\"max-width:", out);
        markup_number(out, width * 1.25);
        fputs("px\"", out);
    }
    fprintf(out, " viewBox=\"0 0 %.2f %.2f\" role=\"img\" aria-label=\"", width, height);
    markup_text(out, alternative);
    fputs("\">", out);
    if (!whole) return;
    fputs("<title>", out);
    markup_text(out, alternative);
    fputs("</title>\n<style>\n", out);
    svg_style(out);
    fputs("</style>\n", out);
    svg_fill(&svg->canvas, (Box){0, 0, width, height}, paint(INK_PAPER));
}

void svg_end(Svg *svg) { fputs("</svg>\n", svg->out); }
