/* Clock: the time that passes, from a clock that never jumps, and the date. Nothing here is collective. */
#ifndef RAM_BASE_CLOCK_H
#define RAM_BASE_CLOCK_H

#include <time.h>

static inline double clock_read(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Seconds since some moment before the program began; may be called in a signal handler. */
static inline double clock_now(void) { return clock_read(CLOCK_MONOTONIC); }

/* Seconds since 1970 by this host's clock. */
static inline double clock_date(void) { return clock_read(CLOCK_REALTIME); }

#endif
