/* Status: the outcome of anything a user can cause to fail (files, configuration, arguments, peers).
 * Must not know: who prints it. A Status travels up to the command, which agrees on it with all ranks and prints it
 * once. Nothing here is collective. */
#ifndef RAM_BASE_STATUS_H
#define RAM_BASE_STATUS_H

#include <stdbool.h>

/* Exit codes (sysexits where they exist); they are part of the user's contract. */
typedef enum {
    RAM_OK = 0,
    RAM_USAGE = 64,       /* wrong arguments or configuration, or too little memory for them */
    RAM_DATA = 65,        /* bad data or checkpoint */
    RAM_UNAVAILABLE = 69, /* a demanded device, library or peer is missing */
    RAM_INTERNAL = 70,
    RAM_IO = 74,      /* I/O failed; the last checkpoint is intact */
    RAM_STOPPED = 75, /* stopped early with a checkpoint saved: start again to go on */
    RAM_NUMERIC = 76, /* NaN or infinity, or replicas that differ */
    RAM_TIMEOUT = 124 /* a rank stopped answering */
} ExitCode;

typedef struct {
    ExitCode code;
    char message[500]; /* "WHAT is wrong, WHERE, and what to do", no newline, no prefix */
} Status;

Status status_ok(void);
Status status_error(ExitCode code, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline bool status_failed(const Status *status) { return status->code != RAM_OK; }

/* Returns from the calling function when `expression` (a Status) failed. */
#define TRY(expression)                                                                                                \
    do {                                                                                                               \
        Status try_status = (expression);                                                                              \
        if (status_failed(&try_status)) return try_status;                                                             \
    } while (0)

#endif
