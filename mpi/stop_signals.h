/* The signals that ask a run to stop in order, for the launcher that passes them on and the ranks that obey. One that
 * was ignored when the program started (nohup) stays ignored. */
#ifndef RAM_MPI_STOP_SIGNALS_H
#define RAM_MPI_STOP_SIGNALS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

static const struct {
    int number;
    const char *name;
} STOP_SIGNALS[] = {
    {SIGINT, "SIGINT"}, {SIGTERM, "SIGTERM"}, {SIGHUP, "SIGHUP"}, {SIGUSR1, "SIGUSR1"}, {SIGUSR2, "SIGUSR2"}};
enum { STOP_SIGNALS_COUNT = sizeof STOP_SIGNALS / sizeof *STOP_SIGNALS };

enum { ONE_CTRL_C = 200 }; /* milliseconds in which two SIGINT are one: a wrapper may pass it on too */

static inline bool stop_signal_ignored(int number) {
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static inline const char *stop_signal_name(int number) {
    for (int i = 0; i < STOP_SIGNALS_COUNT; i++)
        if (STOP_SIGNALS[i].number == number) return STOP_SIGNALS[i].name;
    return "a signal";
}

#endif
