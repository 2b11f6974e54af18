/* The signals that ask a run to stop in order, for the launcher that passes them on and the ranks that obey. One that
 * was ignored when the program started (nohup) stays ignored. */
#ifndef RAM_MPI_STOP_SIGNALS_H
#define RAM_MPI_STOP_SIGNALS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

static const int STOP_SIGNALS[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
enum { STOP_SIGNALS_COUNT = sizeof STOP_SIGNALS / sizeof *STOP_SIGNALS };

static inline bool stop_signal_ignored(int number) {
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

#endif
