/* Reading a trace back: all of its values in memory, verified by MANIFEST before HDF5 opens anything, and checked, so
 * that whoever pictures them need not. Must not know what they are read for. Nothing here is collective. */
#ifndef RAM_STORE_TRACE_READ_H
#define RAM_STORE_TRACE_READ_H

#include "store/inspect.h"
#include "store/trace.h"

typedef struct {
    InspectTrace facts; /* shape, and what the trace says of itself */
    TraceRows rows;     /* all of them; labels and predictions lie below shape.classes, locations in [-1, 1] or NaN */
} TraceContent;

/* trace_read_free() the result. RAM_DATA: damaged, or not what a trace holds; RAM_USAGE: more than fits in memory,
 * or than is sensible; RAM_IO: it cannot be read now. */
Status trace_read(const char *path, TraceContent *content);
void trace_read_free(TraceContent *content); /* a zeroed one is allowed */

#endif
