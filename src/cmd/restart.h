/* Restart: `--np N --max-restarts K`: starts the ranks of a training and, when one of them dies or stops answering, all
 * of them again from the newest checkpoint. Owns the counting of failures. Must not know how ranks are started or what
 * is in a checkpoint. Nothing here is collective: no rank exists yet. */
#ifndef RAM_CMD_RESTART_H
#define RAM_CMD_RESTART_H

#include "cmd/arguments.h"
#include "mpi/launch.h"

/* Obeys --np and --max-restarts. *code is the exit code where ranks were run, or -1 where this process is itself what
 * should run and the caller goes on. Gives up after `max_restarts` failures without a newer checkpoint between them.
 * line: program, command and arguments, ended by NULL. RAM_USAGE: under a launcher, which would have to restart. As
 * launch_ranks() otherwise. */
Status restart_ranks(const Launch *launch, const Arguments *arguments, char **line, int *code);

#endif
