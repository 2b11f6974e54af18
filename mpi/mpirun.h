/* Mpirun: one run of Open MPI's mpirun as a child of this process, quiet, with signals and exit codes translated.
 * Owns mpirun's command line. Must not know what the ranks do.
 * Nothing here is collective: no rank exists yet. */
#ifndef RAM_MPI_MPIRUN_H
#define RAM_MPI_MPIRUN_H

#include "base/status.h"

#include <stdbool.h>

/* Set in the ranks' environment: they were started by this program, and whether the user looks at a terminal. */
#define MPIRUN_MARK          "RAM_TERMINAL"
#define MPIRUN_MARK_TERMINAL "1"

/* Runs `np` ranks of this program with the arguments argv[1..] and waits. *code is the ranks' exit code when it is one
 * of ExitCode, or 128 + signal when the user ended the run with a signal. The first of the stop signals
 * asks the ranks to stop (SIGUSR1, which they answer with a checkpoint); the next ends them. RAM_UNAVAILABLE: mpirun is
 * missing or failed, or a rank was killed; RAM_INTERNAL: one crashed;
 * RAM_USAGE: an argument that mpirun would not pass on. */
Status mpirun_run(int np, char **argv, bool terminal, int *code);

#endif
