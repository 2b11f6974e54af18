#include "base/memory.h"
#include "view/cells.h"
#include "view/markup.h"
#include "view/report.h"

#include <inttypes.h>
#include <stdlib.h>

enum { GALLERY = 12, MISTAKES = 12 };

/* --- what needs no pictures */

static void put_glimpse_errors(FILE *out, const Recording *recording) {
    const int glimpses = recording->content.facts.shape.glimpses;
    fputs("<details><summary>Error after each glimpse, in numbers</summary>\n<div class=\"wide\" role=\"region\" "
          "aria-label=\"table\" tabindex=\"0\"><table "
          "class=\"numbers glimpse-errors\"><thead><tr><th scope=\"col\">glimpse</th><th scope=\"col\">error "
          "(%)</th></tr></thead><tbody>\n",
          out);
    for (int t = 0; t < glimpses; t++)
        fprintf(out, "<tr><td>%d</td><td>%.9g</td></tr>\n", t + 1, recording_error(recording, t));
    fputs("</tbody></table></div></details>\n", out);
}

static void put_cells(FILE *out, const Run *run) {
    const Recording *recording = &run->recording;
    Chart errors;
    Confusion confusion = confusion_make(recording);
    HeatMaps maps = heat_make(recording);
    const Figure cells = confusion_figure(&confusion), heat = heat_figure(&maps);
    curves_make_glimpses(1, run, &errors);
    const Figure chart = chart_figure(&errors);
    fputs("<div class=\"charts\">\n", out);
    report_figure(out, &chart, NULL);
    report_figure(out, &cells, "Colour by the cube root of each row's share, blue where right. Empty cells are 0.");
    report_figure(out, &heat,
                  "Colour by the root of the count. Glimpse 1 is placed before the model has seen anything.");
    fputs("</div>\n", out);
    chart_free(&errors);
    confusion_free(&confusion);
    heat_free(&maps);
}

static void put_policy(FILE *out, const Run *run) {
    Chart movement, error;
    if (run->policies < 2) return;
    HeatMaps maps = heat_make_epochs(run);
    curves_make_policy(run, &movement, &error);
    const Figure figures[] = {chart_figure(&movement), chart_figure(&error), heat_figure(&maps)};
    fputs("<h3>How the policy changed</h3>\n<p class=\"muted\">The same validation images after each recorded epoch "
          "(trace.every).</p>\n<div class=\"charts\">\n",
          out);
    report_figure(out, &figures[0], NULL);
    report_figure(out, &figures[1], NULL);
    report_figure(out, &figures[2], "All glimpses but the first, which is placed before the model has seen anything.");
    fputs("</div>\n", out);
    chart_free(&movement);
    chart_free(&error);
    heat_free(&maps);
}

/* --- pictures */

/* False where the page would grow too large. */
static bool put_digit(FILE *out, const Recording *recording, const Gallery *gallery, int64_t sample) {
    const Digits one = {.recording = recording, .gallery = gallery, .count = 1, .sample = {sample}};
    const Figure figure = digits_figure(&one);
    char caption[64], *text = NULL;
    size_t bytes = 0;
    FILE *memory = memory_stream_open(&text, &bytes);
    snprintf(caption, sizeof caption, "sample %" PRId64, sample);
    report_figure(memory, &figure, caption);
    memory_stream_close(memory);
    const bool fits = ftell(out) + (long)bytes <= REPORT_ENOUGH;
    if (fits) fwrite(text, 1, bytes, out);
    free(text);
    return fits;
}

static void put_digits(FILE *out, const Recording *recording, const Gallery *gallery, int count,
                       const int64_t *sample) {
    int shown = 0;
    fputs("<div class=\"gallery\">\n", out);
    while (shown < count && put_digit(out, recording, gallery, sample[shown])) shown++;
    fputs("</div>\n", out);
    if (shown < count)
        fprintf(out, "<p class=\"note\">%d more pictures are left out: the page would grow too large.</p>\n",
                count - shown);
}

