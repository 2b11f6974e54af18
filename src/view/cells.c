#include "view/cells.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double FONT = 10, TITLE = 12;

/* --- confusion */

enum { NUMBERED_MOST = 20 /* classes whose cells hold numbers */, MATRIX = 280, SIDE_ROOM = 44, HEAD = 56, FOOT = 8 };

Confusion confusion_make(const Recording *recording) {
    const TraceShape *shape = &recording->content.facts.shape;
    const size_t classes = (size_t)shape->classes;
    Confusion confusion = {.classes = shape->classes, .images = shape->samples};
    confusion.count = memory_new(classes * classes, sizeof *confusion.count);
    recording_confusion(recording, confusion.count);
    for (size_t i = 0; i < classes * classes; i++)
        if (i / classes != i % classes) confusion.wrong += confusion.count[i];
    return confusion;
}

void confusion_free(Confusion *confusion) {
    free(confusion->count);
    *confusion = (Confusion){0};
}

/* Shares of a row by their cube root, so that a few mistakes among many show. */
static double shade(const Confusion *confusion, int label, int said) {
    int64_t row = 0;
    for (int c = 0; c < confusion->classes; c++) row += confusion->count[label * confusion->classes + c];
    return row ? cbrt((double)confusion->count[label * confusion->classes + said] / (double)row) : 0;
}

/* What can be read on a cell, on light paper and on dark. */
static Ink number_ink(bool right, double share) {
    if (right) return share > 0.9 ? INK_PAPER : INK_TEXT;
    return share > 0.75 ? INK_BLACK : INK_TEXT;
}

static void draw_cell(Canvas *canvas, const Confusion *confusion, Box cell, int label, int said) {
    const bool right = label == said;
    const double share = shade(confusion, label, said);
    const TextStyle style = {.size = FONT - 1, .anchor = ANCHOR_MIDDLE, .paint = paint(number_ink(right, share))};
    char text[24];
    canvas->operations->fill(canvas, cell, (Paint){right ? INK_SERIES : (Ink)(INK_SERIES + 1), 0.9 * share});
    snprintf(text, sizeof text, "%lld", (long long)confusion->count[label * confusion->classes + said]);
    canvas->operations->text(canvas, (Point){cell.x + cell.width / 2, cell.y + cell.height / 2 + 3}, style, text);
}

static void draw_numbered(Canvas *canvas, const Confusion *confusion, Box matrix) {
    const double side = matrix.width / confusion->classes;
    for (int label = 0; label < confusion->classes; label++)
        for (int said = 0; said < confusion->classes; said++)
            if (confusion->count[label * confusion->classes + said] > 0)
                draw_cell(canvas, confusion, (Box){matrix.x + said * side, matrix.y + label * side, side, side}, label,
                          said);
}

/* A pixel for each cell, in colours that show on light and dark. */
static void draw_fine(Canvas *canvas, const Confusion *confusion, Box matrix) {
    const int classes = confusion->classes;
    uint8_t *pixels = memory_new((size_t)classes * (size_t)classes, 4);
    for (int label = 0; label < classes; label++)
        for (int said = 0; said < classes; said++) {
            const Rgb colour = ink_light((Ink)(INK_SERIES + (label == said ? 5 : 1)));
            const uint8_t cell[4] = {colour.red, colour.green, colour.blue,
                                     (uint8_t)lrint(255 * shade(confusion, label, said))};
            memcpy(pixels + 4 * (label * classes + said), cell, sizeof cell);
        }
    canvas->operations->bitmap(canvas, matrix, &(Bitmap){classes, classes, 4, pixels});
    free(pixels);
}

static void draw_confusion(Canvas *canvas, const void *data, int frame) {
    const Confusion *confusion = data;
    const CanvasOperations *draw = canvas->operations;
    const int classes = confusion->classes, every = classes <= NUMBERED_MOST ? 1 : (classes + 9) / 10;
    const double side = (double)MATRIX / classes;
    TextStyle style = {.size = FONT, .paint = paint(INK_MUTED), .anchor = ANCHOR_MIDDLE};
    (void)frame;
    draw->text(canvas, (Point){SIDE_ROOM, 16}, (TextStyle){.size = TITLE, .paint = paint(INK_TEXT), .bold = true},
               "Confusion matrix (images)");
    draw->text(canvas, (Point){SIDE_ROOM + MATRIX / 2.0, 36}, style, "class that the model says");
    for (int c = 0; c < classes; c += every) {
        char text[16];
        snprintf(text, sizeof text, "%d", c);
        draw->text(canvas, (Point){SIDE_ROOM + (c + 0.5) * side, HEAD - 6}, style, text);
        draw->text(canvas, (Point){SIDE_ROOM - 10, HEAD + (c + 0.5) * side + 3}, style, text);
    }
    (classes <= NUMBERED_MOST ? draw_numbered : draw_fine)(canvas, confusion, (Box){SIDE_ROOM, HEAD, MATRIX, MATRIX});
    draw->frame(canvas, (Box){SIDE_ROOM, HEAD, MATRIX, MATRIX}, 1, paint(INK_GRID));
    style.upright = true;
    draw->text(canvas, (Point){14, HEAD + MATRIX / 2.0}, style, "label");
}

