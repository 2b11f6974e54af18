#include "view/terminal.h"
#include "base/memory.h"
#include "config/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- a chart of dots: every letter is a field of 2 x 4 of them (Unicode's Braille patterns) */

enum { SILENT = 60 /* seconds without a record that are worth a word */ };

enum { LINES_LEAST = 3, LINES_MOST = 8, FRAME = 3, MARGIN = 11, COLUMNS_LEAST = 40, COLUMNS_MOST = 110 };

typedef struct {
    int columns, lines;
    uint8_t *dots; /* (lines, columns): the bits of each letter */
} DotField;

static void set_dot(DotField *field, int x, int y) {
    static const uint8_t BIT[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    if (x < 0 || x >= 2 * field->columns || y < 0 || y >= 4 * field->lines) return;
    field->dots[y / 4 * field->columns + x / 2] |= BIT[y % 4][x % 2];
}

typedef struct {
    double first, last; /* of x */
    double least, most; /* of y, logarithms where logarithmic */
    bool logarithmic;
} Range;

static double on_scale(const Range *range, double y) { return range->logarithmic ? log10(y) : y; }

static Range find_range(const Chart *chart) {
    Range range = {INFINITY, -INFINITY, INFINITY, -INFINITY, chart->logarithmic};
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < chart->count; i++)
            for (int p = 0; p < chart->series[i].points; p++) {
                const double x = chart->series[i].x[p], y = chart->series[i].y[p];
                if (pass == 0 && y <= 0) range.logarithmic = false;
                if (pass == 0) continue;
                range.first = fmin(range.first, x), range.last = fmax(range.last, x);
                range.least = fmin(range.least, on_scale(&range, y)),
                range.most = fmax(range.most, on_scale(&range, y));
            }
    return range;
}

static int place(double value, double from, double to, int dots) {
    return to > from ? (int)lrint((value - from) / (to - from) * (dots - 1)) : (dots - 1) / 2;
}

/* A line of dots to each point from the one before. */
static void draw_series(DotField *field, const Range *range, const ChartSeries *series) {
    const int height = 4 * field->lines;
    int before_x = 0, before_y = 0;
    for (int p = 0; p < series->points; p++) {
        const int x = place(series->x[p], range->first, range->last, 2 * field->columns);
        const int y = height - 1 - place(on_scale(range, series->y[p]), range->least, range->most, height);
        const int steps = p == 0 ? 0 : abs(x - before_x) > abs(y - before_y) ? abs(x - before_x) : abs(y - before_y);
        for (int i = 0; i < steps; i++)
            set_dot(field, before_x + (x - before_x) * i / steps, before_y + (y - before_y) * i / steps);
        set_dot(field, x, y);
        before_x = x, before_y = y;
    }
}

static void put_letters(FILE *out, const uint8_t *dots, int columns) {
    while (columns > 0 && dots[columns - 1] == 0) columns--;
    for (int i = 0; i < columns; i++) {
        const uint8_t letter[3] = {0xE2, (uint8_t)(0xA0 | dots[i] >> 6), (uint8_t)(0x80 | (dots[i] & 0x3F))};
        fwrite(letter, 1, 3, out);
    }
}

/* A line between the charts and the title, which names the curves; then `lines` and the axis: FRAME + `lines` in all.
 */
static void put_title(FILE *out, const Chart *chart, int columns) {
    char text[256];
    int used = snprintf(text, sizeof text, "%s, %s", chart->title, chart->y_title);
    const char *between = ": ";
    for (int i = 0; i < chart->count && used < (int)sizeof text; i++) {
        if (chart->series[i].points == 0) continue;
        used += snprintf(text + used, sizeof text - (size_t)used, "%s%s", between, chart->series[i].name);
        between = ", ";
    }
    fprintf(out, "\n%.*s\n", columns, text);
}

static void put_chart(FILE *out, const Chart *chart, int columns, int lines) {
    const Range range = find_range(chart);
    DotField field = {.columns = columns - MARGIN, .lines = lines};
    field.dots = memory_new((size_t)field.columns * (size_t)lines, 1);
    for (int i = 0; i < chart->count; i++) draw_series(&field, &range, &chart->series[i]);
    put_title(out, chart, columns);
    for (int line = 0; line < lines; line++) {
        const double end = line == 0 ? range.most : range.least;
        if (line == 0 || line == lines - 1)
            fprintf(out, "%9.4g |", range.logarithmic ? pow(10, end) : end);
        else
            fprintf(out, "%9s |", "");
        put_letters(out, field.dots + line * field.columns, field.columns);
        putc('\n', out);
    }
    fprintf(out, "%9s  epoch %g%*s%g\n", "", range.first, field.columns > 16 ? field.columns - 12 : 4, "", range.last);
    free(field.dots);
}

