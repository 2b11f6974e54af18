#include "train/stop.h"

#include <signal.h>
#include <stddef.h>

/* A signal handler can reach nothing else. */
static volatile sig_atomic_t requested;

static void take_request(int signal) {
    (void)signal;
    requested = 1;
}

void stop_watch(void) {
    static const int SIGNALS[] = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
    const struct sigaction action = {.sa_handler = take_request, .sa_flags = SA_RESTART};
    signal(SIGXFSZ, SIG_IGN); /* a write beyond the limit of file sizes fails like any other */
    for (size_t i = 0; i < sizeof SIGNALS / sizeof *SIGNALS; i++) sigaction(SIGNALS[i], &action, NULL);
}

bool stop_requested(void) { return requested != 0; }
