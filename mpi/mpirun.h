/* Mpirun: one run of Open MPI's mpirun as a child of this process, quiet, with signals and exit codes translated.
 * Owns mpirun's command line and the processes that come of it. Must not know what the ranks do.
 * Nothing here is collective: no rank exists yet. */
#ifndef RAM_MPI_MPIRUN_H
#define RAM_MPI_MPIRUN_H

#include "base/status.h"

#include <signal.h>
#include <stdbool.h>

/* Set in the ranks' environment: they were started by this program, and whether the user looks at a terminal. */
#define MPIRUN_MARK          "RAM_TERMINAL"
#define MPIRUN_MARK_TERMINAL "1"

/* Whether this process's own handlers have taken a request to stop. */
typedef bool StopAsked(void);

/* The code of several ranks whose output nobody reads any more: mpirun ends them then, with SIGTERM first. */
enum { RANKS_UNREAD = 128 + SIGPIPE };

/* How the ranks ended. */
typedef struct {
    int code;   /* their exit code when it is one of ExitCode; 128 + signal when the user ended them with that signal;
                 * RANKS_UNREAD; -1: no rank has run, or none chose its end */
    bool asked; /* the user asked for the end, or reads no further */
    bool too_early;  /* the ranks were asked to stop before they could obey, and ended by that or never began */
    char cause[200]; /* "rank 2 on node7 was ended by signal 9 (Killed)" where starting them again may help, else "" */
} RanksEnd;

/* Runs `np` ranks of this program with the arguments argv[1..] and waits until all its processes on this host are gone;
 * one rank runs without mpirun. The first of the stop signals asks the ranks to stop (SIGUSR1, which they answer with a
 * checkpoint), others do no harm; a second Ctrl-C ends them. Where `asked` tells of one before, no rank is started.
 * RAM_UNAVAILABLE: mpirun is missing or failed, or a rank was killed; RAM_INTERNAL: one crashed; RAM_USAGE: an argument
 * that mpirun would not pass on. */
Status mpirun_run(int np, char **argv, bool terminal, StopAsked *asked, RanksEnd *end);

#endif
