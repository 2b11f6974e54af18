/* Timed: a backend that passes every kernel on to another one and keeps what each cost, per worker, kernel and shape.
 * For measuring; results are the other backend's, bit for bit. Owns the counts. Nothing is collective. */
#ifndef RAM_BACKEND_TIMED_H
#define RAM_BACKEND_TIMED_H

#include "backend/backend.h"

/* What one kernel with one shape cost since timed_clear, over all workers. */
typedef struct {
    const char *kernel; /* "linear", "retina", ... */
    int in, out;        /* of products, else 0 */
    int64_t calls;
    double seconds; /* summed over the workers */
    double flops;   /* of products: 2 * rows * in * out */
} TimedCost;

/* `inner` is borrowed and must outlive the result; backend_close() the result. Only spans of `run` are counted by
 * worker; calls outside of it count as worker 0's. */
Backend *timed_new(Backend *inner);
void timed_clear(Backend *timed);

/* Fills cost (at most `most`), the dearest first; returns how many. */
int timed_costs(const Backend *timed, TimedCost *cost, int most);

#endif
