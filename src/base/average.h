/* The average by which the best model is chosen (eval.average): training keeps it from epoch to epoch, the views find
 * its least again in metrics.jsonl. Must not know what is averaged. Nothing here is collective. */
#ifndef RAM_BASE_AVERAGE_H
#define RAM_BASE_AVERAGE_H

#include <stdint.h>

/* The average once `value`, the seen-th (from 1), has come: the mean of all while there are no more than `window`, then
 * exponential, the new one with weight 1/window. A window of 1 (or less) is the value itself. */
static inline double average_take(double average, double value, int64_t seen, int64_t window) {
    const int64_t values = seen < window ? seen : window;
    return values > 1 ? average + (value - average) / (double)values : value;
}

#endif
