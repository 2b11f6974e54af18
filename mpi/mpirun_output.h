/* MpirunOutput: what mpirun writes to stderr: its ranks' words and its own. Passes on the former, and takes from the
 * latter who died of what and whether nobody reads on, instead of the banners that say no more. Must not know how
 * mpirun is run. Nothing here is collective. */
#ifndef RAM_MPI_MPIRUN_OUTPUT_H
#define RAM_MPI_MPIRUN_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

enum { MPIRUN_BANNER = 4096, MPIRUN_HOST = 128 };

/* One with all but `process` zero is at the beginning of the stream. */
typedef struct {
    int process;              /* of mpirun */
    char text[MPIRUN_BANNER]; /* a line, or a banner, that is not complete yet */
    size_t length;
    bool banner;   /* text began with a line of dashes */
    bool repeated; /* the last line was one that an empty line belongs to */
    bool unread;   /* mpirun ends its ranks, since who read their output has gone away */
    bool died;     /* a rank was ended by a signal: */
    int rank, signal;
    char host[MPIRUN_HOST];
} MpirunOutput;

/* Takes the next `bytes` bytes; what is to be passed on goes to stderr. */
void mpirun_output_take(MpirunOutput *output, const char *data, size_t bytes);

/* The end of the stream: passes on what is left. */
void mpirun_output_end(MpirunOutput *output);

#endif
