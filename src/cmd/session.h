/* Session: what every command that computes does before and after: find out how it was launched, parse, refuse what
 * needs no ranks to be refused, start them, open the communicator, compare what the ranks were asked for, and agree on
 * the outcome, so that an error is printed once and every rank ends with its code. Must not know what the command does.
 * Collective. */
#ifndef RAM_CMD_SESSION_H
#define RAM_CMD_SESSION_H

#include "cmd/arguments.h"
#include "mpi/comm.h"
#include "mpi/launch.h"
#include "store/provenance.h"
#include "train/experiment.h"
#include "train/fault.h"

typedef struct {
    const ArgumentsSpec *spec; /* borrowed */
    Launch launch;
    Arguments arguments;
    Comm *comm;
    TrainFault fault; /* that a test wants */
    double started;   /* clock_now() */
    int argc;
    char **argv; /* of the command, argv[0] is its name; parsing moves options before operands */
    char **line; /* (argc + 1): program, command, arguments as they were typed */
} Session;

/* First thing in the program: from here on what is printed is printed once, also under mpirun. */
void session_begin(void);

/* False: there is nothing left to do but to return *code (help was printed, ranks were started and ended, or an error
 * was told). `spec` must outlive the session. @collective */
bool session_open(Session *session, const ArgumentsSpec *spec, int argc, char **argv, int *code);

/* Parses the command line anew with other starting values, e.g. a checkpoint's. Not collective: every rank reads the
 * same line. */
Status session_parse_again(Session *session, const Config *base);

/* experiment_open() for the session's configuration, with the threads and the data folder that its launch gives.
 * @collective */
Status session_open_experiment(const Session *session, Experiment *experiment);

/* Where files come from that this session saves. */
void session_provenance(const Session *session, const Experiment *experiment, Provenance *provenance);

/* Prints the error that all ranks agreed on, ends communication and returns the exit code. @collective */
int session_close(Session *session, Status status);

#endif
