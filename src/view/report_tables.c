#include "view/markup.h"
#include "view/report.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* --- the summary: a row for each fact, a column for each run */

enum { FACT_TEXT = 600 };

static void tell_state(const Run *run, char text[FACT_TEXT]) {
    const double epoch = run->epochs > 0 ? run->epoch[run->epochs - 1].value[EPOCH_EPOCH] : 0;
    if (run_is_finished(run))
        snprintf(text, FACT_TEXT, "finished after %.0f epochs", epoch);
    else if (run->has_config)
        snprintf(text, FACT_TEXT, "%.0f of %" PRId64 " epochs", epoch, run->config.train_epochs);
    else
        snprintf(text, FACT_TEXT, "%.0f epochs", epoch);
}

static void tell_error(const EvalRow *row, char text[FACT_TEXT]) {
    if (!row) return;
    snprintf(text, FACT_TEXT, "%.2f %% (95 %%: %.2f to %.2f), %" PRId64 " of %" PRId64 " wrong, M = %" PRId64,
             row->error, row->low, row->high, row->wrong, row->images, row->rollouts);
}

static void tell_test_sample(const Run *run, char text[FACT_TEXT]) { tell_error(run_test(run, "sample"), text); }
static void tell_test_mean(const Run *run, char text[FACT_TEXT]) { tell_error(run_test(run, "mean"), text); }
static void tell_test_random(const Run *run, char text[FACT_TEXT]) { tell_error(run_test(run, "random"), text); }
static void tell_test_center(const Run *run, char text[FACT_TEXT]) { tell_error(run_test(run, "center"), text); }

static void tell_validation(const Run *run, char text[FACT_TEXT]) {
    const EvalRow *row = run_best_eval(run);
    if (!row) return;
    const int length = snprintf(text, FACT_TEXT, "%.2f %% after epoch %" PRId64, row->error, row->epoch);
    if (run_average(run) > 1)
        snprintf(text + length, (size_t)(FACT_TEXT - length), ", chosen by an average over %" PRId64 " epochs",
                 run_average(run));
}

static void tell_augmentation(const Run *run, char text[FACT_TEXT]) {
    if (run->has_config) config_describe_section(&run->config, "augment", text, FACT_TEXT);
}

static void tell_last(const Run *run, char text[FACT_TEXT]) {
    if (run->epochs == 0) return;
    const double *value = run->epoch[run->epochs - 1].value;
    snprintf(text, FACT_TEXT, "total loss %.4f (negative log likelihood %.4f), error %.2f %%, reward %.4f",
             value[EPOCH_LOSS], value[EPOCH_NLL], value[EPOCH_ERROR], value[EPOCH_REWARD]);
}

static void tell_steps(const Run *run, char text[FACT_TEXT]) {
    if (run->epochs > 0) snprintf(text, FACT_TEXT, "%.0f", run->epoch[run->epochs - 1].value[EPOCH_STEP]);
}

static void tell_time(const Run *run, char text[FACT_TEXT]) {
    double seconds = 0;
    for (int i = 0; i < run->epochs; i++) seconds += run->epoch[i].value[EPOCH_SECONDS];
    const long long whole = llround(seconds);
    if (run->epochs > 0)
        snprintf(text, FACT_TEXT, "%lld:%02lld:%02lld, %.2f s an epoch", whole / 3600, whole / 60 % 60, whole % 60,
                 seconds / run->epochs);
}

static void tell_trace(const Run *run, char text[FACT_TEXT]) {
    if (run->has_recording) recording_describe(&run->recording, text, FACT_TEXT);
}

static void tell_folder(const Run *run, char text[FACT_TEXT]) { snprintf(text, FACT_TEXT, "%.599s", run->path); }

static void put_row(FILE *out, const char *name, int runs, const char (*text)[FACT_TEXT]) {
    bool any = false;
    for (int i = 0; i < runs; i++) any |= *text[i] != 0;
    if (!any) return;
    fprintf(out, "<tr><th scope=\"row\">%s</th>", name);
    for (int i = 0; i < runs; i++) {
        fputs("<td>", out);
        markup_text(out, text[i]);
        fputs("</td>", out);
    }
    fputs("</tr>\n", out);
}

