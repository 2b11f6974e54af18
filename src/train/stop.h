/* Stop: the reasons to end a training before its time: a signal (mpi/stop_signals.h), the file RUN/stop, a limit on the
 * time, the end of the job. Owns the handlers and the file. Must not know what a training does about it. Each rank may
 * see a reason at another time; the step's reduction makes one decision of it. stop_reason is collective. */
#ifndef RAM_TRAIN_STOP_H
#define RAM_TRAIN_STOP_H

#include "base/atomic_file.h"
#include "mpi/comm.h"

#include <stdbool.h>
#include <stdint.h>

/* Installs the handlers. However many signals come, the training ends in order; a second Ctrl-C ends the process. */
void stop_watch(void);

/* Whether a signal has asked this rank to stop. */
bool stop_requested(void);

typedef struct {
    const char *folder; /* of the run, where people put the file `stop`; borrowed */
    double started;     /* clock_now() from which the limit counts */
    double time_limit;  /* seconds; 0: none */
    int64_t job_end;    /* of the job that this run is part of, seconds since 1970; 0: unknown */
} StopRules;

typedef struct {
    StopRules rules;
    bool looks;              /* for the file: rank 0 */
    double limit_at, job_at; /* clock_now(); infinity: never */
    double asked, pause;     /* when stop_wanted() was last called, and the longest pause between two calls */
    double looked;           /* when the file was last looked for */
    int64_t reason;          /* what this rank saw first; 0: nothing */
} Stop;

Stop stop_open(const StopRules *rules, int rank);

/* Whether this rank wants to stop; to be asked once a step. The end of the job is foreseen: a margin and the longest
 * pause between two questions (a validation, a checkpoint) stay for the save. */
bool stop_wanted(Stop *stop);

enum { STOP_REASON = 200 };

/* The reason as a clause for people, the same on every rank, once a step's decision was to stop; the file is deleted,
 * so that the next start does not obey it again. @collective */
void stop_reason(Stop *stop, Comm *comm, char text[STOP_REASON]);

/* Whether the file RUN/stop lies in the run folder, which stops a training after a step. */
bool stop_file_lies_in(const char *folder);

/* Deletes it: obeyed, or with nothing left to stop. false: it stays, which a warning tells. */
bool stop_forget(const char *folder);

#endif
