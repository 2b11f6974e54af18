/* Resume: what --resume leads to: the checkpoint that a training goes on from, the configuration that it then has, and
 * whether what the line changes may change. Reads only: doctor asks for the same as train does. Must not know how a
 * training goes on. resume_open is collective. */
#ifndef RAM_CMD_RESUME_H
#define RAM_CMD_RESUME_H

#include "cmd/session.h"
#include "store/checkpoint.h"
#include "train/saved_state.h"

/* In the run folder: the path of another run's checkpoint that this run began with. It counts until there is one of its
 * own. */
#define RESUME_ORIGIN "origin"

typedef struct {
    char path[FILE_PATH];   /* of the checkpoint */
    Checkpoint *checkpoint; /* NULL: from the beginning */
    SavedState state;       /* of it */
    bool own;               /* it is one of this run's */
    bool finished;          /* the run is, or has gone further than it is asked to */
    bool judged_anew;       /* validation errors from before do not compare with those to come */
    bool rate_anew;         /* another learning rate is asked for */
} Resume;

/* Finds and opens the checkpoint that --resume asks for, if any, for the run folder `folder`, and settles the session's
 * configuration. A rank's own failure is returned on it alone, so agree on the result; resume_close() it in any case.
 * RAM_USAGE, RAM_DATA. @collective */
Status resume_open(Resume *resume, Session *session, const char *folder);
void resume_close(Resume *resume); /* a zeroed one is allowed */

/* Keeps in the run folder which checkpoint of another run this one begins with, so that a start that was killed before
 * its first checkpoint can be repeated by --resume auto. Rank 0. RAM_IO. */
Status resume_note_origin(const Resume *resume, const char *folder);

/* Other images than the checkpoint's are like a changed key of the kind `epoch`; those of another kind make another
 * model. RAM_USAGE, RAM_DATA. */
Status resume_check_data(Resume *resume, const Experiment *experiment, const Provenance *provenance);

#endif