/* The head of a table whose last columns are the runs. */
static void put_run_head(FILE *out, const char *columns, int runs, const Run *run) {
    fprintf(out, "<thead><tr>%s", columns);
    for (int i = 0; i < runs; i++) {
        fputs("<th scope=\"col\">", out);
        markup_text(out, run[i].name);
        fputs("</th>", out);
    }
    fputs("</tr></thead>\n<tbody>\n", out);
}

static void put_facts(FILE *out, int runs, const Run *run) {
    static const struct {
        const char *name;
        void (*tell)(const Run *run, char text[FACT_TEXT]);
    } FACTS[] = {
        {"State", tell_state},
        {"Test error", tell_test_sample},
        {"Test error, policy's mean", tell_test_mean},
        {"Test error, random locations", tell_test_random},
        {"Test error, centre alone", tell_test_center},
        {"Best validation error", tell_validation},
        {"Augmentation of training images", tell_augmentation},
        {"Last epoch of training", tell_last},
        {"Steps", tell_steps},
        {"Time of training steps", tell_time},
        {"Pictured trace", tell_trace},
        {"Run folder", tell_folder},
    };
    static const char *const ORIGIN[RUN_FACTS] = {[FACT_PROGRAM] = "Program",
                                                  [FACT_REVISION] = "Revision",
                                                  [FACT_RANKS] = "Ranks",
                                                  [FACT_DEVICE] = "Device of a rank",
                                                  [FACT_PRODUCTS] = "Computed by",
                                                  [FACT_MESSAGES] = "Messages",
                                                  [FACT_HOST] = "Host",
                                                  [FACT_JOB] = "Slurm job",
                                                  [FACT_COMMAND] = "Command"};
    char text[CURVES_RUNS][FACT_TEXT];
    for (size_t fact = 0; fact < sizeof FACTS / sizeof *FACTS; fact++) {
        memset(text, 0, sizeof text);
        for (int i = 0; i < runs; i++) FACTS[fact].tell(&run[i], text[i]);
        put_row(out, FACTS[fact].name, runs, text);
    }
    for (RunFact fact = 0; fact < RUN_FACTS; fact++) {
        for (int i = 0; i < runs; i++) snprintf(text[i], FACT_TEXT, "%s", run[i].fact[fact]);
        put_row(out, ORIGIN[fact], runs, text);
    }
}

/* --- configuration */

static bool is_changed(int runs, const Run *run, const Config *standard, int key) {
    for (int i = 0; i < runs; i++)
        if (run[i].has_config && config_next_difference(standard, &run[i].config, key - 1) == key) return true;
    return false;
}

static void put_value(FILE *out, const Config *config, int key) {
    char text[CONFIG_TEXT];
    config_get_text(config, key, text, sizeof text);
    fputs("<td>", out);
    markup_text(out, *text ? text : "(empty)");
    fputs("</td>", out);
}

