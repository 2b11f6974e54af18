#include "view/figure.h"
#include "base/atomic_file.h"
#include "base/memory.h"
#include "view/picture_file.h"
#include "view/raster.h"
#include "view/svg.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PIXELS_MOST = 100 << 20, SIDE_MOST = 65535 /* of a GIF */, PNG_SCALE = 2, GIF_SCALE = 1 };

typedef enum { FILE_SVG, FILE_PNG, FILE_GIF, FILE_KINDS } FileKind;

static FileKind kind_of(const char *path) {
    static const char *const ENDING[FILE_KINDS] = {".svg", ".png", ".gif"};
    const char *dot = strrchr(path, '.');
    for (FileKind kind = 0; dot && kind < FILE_KINDS; kind++)
        if (strcasecmp(dot, ENDING[kind]) == 0) return kind;
    return FILE_KINDS;
}

Status figure_check_path(const char *path) {
    if (kind_of(path) != FILE_KINDS) return status_ok();
    return status_error(RAM_USAGE, "the picture's name '%.300s' does not end with .png, .gif or .svg: choose one",
                        path);
}

void figure_put(const Figure *figure, FILE *out) {
    Svg svg;
    svg_begin(&svg, out, figure->width, figure->height, figure->alternative, false);
    figure->draw(&svg.canvas, figure->data, figure->frames - 1);
    svg_end(&svg);
}

static Status save_svg(const Figure *figure, const char *path) {
    Svg svg;
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = memory_stream_open(&text, &bytes);
    svg_begin(&svg, out, figure->width, figure->height, figure->alternative, true);
    figure->draw(&svg.canvas, figure->data, figure->frames - 1);
    svg_end(&svg);
    memory_stream_close(out);
    const Status status = atomic_file_write(path, text, bytes);
    free(text);
    return status;
}

static Raster draw_frame(const Figure *figure, int scale, int frame) {
    Raster raster;
    raster_begin(&raster, figure->width, figure->height, scale);
    figure->draw(&raster.canvas, figure->data, frame);
    return raster;
}

static void make_png(const Figure *figure, void **data, size_t *bytes) {
    Raster raster = draw_frame(figure, PNG_SCALE, figure->frames - 1);
    const Bitmap bitmap = raster_bitmap(&raster);
    picture_file_png(&bitmap, data, bytes);
    raster_free(&raster);
}

static void make_gif(const Figure *figure, void **data, size_t *bytes) {
    Raster *raster = memory_new((size_t)figure->frames, sizeof *raster);
    Bitmap *frame = memory_new((size_t)figure->frames, sizeof *frame);
    for (int i = 0; i < figure->frames; i++) {
        raster[i] = draw_frame(figure, GIF_SCALE, i);
        frame[i] = raster_bitmap(&raster[i]);
    }
    picture_file_gif(figure->frames, frame, data, bytes);
    for (int i = 0; i < figure->frames; i++) raster_free(&raster[i]);
    free(raster);
    free(frame);
}

static Status save_pixels(const Figure *figure, const char *path, bool gif) {
    const double scale = gif ? GIF_SCALE : PNG_SCALE, width = figure->width * scale, height = figure->height * scale;
    void *data;
    size_t bytes;
    if (width > SIDE_MOST || height > SIDE_MOST || width * height * (gif ? figure->frames : 1) > PIXELS_MOST)
        return status_error(RAM_USAGE, "the picture would have %.0f x %.0f pixels, too many: show fewer --images",
                            width, height);
    if (gif)
        make_gif(figure, &data, &bytes);
    else
        make_png(figure, &data, &bytes);
    const Status status = atomic_file_write(path, data, bytes);
    free(data);
    return status;
}

Status figure_save(const Figure *figure, const char *path) {
    TRY(figure_check_path(path));
    if (kind_of(path) == FILE_SVG) return save_svg(figure, path);
    return save_pixels(figure, path, kind_of(path) == FILE_GIF);
}
