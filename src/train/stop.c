#include "train/stop.h"

#include "mpi/stop_signals.h"

/* A signal handler can reach nothing else. */
static volatile sig_atomic_t requested;

static void take_request(int signal) {
    (void)signal;
    requested = 1;
}

void stop_watch(void) {
    const struct sigaction action = {.sa_handler = take_request, .sa_flags = SA_RESTART};
    for (int i = 0; i < STOP_SIGNALS_COUNT; i++)
        if (!stop_signal_ignored(STOP_SIGNALS[i])) sigaction(STOP_SIGNALS[i], &action, NULL);
}

bool stop_requested(void) { return requested != 0; }
