/* launch_ranks [--np N] [--self] [--fail CODE] [--die SIGNAL] [--spin] [--echo TEXT]: starts and ends as ram_dist does,
 * with nothing in between. Rank 0 prints what it found; with --fail or --die the last rank fails. */
#include "base/log.h"
#include "base/memory.h"
#include "mpi/launch.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    int np;
    CommChoice backend;
    int fail, die;
    bool spin;
    const char *echo;
} Arguments;

static volatile sig_atomic_t stop_asked;

static void ask_stop(int signal) {
    (void)signal;
    stop_asked = 1;
}

static bool was_asked(void) { return stop_asked != 0; }

static Status parse(int argc, char **argv, Arguments *arguments) {
    *arguments = (Arguments){.np = LAUNCH_NP_NONE, .echo = "-"};
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(name, "--spin") == 0)
            arguments->spin = true;
        else if (strcmp(name, "--self") == 0)
            arguments->backend = COMM_SELF;
        else if (strncmp(name, "--np=", 5) == 0)
            arguments->np = atoi(name + 5);
        else {
            i++;
            if (strcmp(name, "--np") == 0)
                arguments->np = atoi(value);
            else if (strcmp(name, "--fail") == 0)
                arguments->fail = atoi(value);
            else if (strcmp(name, "--die") == 0)
                arguments->die = atoi(value);
            else if (strcmp(name, "--echo") == 0)
                arguments->echo = value;
            else
                return status_error(RAM_USAGE, "unknown argument %s", name);
        }
    }
    return status_ok();
}

static void print_ranks(Comm *comm, const Arguments *arguments) {
    int size = comm_size(comm), mine[2] = {comm_rank(comm), launch_threads(comm, -1)};
    int(*all)[2] = memory_new((size_t)size, sizeof *all);
    comm_gather(comm, mine, sizeof mine, all);
    log_info("%d of %d ranks on this host, library %s, terminal %s, echo %s", comm_local_size(comm), size,
             comm_library(comm), log_is_terminal() ? "yes" : "no", arguments->echo);
    for (int rank = 0; rank < size; rank++) log_info("rank %d threads %d", all[rank][0], all[rank][1]);
    free(all);
}

/* All ranks stop at the same turn once one was asked to. */
static Status spin_until_asked(Comm *comm) {
    log_info("spinning");
    for (int64_t asked = 0; asked == 0;) {
        usleep(1000);
        asked = stop_asked;
        comm_max(comm, &asked, 1);
    }
    return status_error(RAM_STOPPED, "asked to stop");
}

int main(int argc, char **argv) {
    signal(SIGUSR1, ask_stop);
    Launch launch;
    Status status = launch_detect(&launch);
    log_open(launch.rank, launch.size, launch_terminal(&launch), comm_abort);
    if (status_failed(&status)) {
        log_error(&status);
        return status.code;
    }
    Arguments arguments;
    RanksEnd end = {.code = -1};
    status = parse(argc, argv, &arguments);
    if (!status_failed(&status)) status = launch_ranks(&launch, arguments.np, false, argv, was_asked, &end);
    if (end.code >= 0) return end.code;
    Comm *comm;
    Status comm_status = launch_comm(&launch, arguments.backend, 0, &comm);
    status = comm_agree(comm, status_failed(&status) ? status : comm_status);
    if (!status_failed(&status)) {
        bool last = comm_rank(comm) == comm_size(comm) - 1;
        print_ranks(comm, &arguments);
        if (last && arguments.die) raise(arguments.die);
        if (last && arguments.fail == RAM_INTERNAL) fatal("a state that cannot be");
        if (last && arguments.fail) status = status_error((ExitCode)arguments.fail, "rank %d failed", comm_rank(comm));
        if (!last && arguments.die) comm_barrier(comm); /* for one who never comes */
        status = arguments.spin ? spin_until_asked(comm) : comm_agree(comm, status);
    }
    if (status_failed(&status)) log_error(&status);
    comm_free(comm);
    return status.code;
}
