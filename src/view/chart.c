#include "view/chart.h"
#include "base/log.h"
#include "base/memory.h"
#include "view/stroke_font.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double FONT = 10, TITLE = 12, LEGEND_LINE = 14, LEGEND_SAMPLE = 18;
enum { TICKS_MOST = 40, LEGEND_NAME = 40, LEGEND_HEAD = 8 };

ChartSeries *chart_add(Chart *chart, int points, const char *name, Ink ink, Dash dash) {
    require(chart->count < CHART_SERIES);
    ChartSeries *series = &chart->series[chart->count++];
    *series = (ChartSeries){.points = points, .ink = ink, .dash = dash};
    const size_t bytes = strlen(name) + 1;
    series->name = memory_new(bytes, 1);
    memcpy(series->name, name, bytes);
    series->x = memory_new((size_t)points, sizeof *series->x);
    series->y = memory_new((size_t)points, sizeof *series->y);
    return series;
}

void chart_free(Chart *chart) {
    for (int i = 0; i < chart->count; i++) {
        free(chart->series[i].name);
        free(chart->series[i].x);
        free(chart->series[i].y);
    }
    chart->count = 0;
}

/* Whether there is anything to see. */
static bool has_points(const Chart *chart) {
    for (int i = 0; i < chart->count; i++)
        for (int p = 0; p < chart->series[i].points; p++)
            if (isfinite(chart->series[i].y[p])) return true;
    return false;
}

/* --- axes */

typedef struct {
    double least, most; /* of what is shown; logarithms (base 10) where logarithmic */
    bool logarithmic;
    int ticks;
    double tick[TICKS_MOST]; /* values */
    double step;             /* between them, linear */
} Axis;

static double on_axis(const Axis *axis, double value) { return axis->logarithmic ? log10(value) : value; }

/* As it is drawn: what is nearer to 0 or farther from it than any figure of use would leave the axes no ticks. */
static double drawn(double value) {
    const double size = fabs(value), most = 1e100;
    return size < 1 / most ? 0 : size > most ? copysign(most, value) : value;
}

/* 1, 2 or 5 times a power of ten, at least `rough`. */
static double nice_step(double rough) {
    const double power = pow(10, floor(log10(rough))), part = rough / power;
    return power * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);
}

static void set_linear_ticks(Axis *axis, int wanted, bool whole) {
    axis->step = nice_step((axis->most - axis->least) / wanted);
    if (whole && axis->step < 1) axis->step = 1;
    const double first = ceil(axis->least / axis->step - 1e-9);
    for (int i = 0; axis->ticks < TICKS_MOST; i++) {
        const double value = (first + i) * axis->step;
        if (value > axis->most + 1e-9 * axis->step) break;
        axis->tick[axis->ticks++] = value == 0 ? 0 : value;
    }
}

/* Powers of ten; times 2 and 5 as well where these are few. */
static void set_logarithmic_ticks(Axis *axis) {
    static const double PARTS[] = {1, 2, 5};
    const int parts = axis->most - axis->least < 3 ? 3 : 1, stride = (int)ceil((axis->most - axis->least) / 8);
    for (double power = floor(axis->least); power <= axis->most; power += stride > 1 ? stride : 1)
        for (int i = 0; i < parts && axis->ticks < TICKS_MOST; i++) {
            const double at = power + log10(PARTS[i]);
            if (at >= axis->least - 1e-9 && at <= axis->most + 1e-9)
                axis->tick[axis->ticks++] = PARTS[i] * pow(10, power);
        }
}

/* The range of all finite values of x or y. */
static void find_range(const Chart *chart, bool of_x, double *least, double *most) {
    *least = INFINITY, *most = -INFINITY;
    for (int i = 0; i < chart->count; i++)
        for (int p = 0; p < chart->series[i].points; p++) {
            const double value = of_x ? chart->series[i].x[p] : chart->series[i].y[p];
            if (!isfinite(value)) continue;
            *least = fmin(*least, drawn(value)), *most = fmax(*most, drawn(value));
        }
    if (*least > *most) *least = 0, *most = 1;
}

/* With ticks. Logarithms need two of them at least: else there are none. */
static Axis scale_axis(double least, double most, bool of_x, bool logarithmic, bool from_zero) {
    enum { TICKS_X = 7, TICKS_Y = 5 };
    Axis axis = {.logarithmic = logarithmic};
    axis.least = on_axis(&axis, least), axis.most = on_axis(&axis, most);
    if (of_x && least == most) axis.least -= 1, axis.most += 1;
    const double range = axis.most - axis.least;
    const double room = range > 0 ? 0.06 * range : axis.most != 0 ? 0.1 * fabs(axis.most) : 0.01;
    if (!of_x) axis.least -= room, axis.most += room;
    if (!of_x && !logarithmic && least >= 0 && (from_zero || axis.least < 0)) axis.least = 0;
    if (logarithmic)
        set_logarithmic_ticks(&axis);
    else
        set_linear_ticks(&axis, of_x ? TICKS_X : TICKS_Y, of_x);
    return logarithmic && axis.ticks < 2 ? scale_axis(least, most, of_x, false, from_zero) : axis;
}

