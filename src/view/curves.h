/* Curves: how runs learned, as charts: loss, error, reward, error of the baseline, learning rate, time. Must not know
 * where the charts go. Nothing here is collective. */
#ifndef RAM_VIEW_CURVES_H
#define RAM_VIEW_CURVES_H

#include "view/chart.h"
#include "view/run.h"

enum { CURVES_RUNS = 8 /* at most, in one set of charts */ };
typedef enum { CURVE_LOSS, CURVE_ERROR, CURVE_REWARD, CURVE_BASELINE, CURVE_RATE, CURVE_TIME, CURVES } Curve;

typedef struct {
    Chart chart[CURVES];
} CurveSet;

/* curves_free() the result. */
void curves_make(int runs, const Run *run, CurveSet *set);
void curves_free(CurveSet *set);

/* All of them side by side; borrowed until the figure is drawn. */
Figure curves_figure(const CurveSet *set);

/* How the policy changed while the run trained; the second chart shows the probe set's error. */
void curves_make_policy(const Run *run, Chart *movement, Chart *error);

/* Error after each glimpse, one line a run; runs without a trace have none. */
void curves_make_glimpses(int runs, const Run *run, Chart *chart);

#endif