Figure confusion_figure(const Confusion *confusion) {
    Figure figure = {.width = SIDE_ROOM + MATRIX + 12,
                     .height = HEAD + MATRIX + FOOT,
                     .frames = 1,
                     .draw = draw_confusion,
                     .data = confusion};
    snprintf(
        figure.alternative, sizeof figure.alternative,
        "Confusion matrix of %d classes, rows by label and columns by what the model says: %lld of %lld images are "
        "wrong.",
        confusion->classes, (long long)confusion->wrong, (long long)confusion->images);
    return figure;
}

/* --- heat maps */

enum { EPOCH_MAPS = 6, MAP = 2 * 2 * HEAT_CELLS /* side */, COLUMNS = 3, GAP = 12, MAP_HEAD = 18, TOP = 26 };

/* Which of `of` things map `i` of `maps` shows: the first, the last and others evenly between them. */
static int chosen(int i, int maps, int of) { return maps > 1 ? (int)((int64_t)i * (of - 1) / (maps - 1)) : 0; }

HeatMaps heat_make(const Recording *recording) {
    const int glimpses = recording->content.facts.shape.glimpses;
    HeatMaps maps = {.what = "glimpse", .of = glimpses, .maps = glimpses < HEAT_MAPS ? glimpses : HEAT_MAPS};
    maps.map = memory_new((size_t)maps.maps, sizeof *maps.map);
    for (int i = 0; i < maps.maps; i++) {
        const int t = chosen(i, maps.maps, glimpses);
        maps.number[i] = t + 1;
        recording_add_heat(recording, t, &maps.map[i]);
    }
    return maps;
}

HeatMaps heat_make_epochs(const Run *run) {
    HeatMaps maps = {
        .what = "epoch", .of = run->policies, .maps = run->policies < EPOCH_MAPS ? run->policies : EPOCH_MAPS};
    maps.map = memory_new((size_t)maps.maps, sizeof *maps.map);
    for (int i = 0; i < maps.maps; i++) {
        const PolicyRow *row = &run->policy[chosen(i, maps.maps, run->policies)];
        maps.number[i] = row->epoch;
        maps.map[i] = row->heat;
    }
    return maps;
}

void heat_free(HeatMaps *maps) {
    free(maps->map);
    *maps = (HeatMaps){0};
}

static void draw_map(Canvas *canvas, Box box, const HeatMap *map) {
    const Rgb colour = ink_light((Ink)(INK_SERIES + 5)); /* shows on light and dark */
    uint8_t pixels[HEAT_CELLS][HEAT_CELLS][4];
    for (int y = 0; y < HEAT_CELLS; y++)
        for (int x = 0; x < HEAT_CELLS; x++) {
            const double share = map->most ? sqrt((double)map->count[y][x] / (double)map->most) : 0;
            const uint8_t cell[4] = {colour.red, colour.green, colour.blue, (uint8_t)lrint(255 * share)};
            memcpy(pixels[y][x], cell, sizeof cell);
        }
    canvas->operations->bitmap(canvas, box, &(Bitmap){HEAT_CELLS, HEAT_CELLS, 4, &pixels[0][0][0]});
    canvas->operations->frame(canvas, (Box){box.x - 1, box.y - 1, box.width + 2, box.height + 2}, 1, paint(INK_MUTED));
}

/* ", 15 of 20 glimpses" where not all are shown. */
static void tell_left_out(const HeatMaps *maps, char text[48]) {
    *text = 0;
    if (maps->maps < maps->of) snprintf(text, 48, ", %d of %d %ss", maps->maps, maps->of, maps->what);
}

static int heat_rows(const HeatMaps *maps) { return (maps->maps + COLUMNS - 1) / COLUMNS; }

static void draw_heat(Canvas *canvas, const void *data, int frame) {
    const HeatMaps *maps = data;
    char head[96], left_out[48];
    (void)frame;
    tell_left_out(maps, left_out);
    snprintf(head, sizeof head, "Where glimpses go%s", left_out);
    canvas->operations->text(canvas, (Point){GAP, 16},
                             (TextStyle){.size = TITLE, .paint = paint(INK_TEXT), .bold = true}, head);
    for (int i = 0; i < maps->maps; i++) {
        const double x = GAP + i % COLUMNS * (double)(MAP + GAP),
                     y = TOP + i / COLUMNS * (double)(MAP + MAP_HEAD + GAP);
        char title[48];
        snprintf(title, sizeof title, "%s %lld", maps->what, (long long)maps->number[i]);
        canvas->operations->text(canvas, (Point){x, y + 12}, (TextStyle){.size = FONT, .paint = paint(INK_MUTED)},
                                 title);
        draw_map(canvas, (Box){x, y + MAP_HEAD, MAP, MAP}, &maps->map[i]);
    }
}

Figure heat_figure(const HeatMaps *maps) {
    const int columns = maps->maps < COLUMNS ? maps->maps : COLUMNS;
    Figure figure = {.width = fmax(160, GAP + columns * (MAP + GAP)),
                     .height = TOP + heat_rows(maps) * (MAP + MAP_HEAD + GAP),
                     .frames = 1,
                     .draw = draw_heat,
                     .data = maps};
    char left_out[48];
    tell_left_out(maps, left_out);
    snprintf(figure.alternative, sizeof figure.alternative,
             "Heat maps of where on the picture glimpses fall, one for each of %d %s%s%s: the stronger the colour, the "
             "more often.",
             maps->maps, maps->what, maps->maps == 1 ? "" : "s", left_out);
    return figure;
}
