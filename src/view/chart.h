/* Chart: curves over one pair of axes, with title, units, ticks, grid and legend. Must not know what the numbers are.
 * Nothing here is collective. */
#ifndef RAM_VIEW_CHART_H
#define RAM_VIEW_CHART_H

#include "view/figure.h"

typedef struct {
    char *name; /* in the legend; "": not there. Owned by the chart */
    int points;
    double *x, *y; /* (points); NaN leaves a gap. Owned by the chart */
    Ink ink;
    Dash dash;
    bool dots; /* a mark on every point */
} ChartSeries;

enum { CHART_SERIES = 24 };
typedef struct {
    const char *title, *x_title, *y_title;
    bool logarithmic; /* where all values are positive */
    bool from_zero;   /* the vertical axis begins at 0 */
    int count;
    ChartSeries series[CHART_SERIES];
} Chart;

/* Adds an empty series of `points` points, to be filled in. */
ChartSeries *chart_add(Chart *chart, int points, const char *name, Ink ink, Dash dash);
void chart_free(Chart *chart);

void chart_draw(Canvas *canvas, Box place, const Chart *chart);

/* The chart alone; borrowed until the figure is drawn. */
enum { CHART_WIDTH = 360, CHART_HEIGHT = 240 };
Figure chart_figure(const Chart *chart);

#endif
