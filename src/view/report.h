/* Report: one HTML page about one run or several side by side, with all that it needs inside: style, script, figures.
 * Owns what the page says. Must not know where it is written, nor the environment. Nothing here is collective. */
#ifndef RAM_VIEW_REPORT_H
#define RAM_VIEW_REPORT_H

#include "view/curves.h"
#include "view/digits.h"

typedef struct {
    int runs; /* at most CURVES_RUNS */
    const Run *run;
    const char *data_directory, *data_prefix, *data_fallback; /* as gallery_open */
    int images;                                               /* of the gallery; 0: the first of the trace */
    int64_t image[DIGITS_MOST];
} ReportPlan;

/* The page; free() *text. RAM_USAGE: an image that a trace does not have. */
Status report_make(const ReportPlan *plan, char **text, size_t *bytes);

/* --- its parts, for report.c */

/* No pictures are added beyond this many bytes, so that the page stays below 3 MB. */
enum { REPORT_ENOUGH = 1800000 };

/* A figure with a caption (NULL: none). */
void report_figure(FILE *out, const Figure *figure, const char *caption);

/* Facts, one column a run, and the configuration where it differs from the defaults. */
void report_summary(FILE *out, int runs, const Run *run);

/* Curves of all runs, and their numbers. */
void report_curves(FILE *out, int runs, const Run *run);

/* What the trace of a run shows. */
Status report_trace(FILE *out, const ReportPlan *plan, const Run *run);

#endif