/* Pictures whose glimpses can be played. */
static void put_film(FILE *out, const Recording *recording, const Gallery *gallery, int count, const int64_t *sample) {
    const int glimpses = recording->content.facts.shape.glimpses;
    fprintf(out,
            "<div class=\"film\">\n<div class=\"player\" hidden><button type=\"button\">Step back</button><button "
            "type=\"button\">Play</button><button type=\"button\">Step forward</button><input type=\"range\" min=\"1\" "
            "max=\"%d\" value=\"%d\" aria-label=\"glimpse\"><output aria-live=\"polite\"></output></div>\n",
            glimpses, glimpses);
    put_digits(out, recording, gallery, count, sample);
    fputs("</div>\n", out);
}

static void put_mistakes(FILE *out, const Recording *recording, const Gallery *gallery) {
    int64_t sample[MISTAKES], all;
    const int count = recording_mistakes(recording, MISTAKES, sample, &all);
    fprintf(out, "<h3>Mistakes</h3>\n<p class=\"muted\" data-mistakes=\"%" PRId64 "\">", all);
    if (count == 0) {
        fputs("There is none.</p>\n", out);
        return;
    }
    fprintf(out, "%" PRId64 " of %" PRId64 " images are wrong; %s, the most confident first.</p>\n", all,
            recording->content.facts.shape.samples, count < all ? "some of them" : "all of them");
    put_film(out, recording, gallery, count, sample);
}

static void put_pictures(FILE *out, const Recording *recording, const Gallery *gallery, const Digits *digits) {
    const bool bars = digits_have_bars(recording);
    char text[160] = "";
    digits_tell_rollouts(recording, text, sizeof text);
    fprintf(out,
            "<h3>Where it looks</h3>\n<p class=\"muted\">Boxes are what the retina sees at each scale, numbered by "
            "glimpse, from blue to yellow. A dot marks the first glimpse, a square the last.%s%s%s</p>\n",
            bars ? " The bars below are the probability of each class after each glimpse: blue for the label, orange "
                   "for the others."
                 : "",
            text,
            !*text ? ""
            : bars ? " So are the bars; what the model says is the mean of all."
                   : " What the model says is the mean of all.");
    put_film(out, recording, gallery, digits->count, digits->sample);
    put_mistakes(out, recording, gallery);
}

static void put_note(FILE *out, const char *before, const char *text) {
    fprintf(out, "<p class=\"note\">%s", before);
    markup_text(out, text);
    fputs("</p>\n", out);
}

static void put_description(FILE *out, const Run *run) {
    char text[1000];
    recording_describe(&run->recording, text, sizeof text);
    fputs("<p class=\"muted\">", out);
    markup_text(out, text);
    fputs("</p>\n", out);
    run_tell_difference(run, text, sizeof text);
    if (*text) put_note(out, "", text);
}

Status report_trace(FILE *out, const ReportPlan *plan, const Run *run) {
    const Recording *recording = &run->recording;
    Gallery gallery;
    Digits digits = {.recording = recording};
    fputs("<section>\n<h2>Glimpses", out);
    if (plan->runs > 1) {
        fputs(" of ", out);
        markup_text(out, run->name);
    }
    fputs("</h2>\n", out);
    if (run->passed_over > 0) {
        char before[64];
        snprintf(before, sizeof before, "%d trace%s passed over: ", run->passed_over, run->passed_over > 1 ? "s" : "");
        put_note(out, before, run->why_passed_over);
    }
    if (!run->has_recording) {
        put_note(out, "", "No trace has been recorded: `ram_dist trace RUN` records one.");
        fputs("</section>\n", out);
        return status_ok();
    }
    TRY(digits_choose(&digits, plan->images, plan->image, GALLERY));
    put_description(out, run);
    put_cells(out, run);
    put_glimpse_errors(out, recording);
    const Status opened =
        gallery_open(&gallery, recording, plan->data_directory, plan->data_prefix, plan->data_fallback);
    if (status_failed(&opened))
        put_note(out, "No pictures of digits: ", opened.message);
    else
        put_pictures(out, recording, &gallery, &digits);
    gallery_close(&gallery);
    put_policy(out, run);
    fputs("</section>\n", out);
    return status_ok();
}
