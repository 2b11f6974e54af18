#include "view/curves.h"
#include "base/log.h"

#include <math.h>
#include <string.h>

static const Chart EMPTY[CURVES] = {
    [CURVE_LOSS] = {.title = "Loss",
                    .x_title = "epoch",
                    .y_title = "negative log likelihood (nats)",
                    .logarithmic = true},
    [CURVE_ERROR] = {.title = "Classification error", .x_title = "epoch", .y_title = "error (%)", .logarithmic = true},
    [CURVE_REWARD] = {.title = "Reward", .x_title = "epoch", .y_title = "mean reward R"},
    [CURVE_BASELINE] = {.title = "Error of the baseline",
                        .x_title = "epoch",
                        .y_title = "mean of (b - credit) squared",
                        .logarithmic = true},
    [CURVE_RATE] = {.title = "Learning rate", .x_title = "epoch", .y_title = "learning rate"},
    [CURVE_TIME] = {.title = "Time", .x_title = "epoch", .y_title = "seconds an epoch", .from_zero = true},
};

/* From the fifth run on colours alone do not keep apart. */
static Dash dash_of(int run, bool validation) {
    const bool late = run >= 4;
    return validation ? (late ? DASH_MIXED : DASH_LONG) : (late ? DASH_DOTS : DASH_NONE);
}

/* What a curve is of: a figure of the epochs' rows, or of the validation's. */
static void add_epochs(Chart *chart, const Run *run, const char *name, Ink ink, Dash dash, EpochFigure figure) {
    ChartSeries *series = chart_add(chart, run->epochs, name, ink, dash);
    for (int i = 0; i < run->epochs; i++) {
        series->x[i] = run->epoch[i].value[EPOCH_EPOCH];
        series->y[i] = run->epoch[i].value[figure];
    }
}

static double eval_figure(const EvalRow *row, Curve curve) {
    return curve == CURVE_LOSS ? row->loss : curve == CURVE_ERROR ? row->error : row->reward;
}

static void add_validation(Chart *chart, const Run *run, const char *name, Ink ink, Dash dash, Curve curve) {
    ChartSeries *series = chart_add(chart, run->evals, name, ink, dash);
    series->points = 0;
    for (int i = 0; i < run->evals; i++) {
        if (strcmp(run->eval[i].split, "validation") != 0) continue;
        series->x[series->points] = (double)run->eval[i].epoch;
        series->y[series->points++] = eval_figure(&run->eval[i], curve);
    }
}

/* Whether the reward that is trained on is the one that evaluations give: the share of right classes. */
static bool rewards_compare(const Run *run) { return run->config.train_reward == REWARD_CORRECT; }

/* "training" where there is one run, else "NAME" or "NAME, validation". */
enum { NAME = FILE_PATH + 16 };
static void name_series(char name[NAME], int runs, const Run *run, bool validation) {
    if (runs == 1)
        snprintf(name, NAME, "%s", validation ? "validation" : "training");
    else
        snprintf(name, NAME, "%s%s", run->name, validation ? ", validation" : "");
}

void curves_make(int runs, const Run *run, CurveSet *set) {
    static const EpochFigure FIGURE[CURVES] = {[CURVE_LOSS] = EPOCH_NLL,      [CURVE_ERROR] = EPOCH_ERROR,
                                               [CURVE_REWARD] = EPOCH_REWARD, [CURVE_BASELINE] = EPOCH_BASELINE_LOSS,
                                               [CURVE_RATE] = EPOCH_LR,       [CURVE_TIME] = EPOCH_SECONDS};
    require(runs <= CURVES_RUNS);
    for (Curve curve = 0; curve < CURVES; curve++) {
        Chart *chart = &set->chart[curve];
        const bool validated = curve <= CURVE_REWARD;
        *chart = EMPTY[curve];
        for (int i = 0; i < runs; i++) {
            const Ink ink = (Ink)(INK_SERIES + i);
            char name[NAME];
            name_series(name, runs, &run[i], false);
            add_epochs(chart, &run[i], validated || runs > 1 ? name : "", ink, dash_of(i, false), FIGURE[curve]);
            if (!validated || (curve == CURVE_REWARD && !rewards_compare(&run[i]))) continue;
            name_series(name, runs, &run[i], true);
            add_validation(chart, &run[i], name, runs == 1 ? (Ink)(INK_SERIES + 1) : ink, dash_of(i, true), curve);
        }
    }
}

void curves_free(CurveSet *set) {
    for (Curve curve = 0; curve < CURVES; curve++) chart_free(&set->chart[curve]);
}

enum { COLUMNS = 2, ROWS = (CURVES + COLUMNS - 1) / COLUMNS, GAP = 16 };

/* All charts are as high as the one with the longest legend. */
static double chart_height(const CurveSet *set) {
    double height = 0;
    for (Curve curve = 0; curve < CURVES; curve++) height = fmax(height, chart_figure(&set->chart[curve]).height);
    return height;
}

static void draw_all(Canvas *canvas, const void *data, int frame) {
    const CurveSet *set = data;
    const double height = chart_height(set);
    (void)frame;
    for (int i = 0; i < CURVES; i++) {
        const double x = GAP + i % COLUMNS * (double)(CHART_WIDTH + GAP), y = GAP + i / COLUMNS * (height + GAP);
        chart_draw(canvas, (Box){x, y, CHART_WIDTH, height}, &set->chart[i]);
    }
}

Figure curves_figure(const CurveSet *set) {
    Figure figure = {.width = GAP + COLUMNS * (CHART_WIDTH + GAP),
                     .height = GAP + ROWS * (chart_height(set) + GAP),
                     .frames = 1,
                     .draw = draw_all,
                     .data = set};
    snprintf(figure.alternative, sizeof figure.alternative,
             "Learning curves by epoch: loss, classification error, reward, error of the baseline, learning rate, "
             "seconds an epoch.");
    return figure;
}

void curves_make_policy(const Run *run, Chart *movement, Chart *error) {
    *movement = (Chart){.title = "How far glimpses go", .x_title = "epoch", .y_title = "halves of the picture's side"};
    *error =
        (Chart){.title = "Error on the probe set", .x_title = "epoch", .y_title = "error (%)", .logarithmic = true};
    ChartSeries *travel = chart_add(movement, run->policies, "from glimpse to glimpse", INK_SERIES, DASH_NONE);
    ChartSeries *spread = chart_add(movement, run->policies, "spread over images", (Ink)(INK_SERIES + 1), DASH_LONG);
    ChartSeries *wrong = chart_add(error, run->policies, "", INK_SERIES, DASH_NONE);
    for (int i = 0; i < run->policies; i++) {
        travel->x[i] = spread->x[i] = wrong->x[i] = (double)run->policy[i].epoch;
        travel->y[i] = run->policy[i].movement.travel;
        spread->y[i] = run->policy[i].movement.spread;
        wrong->y[i] = run->policy[i].error;
    }
}

void curves_make_glimpses(int runs, const Run *run, Chart *chart) {
    *chart =
        (Chart){.title = "Error after each glimpse", .x_title = "glimpse", .y_title = "error (%)", .logarithmic = true};
    for (int i = 0; i < runs; i++) {
        if (!run[i].has_recording) continue;
        const int glimpses = run[i].recording.content.facts.shape.glimpses;
        ChartSeries *series =
            chart_add(chart, glimpses, runs > 1 ? run[i].name : "", (Ink)(INK_SERIES + i), dash_of(i, false));
        series->dots = true;
        for (int t = 0; t < glimpses; t++) {
            series->x[t] = t + 1;
            series->y[t] = recording_error(&run[i].recording, t);
        }
    }
}
