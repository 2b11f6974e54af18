#include "train/stop.h"
#include "base/clock.h"
#include "base/log.h"
#include "mpi/stop_signals.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char STOP_FILE[] = "stop";
static const double LOOK_INTERVAL = 0.5; /* seconds between two looks for it */
static const double MARGIN = 120;        /* seconds before the end of the job; in a short job */
static const double MARGIN_SHARE = 0.25; /* this share of what is left at the start */

/* Reasons as integers, so that the ranks agree on one of them by their maximum; below: a signal's number. */
enum { REASON_FILE = 1000, REASON_LIMIT, REASON_JOB };

/* A signal handler can reach nothing else. */
static struct {
    volatile sig_atomic_t signal; /* the first one; 0: none */
    volatile int64_t interrupted; /* when the first Ctrl-C came, milliseconds; 0: not yet */
} requested;

static void take_request(int signal) {
    const int64_t time = (int64_t)(1e3 * clock_now());
    if (!requested.signal) requested.signal = signal;
    if (signal != SIGINT) return;
    if (requested.interrupted && time - requested.interrupted > ONE_CTRL_C) {
        const struct sigaction standard = {.sa_handler = SIG_DFL};
        sigaction(SIGINT, &standard, NULL);
        raise(SIGINT); /* takes effect when this handler returns */
    } else if (!requested.interrupted) {
        requested.interrupted = time;
    }
}

void stop_watch(void) {
    const struct sigaction action = {.sa_handler = take_request, .sa_flags = SA_RESTART};
    for (int i = 0; i < STOP_SIGNALS_COUNT; i++)
        if (!stop_signal_ignored(STOP_SIGNALS[i].number)) sigaction(STOP_SIGNALS[i].number, &action, NULL);
}

bool stop_requested(void) { return requested.signal != 0; }

Stop stop_open(const StopRules *rules, int rank) {
    const double now = clock_now(), left = (double)rules->job_end - (double)time(NULL);
    Stop stop = {.rules = *rules, .looks = rank == 0, .limit_at = INFINITY, .job_at = INFINITY, .asked = now};
    if (rules->time_limit > 0) stop.limit_at = rules->started + rules->time_limit;
    /* an end that has passed is of a job that is gone, whose variables a shell has kept */
    if (rules->job_end > 0 && left > 0) stop.job_at = now + left - fmin(MARGIN, MARGIN_SHARE * left);
    return stop;
}

bool stop_file_lies_in(const char *folder) { return atomic_file_is_in(folder, STOP_FILE); }

static bool sees_file(Stop *stop, double now) {
    if (!stop->looks || now - stop->looked < LOOK_INTERVAL) return false;
    stop->looked = now;
    return stop_file_lies_in(stop->rules.folder);
}

bool stop_wanted(Stop *stop) {
    const double now = clock_now();
    stop->pause = fmax(stop->pause, now - stop->asked);
    stop->asked = now;
    if (stop->reason) return true;
    if (requested.signal)
        stop->reason = requested.signal;
    else if (now >= stop->limit_at)
        stop->reason = REASON_LIMIT;
    else if (now + stop->pause >= stop->job_at)
        stop->reason = REASON_JOB;
    else if (sees_file(stop, now))
        stop->reason = REASON_FILE;
    return stop->reason != 0;
}

bool stop_forget(const char *folder) {
    char path[FILE_PATH];
    const Status joined = atomic_file_join(path, folder, STOP_FILE);
    if (status_failed(&joined) || unlink(path) == 0 || errno == ENOENT) return true;
    log_warning("cannot delete %s: %s; while it is there every start stops at once", path, strerror(errno));
    return false;
}

void stop_reason(Stop *stop, Comm *comm, char text[STOP_REASON]) {
    int64_t agreed[] = {stop->reason, stop->looks && !stop_forget(stop->rules.folder)};
    char end[32] = "";
    comm_max(comm, agreed, 2);
    switch (agreed[0]) {
    case REASON_FILE:
        snprintf(text, STOP_REASON, "asked by the file `stop` in the run folder, which %s",
                 agreed[1] ? "cannot be deleted" : "is now deleted");
        break;
    case REASON_LIMIT:
        snprintf(text, STOP_REASON, "train.time_limit of %g seconds has passed", stop->rules.time_limit);
        break;
    case REASON_JOB: {
        const time_t at = (time_t)stop->rules.job_end;
        struct tm local;
        strftime(end, sizeof end, "%H:%M:%S", localtime_r(&at, &local));
        snprintf(text, STOP_REASON, "the job ends at %s", end);
        break;
    }
    default:
        snprintf(text, STOP_REASON, "asked by %s", stop_signal_name((int)agreed[0]));
    }
}
