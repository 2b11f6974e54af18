/* RunStart: what can be said of a run folder before a training opens it. Must not know how a training goes. */
#ifndef RAM_CMD_RUN_START_H
#define RAM_CMD_RUN_START_H

#include "cmd/session.h"

/* What can be refused before the run folder is made, and before the ranks are: without --resume a folder that holds a
 * run is not touched, and a run that starts anew needs a lane for each rank. RAM_USAGE, RAM_DATA; RAM_IO: a file lies
 * where a run needs a folder, or a folder where it needs a file. */
Status run_start_check(const Arguments *arguments, int ranks);

/* The same of the run folder `path`, with the ranks there are: rank 0 looks. @collective */
Status run_start_agree(const Session *session, const char *path);

/* Whether there is something in the folder that a new run would destroy: a curve or checkpoints. */
bool run_start_holds_run(const char *path);

#endif