/* --- the figures */

static void put_duration(FILE *out, double seconds) {
    const long long whole = llround(seconds);
    fprintf(out, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
}

static void put_time(FILE *out, const Run *run) {
    double seconds = 0;
    for (int i = 0; i < run->epochs; i++) seconds += run->epoch[i].value[EPOCH_SECONDS];
    const double left = (double)run->config.train_epochs - run->epoch[run->epochs - 1].value[EPOCH_EPOCH];
    fprintf(out, "time             %.2f s an epoch, ", seconds / run->epochs);
    put_duration(out, seconds);
    fputs(" so far", out);
    if (!run_is_finished(run) && run->has_config && left > 0) {
        fputs(", about ", out);
        put_duration(out, left * seconds / run->epochs);
        fputs(" to go", out);
    }
    if (!run_is_finished(run) && run->silent > SILENT && run->silent > 3 * seconds / run->epochs) {
        fputs("; the last record is ", out);
        put_duration(out, run->silent);
        fputs(" old", out);
    }
    putc('\n', out);
}

static void put_error(FILE *out, const char *name, const EvalRow *row) {
    if (row)
        fprintf(out, "%-16s %.2f %% error (95 %%: %.2f to %.2f), epoch %" PRId64 "\n", name, row->error, row->low,
                row->high, row->epoch);
}

/* A name from the file system, without what a terminal would obey. */
static void put_name(FILE *out, const char *name) {
    while (*name) {
        const int bytes = text_shown_bytes(name);
        fwrite(bytes > 0 ? name : "?", 1, bytes > 0 ? (size_t)bytes : 1, out);
        name += bytes > 0 ? bytes : 1;
    }
}

static void put_figures(FILE *out, const Run *run) {
    const double *last = run->epoch[run->epochs - 1].value;
    const bool finished = run_is_finished(run);
    put_name(out, run->name);
    fprintf(out, ": %s epoch %.0f", finished ? "finished after" : "after", last[EPOCH_EPOCH]);
    if (run->has_config && !finished) fprintf(out, " of %" PRId64, run->config.train_epochs);
    fprintf(out, ", step %.0f\n", last[EPOCH_STEP]);
    fprintf(out, "training         total loss %.4f, error %.2f %%, reward %.4f, lr %.2e\n", last[EPOCH_LOSS],
            last[EPOCH_ERROR], last[EPOCH_REWARD], last[EPOCH_LR]);
    put_error(out, "validation", run_last_validation(run));
    put_error(out, "best validation", run_best_eval(run));
    put_error(out, "test", run_result(run));
    put_time(out, run);
}

/* How many lines of the screen a text takes. */
static int count_lines(const char *text, int columns) {
    int lines = 0;
    for (const char *end; (end = strchr(text, '\n')); text = end + 1)
        lines += end == text ? 1 : (int)((end - text + columns - 1) / columns);
    return lines;
}

/* Lines of each of `charts` charts in `room` lines. */
static int share_lines(int room, int charts) {
    const int lines = room / charts - FRAME;
    return lines < LINES_MOST ? lines : LINES_MOST;
}

static void put_charts(FILE *out, const Run *run, int width, int room) {
    static const Curve SHOWN[] = {CURVE_ERROR, CURVE_LOSS};
    CurveSet set;
    int charts = 2;
    while (charts > 0 && share_lines(room, charts) < LINES_LEAST) charts--;
    curves_make(1, run, &set);
    for (int i = 0; i < charts; i++) put_chart(out, &set.chart[SHOWN[i]], width, share_lines(room, charts));
    curves_free(&set);
}

void terminal_show(FILE *out, const Run *run, int columns, int lines) {
    const int width = columns < COLUMNS_LEAST ? COLUMNS_LEAST : columns > COLUMNS_MOST ? COLUMNS_MOST : columns;
    char *text = NULL;
    size_t bytes;
    if (run->epochs == 0) {
        put_name(out, run->name);
        fputs(": no epoch is complete yet\n", out);
        return;
    }
    FILE *memory = memory_stream_open(&text, &bytes);
    put_figures(memory, run);
    memory_stream_close(memory);
    fputs(text, out);
    put_charts(out, run, width, lines - count_lines(text, columns) - 1); /* the cursor is below */
    free(text);
}