static void put_configuration(FILE *out, int runs, const Run *run) {
    Config standard;
    config_default(&standard);
    fputs("<h3>Configuration, where it differs from the defaults</h3>\n<div class=\"wide\" role=\"region\" "
          "aria-label=\"table\" tabindex=\"0\"><table "
          "id=\"configuration\">\n",
          out);
    put_run_head(out, "<th scope=\"col\">key</th><th scope=\"col\">default</th>", runs, run);
    for (int key = 0; key < CONFIG_KEYS; key++) {
        if (!is_changed(runs, run, &standard, key)) continue;
        fprintf(out, "<tr><th scope=\"row\">%s</th>", config_key(key)->name);
        put_value(out, &standard, key);
        for (int i = 0; i < runs; i++)
            if (run[i].has_config)
                put_value(out, &run[i].config, key);
            else
                fputs("<td>not known</td>", out);
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
}

void report_summary(FILE *out, int runs, const Run *run) {
    fputs("<section>\n<h2>Summary</h2>\n<div class=\"wide\" role=\"region\" aria-label=\"table\" tabindex=\"0\"><table "
          "id=\"summary\">\n",
          out);
    put_run_head(out, "<th scope=\"col\"></th>", runs, run);
    put_facts(out, runs, run);
    fputs("</tbody></table></div>\n", out);
    put_configuration(out, runs, run);
    fputs("</section>\n", out);
}

/* --- curves and their numbers */

enum { ROWS_MOST = 200 /* of a table */ };

/* Where there are more rows than a table takes, every `stride`-th and the last stand for all. */
static bool is_shown(int i, int rows) {
    const int stride = (rows + ROWS_MOST - 1) / ROWS_MOST;
    return stride <= 1 || i % stride == 0 || i == rows - 1;
}

static void put_epochs(FILE *out, const Run *run) {
    fputs("<div class=\"wide\" role=\"region\" aria-label=\"table\" tabindex=\"0\"><table class=\"numbers "
          "epochs\">\n<thead><tr>",
          out);
    for (EpochFigure figure = 0; figure < EPOCH_FIGURES; figure++)
        fprintf(out, "<th scope=\"col\">%s</th>", run_epoch_figure(figure));
    fputs("</tr></thead>\n<tbody>\n", out);
    for (int i = 0; i < run->epochs; i++) {
        if (!is_shown(i, run->epochs)) continue;
        fputs("<tr>", out);
        for (EpochFigure figure = 0; figure < EPOCH_FIGURES; figure++)
            fprintf(out, "<td>%.9g</td>", run->epoch[i].value[figure]);
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
}

static void put_evals(FILE *out, const Run *run) {
    fputs("<div class=\"wide\" role=\"region\" aria-label=\"table\" tabindex=\"0\"><table class=\"numbers "
          "evals\">\n<thead><tr><th "
          "scope=\"col\">split</th><th scope=\"col\">epoch</th><th scope=\"col\">policy</th><th "
          "scope=\"col\">wrong</th><th scope=\"col\">images</th><th scope=\"col\">error</th><th "
          "scope=\"col\">low</th><th scope=\"col\">high</th><th scope=\"col\">loss</th><th "
          "scope=\"col\">reward</th></tr></thead>\n<tbody>\n",
          out);
    for (int i = 0; i < run->evals; i++) {
        const EvalRow *row = &run->eval[i];
        if (!is_shown(i, run->evals) && strcmp(row->split, "test") != 0) continue;
        fputs("<tr><td>", out);
        markup_text(out, row->split);
        fprintf(out, "</td><td>%" PRId64 "</td><td>", row->epoch);
        markup_text(out, row->policy);
        fprintf(out,
                "</td><td>%" PRId64 "</td><td>%" PRId64
                "</td><td>%.9g</td><td>%.9g</td><td>%.9g</td><td>%.9g</td><td>%.9g</td></tr>\n",
                row->wrong, row->images, row->error, row->low, row->high, row->loss, row->reward);
    }
    fputs("</tbody></table></div>\n", out);
}

void report_curves(FILE *out, int runs, const Run *run) {
    CurveSet set;
    Chart glimpses = {.count = 0};
    fputs("<section>\n<h2>Learning curves</h2>\n<div class=\"charts\">\n", out);
    curves_make(runs, run, &set);
    for (Curve curve = 0; curve < CURVES; curve++) {
        const Figure figure = chart_figure(&set.chart[curve]);
        report_figure(out, &figure, NULL);
    }
    if (runs > 1) curves_make_glimpses(runs, run, &glimpses);
    if (glimpses.count > 0) {
        const Figure figure = chart_figure(&glimpses);
        report_figure(out, &figure, NULL);
    }
    chart_free(&glimpses);
    curves_free(&set);
    fputs("</div>\n", out);
    for (int i = 0; i < runs; i++) {
        fputs("<details><summary>Numbers", out);
        if (runs > 1) {
            fputs(" of ", out);
            markup_text(out, run[i].name);
        }
        fputs("</summary>\n", out);
        if (run[i].epochs > ROWS_MOST)
            fputs("<p class=\"muted\">Rows evenly spread; all are in metrics.jsonl.</p>\n", out);
        put_epochs(out, &run[i]);
        put_evals(out, &run[i]);
        fputs("</details>\n", out);
    }
    fputs("</section>\n", out);
}
