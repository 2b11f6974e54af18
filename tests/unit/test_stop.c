/* Stop: how long before the end of a job, or after its start, a training is asked to end. */
#include "base/clock.h"
#include "train/stop.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

/* Seconds from its opening at which a job of so many seconds asks to stop. */
static double job_stops_in(int64_t seconds) {
    Stop stop;
    time_t begun;
    do { /* within one second of time() */
        begun = time(NULL);
        stop = stop_open(&(StopRules){.folder = ".", .job_end = (int64_t)begun + seconds}, 1);
    } while (time(NULL) != begun);
    return stop.job_at - stop.asked;
}

/* Two minutes before the end of a long job, a quarter of a short one's time before its end. */
static void test_margin(void **state) {
    (void)state;
    assert_true(fabs(job_stops_in(3600) - 3480) < 0.001);
    assert_true(fabs(job_stops_in(480) - 360) < 0.001);
    assert_true(fabs(job_stops_in(40) - 30) < 0.001);
    assert_true(isinf(job_stops_in(-5))); /* of a job that is gone */
    assert_true(isinf(stop_open(&(StopRules){.folder = "."}, 1).job_at));
}

/* Once a validation has kept the training from asking for so long, the next one must end before the job does. */
static void test_longest_pause(void **state) {
    (void)state;
    Stop stop = stop_open(&(StopRules){.folder = "."}, 1);
    stop.job_at = clock_now() + 1000;
    assert_false(stop_wanted(&stop));
    stop.asked -= 900; /* the last question was so long ago */
    assert_false(stop_wanted(&stop));
    stop.asked -= 100; /* a shorter pause does not make up for a longer one */
    stop.job_at = clock_now() + 950;
    assert_false(stop_wanted(&stop));
    stop.job_at = clock_now() + 890;
    assert_true(stop_wanted(&stop));
    stop.job_at = INFINITY;
    assert_true(stop_wanted(&stop)); /* for good */
}

/* The limit counts from the start of the program, not from that of the training. */
static void test_limit(void **state) {
    (void)state;
    const double now = clock_now();
    Stop early = stop_open(&(StopRules){.folder = ".", .started = now - 50, .time_limit = 60}, 1);
    assert_false(stop_wanted(&early));
    Stop late = stop_open(&(StopRules){.folder = ".", .started = now - 50, .time_limit = 49}, 1);
    assert_true(stop_wanted(&late));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_margin), cmocka_unit_test(test_longest_pause),
                                       cmocka_unit_test(test_limit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