static Axis find_axis(const Chart *chart, bool of_x) {
    double least, most;
    find_range(chart, of_x, &least, &most);
    return scale_axis(least, most, of_x, !of_x && chart->logarithmic && least > 0, chart->from_zero);
}

static void format_tick(const Axis *axis, double value, char text[32]) {
    const double largest = fmax(fabs(axis->tick[0]), fabs(axis->tick[axis->ticks - 1]));
    if (value != 0 && (largest < 1e-3 || largest >= 1e6))
        snprintf(text, 32, "%.3g", value);
    else if (axis->logarithmic)
        snprintf(text, 32, "%g", value);
    else
        snprintf(text, 32, "%.*f", axis->step >= 1 ? 0 : (int)ceil(-log10(axis->step) - 1e-9), value);
}

/* --- legend */

/* A name as it is shown: long ones lose what is between their first characters and the end, which tells runs apart. */
static void shorten(const char *name, char shown[LEGEND_NAME]) {
    const size_t length = strlen(name);
    if (length < LEGEND_NAME) {
        memcpy(shown, name, length + 1);
        return;
    }
    size_t head = LEGEND_HEAD, tail = length - (LEGEND_NAME - 1 - 3 - LEGEND_HEAD);
    while (head > 0 && ((unsigned char)name[head] & 0xC0) == 0x80) head--;
    while (((unsigned char)name[tail] & 0xC0) == 0x80) tail++;
    snprintf(shown, LEGEND_NAME, "%.*s...%s", (int)head, name, name + tail);
}

/* Draws the legend, or, without a canvas, measures it; its height. */
static double legend(Canvas *canvas, double left, double top, double width, const Chart *chart) {
    double x = left, y = top;
    bool any = false;
    for (int i = 0; i < chart->count; i++) {
        const ChartSeries *series = &chart->series[i];
        char name[LEGEND_NAME];
        if (!*series->name) continue;
        shorten(series->name, name);
        const double room = LEGEND_SAMPLE + 4 + stroke_font_width(name, FONT) * 1.06 + 12;
        if (any && x + room > left + width + 12) x = left, y += LEGEND_LINE;
        if (canvas) {
            const Point sample[2] = {{x, y + 6}, {x + LEGEND_SAMPLE, y + 6}};
            canvas->operations->line(canvas, 2, sample, 2, series->dash, paint(series->ink));
            canvas->operations->text(canvas, (Point){x + LEGEND_SAMPLE + 4, y + 9.5},
                                     (TextStyle){.size = FONT, .paint = paint(INK_TEXT)}, name);
        }
        x += room;
        any = true;
    }
    return any ? y - top + LEGEND_LINE + 4 : 0;
}

/* --- curves */

typedef struct {
    Box area;
    Axis x, y;
} Plot;

static Point place_point(const Plot *plot, double x, double y) {
    return (Point){plot->area.x + (x - plot->x.least) / (plot->x.most - plot->x.least) * plot->area.width,
                   plot->area.y + plot->area.height -
                       (on_axis(&plot->y, y) - plot->y.least) / (plot->y.most - plot->y.least) * plot->area.height};
}

/* Where points are denser than the paper, each stretch of it keeps its first, least, most and last: at most `room`. */
static int thin(int points, const Point *point, int room, Point *kept) {
    const int stretches = room / 4;
    if (points <= room) {
        memcpy(kept, point, (size_t)points * sizeof *kept);
        return points;
    }
    int count = 0;
    for (int s = 0; s < stretches; s++) {
        const int first = (int)((int64_t)points * s / stretches), end = (int)((int64_t)points * (s + 1) / stretches);
        int low = first, high = first;
        for (int p = first; p < end; p++) {
            if (point[p].y < point[low].y) low = p;
            if (point[p].y > point[high].y) high = p;
        }
        const int order[4] = {first, low < high ? low : high, low < high ? high : low, end - 1};
        for (int i = 0; i < 4; i++)
            if (i == 0 || order[i] > order[i - 1]) kept[count++] = point[order[i]];
    }
    return count;
}

static void draw_stretch(Canvas *canvas, int points, const Point *point, const ChartSeries *series) {
    enum { ROOM = 400, DOTS_MOST = 40 };
    Point kept[ROOM];
    const int count = thin(points, point, ROOM, kept);
    if (count > 1) canvas->operations->line(canvas, count, kept, 1.8, series->dash, paint(series->ink));
    for (int i = 0; i < count && (count == 1 || (series->dots && count <= DOTS_MOST)); i++)
        canvas->operations->disc(canvas, kept[i], 2.6, paint(series->ink));
}

static void draw_series(Canvas *canvas, const Plot *plot, const ChartSeries *series) {
    Point *point = memory_new((size_t)series->points, sizeof *point);
    int count = 0;
    for (int p = 0; p < series->points; p++) {
        if (isfinite(series->y[p])) {
            point[count++] = place_point(plot, drawn(series->x[p]), drawn(series->y[p]));
            continue;
        }
        draw_stretch(canvas, count, point, series);
        count = 0;
    }
    draw_stretch(canvas, count, point, series);
    free(point);
}

