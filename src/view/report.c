#include "view/report.h"
#include "base/memory.h"
#include "base/version.h"
#include "report_css.h"
#include "report_js.h"
#include "view/markup.h"
#include "view/svg.h"

#include <string.h>
#include <time.h>

void report_figure(FILE *out, const Figure *figure, const char *caption) {
    fputs("<figure>", out);
    figure_put(figure, out);
    if (caption) {
        fputs("<figcaption>", out);
        markup_text(out, caption);
        fputs("</figcaption>", out);
    }
    fputs("</figure>\n", out);
}

static void put_names(FILE *out, int runs, const Run *run) {
    for (int i = 0; i < runs; i++) {
        if (i) fputs(", ", out);
        markup_text(out, run[i].name);
    }
}

static void put_head(FILE *out, const ReportPlan *plan) {
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src "
          "'unsafe-inline'; script-src 'unsafe-inline'\">\n<link rel=\"icon\" href=\"data:,\">\n<title>",
          out);
    put_names(out, plan->runs, plan->run);
    fputs(" - ram_dist report</title>\n<style>\n", out);
    fputs(REPORT_CSS, out);
    svg_style(out);
    fputs("</style>\n</head>\n<body>\n<header>\n<h1>", out);
    put_names(out, plan->runs, plan->run);
    fputs("</h1>\n", out);
}

/* The result in one sentence a run. */
static void put_result(FILE *out, const ReportPlan *plan, const Run *run) {
    const EvalRow *test = run_result(run);
    fputs("<p class=\"lead\">", out);
    if (plan->runs > 1) {
        markup_text(out, run->name);
        fputs(": ", out);
    }
    if (test && run_is_finished(run))
        fprintf(out, "%.2f %% error on the test set (95 %% interval: %.2f to %.2f).", test->error, test->low,
                test->high);
    else if (run->epochs > 0)
        fprintf(out, "Not finished: %.0f epochs so far, of %lld.", run->epoch[run->epochs - 1].value[EPOCH_EPOCH],
                (long long)run->config.train_epochs);
    else
        fputs("No epoch is complete yet.", out);
    fputs("</p>\n", out);
}

static void put_foot(FILE *out) {
    time_t now = time(NULL);
    struct tm utc;
    char date[32];
    gmtime_r(&now, &utc);
    strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", &utc);
    fprintf(
        out,
        "</main>\n<footer>Made by ram_dist %s on %s from metrics.jsonl, config.yaml and traces.</footer>\n<script>\n",
        version_number(), date);
    fputs(REPORT_JS, out);
    fputs("</script>\n</body>\n</html>\n", out);
}

static Status put_page(FILE *out, const ReportPlan *plan) {
    put_head(out, plan);
    for (int i = 0; i < plan->runs; i++) put_result(out, plan, &plan->run[i]);
    fputs("</header>\n<main>\n", out);
    report_summary(out, plan->runs, plan->run);
    report_curves(out, plan->runs, plan->run);
    for (int i = 0; i < plan->runs; i++) TRY(report_trace(out, plan, &plan->run[i]));
    put_foot(out);
    return status_ok();
}

Status report_make(const ReportPlan *plan, char **text, size_t *bytes) {
    FILE *out = memory_stream_open(text, bytes);
    const Status status = put_page(out, plan);
    memory_stream_close(out);
    return status;
}
