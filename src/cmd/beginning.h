/* Beginning: the files of a run folder that say what the run was asked for: config.yaml, and origin (cmd/resume.h).
 * Owns when they change: in a folder where nothing has been trained yet at once, so that a start that is killed while
 * it opens data and devices can be gone on with; else once the training begins. One that ends before that leaves them
 * as they were. Rank 0 writes. */
#ifndef RAM_CMD_BEGINNING_H
#define RAM_CMD_BEGINNING_H

#include "cmd/resume.h"

/* A file as it was. */
typedef struct {
    void *data; /* NULL: it was not there */
    size_t bytes;
} KeptFile;

typedef struct {
    const Session *session; /* borrowed, like the next two */
    const Resume *resume;
    const char *folder;
    KeptFile config, origin;
    bool changed, begun;
} Beginning;

/* With the configuration settled, before anything is opened. beginning_close() it, also after an error. RAM_IO.
 * @collective */
Status beginning_open(Beginning *beginning, const Session *session, const Resume *resume, const char *folder);

/* The training begins; `context` is the Beginning (TrainOptions.begin). RAM_IO. @collective */
Status beginning_confirm(void *context);

/* Puts back what was there, where the training has not begun. */
void beginning_close(Beginning *beginning);

#endif