static void draw_axes(Canvas *canvas, const Plot *plot, const Chart *chart, Box place) {
    const CanvasOperations *draw = canvas->operations;
    const Box area = plot->area;
    const TextStyle number = {.size = FONT, .paint = paint(INK_MUTED)};
    TextStyle style = number;
    char text[32];
    for (int i = 0; i < plot->y.ticks; i++) {
        const double at = place_point(plot, plot->x.least, plot->y.tick[i]).y;
        const Point rule[2] = {{area.x, at}, {area.x + area.width, at}};
        draw->line(canvas, 2, rule, 0.8, DASH_NONE, paint(INK_GRID));
        format_tick(&plot->y, plot->y.tick[i], text);
        style.anchor = ANCHOR_END;
        draw->text(canvas, (Point){area.x - 5, at + 3.5}, style, text);
    }
    const double base = area.y + area.height;
    for (int i = 0; i < plot->x.ticks; i++) {
        const double at = area.x + (plot->x.tick[i] - plot->x.least) / (plot->x.most - plot->x.least) * area.width;
        const Point tick[2] = {{at, base}, {at, base + 4}};
        draw->line(canvas, 2, tick, 0.8, DASH_NONE, paint(INK_MUTED));
        format_tick(&plot->x, plot->x.tick[i], text);
        style.anchor = ANCHOR_MIDDLE;
        draw->text(canvas, (Point){at, base + 14}, style, text);
    }
    const Point floor_line[2] = {{area.x, base}, {area.x + area.width, base}};
    draw->line(canvas, 2, floor_line, 1, DASH_NONE, paint(INK_MUTED));
    draw->text(canvas, (Point){area.x + area.width / 2, place.y + place.height - 5}, style, chart->x_title);
    style.upright = true;
    draw->text(canvas, (Point){place.x + 12, area.y + area.height / 2}, style, chart->y_title);
}

/* The widest of the vertical axis' numbers. */
static double numbers_width(const Axis *axis) {
    double widest = 0;
    char text[32];
    for (int i = 0; i < axis->ticks; i++) {
        format_tick(axis, axis->tick[i], text);
        widest = fmax(widest, stroke_font_width(text, FONT));
    }
    return widest;
}

void chart_draw(Canvas *canvas, Box place, const Chart *chart) {
    const CanvasOperations *draw = canvas->operations;
    Plot plot = {.x = find_axis(chart, true), .y = find_axis(chart, false)};
    const double side = 24 + numbers_width(&plot.y), head = 24;
    const double names = legend(NULL, place.x + side, place.y + head, place.width - side - 10, chart);
    plot.area = (Box){place.x + side, place.y + head + names + 2, place.width - side - 10,
                      place.height - head - names - 2 - 34};
    draw->text(canvas, (Point){place.x + side, place.y + 16},
               (TextStyle){.size = TITLE, .paint = paint(INK_TEXT), .bold = true}, chart->title);
    legend(canvas, place.x + side, place.y + head, place.width - side - 10, chart);
    draw_axes(canvas, &plot, chart, place);
    if (!has_points(chart))
        draw->text(canvas, (Point){plot.area.x + plot.area.width / 2, plot.area.y + plot.area.height / 2},
                   (TextStyle){.size = FONT, .paint = paint(INK_MUTED), .anchor = ANCHOR_MIDDLE},
                   "nothing recorded yet");
    for (int i = 0; i < chart->count; i++) draw_series(canvas, &plot, &chart->series[i]);
}

/* --- the chart as a figure */

static void draw_alone(Canvas *canvas, const void *data, int frame) {
    const Chart *chart = data;
    (void)frame;
    chart_draw(canvas, (Box){0, 0, CHART_WIDTH, CHART_HEIGHT + legend(NULL, 0, 0, CHART_WIDTH - 60, chart)}, chart);
}

Figure chart_figure(const Chart *chart) {
    Figure figure = {.width = CHART_WIDTH,
                     .height = CHART_HEIGHT + legend(NULL, 0, 0, CHART_WIDTH - 60, chart),
                     .frames = 1,
                     .draw = draw_alone,
                     .data = chart};
    int used = snprintf(figure.alternative, sizeof figure.alternative, "%s: %s over %s.", chart->title, chart->y_title,
                        chart->x_title);
    for (int i = 0; i < chart->count && used < (int)sizeof figure.alternative; i++) {
        const ChartSeries *series = &chart->series[i];
        int last = series->points - 1;
        while (last >= 0 && !isfinite(series->y[last])) last--;
        if (last < 0) continue;
        used += snprintf(figure.alternative + used, sizeof figure.alternative - (size_t)used,
                         " %s: %.4g at first, %.4g at %g.", *series->name ? series->name : "Value", series->y[0],
                         series->y[last], series->x[last]);
    }
    return figure;
}
