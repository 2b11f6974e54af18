/* Trace folder: a folder of traces, and how one trace comes into it: one writer per name, what crashes leave, and what
 * may be replaced. Must not be included outside src/store, and not know what a trace holds. Nothing here is collective:
 * rank 0. */
#ifndef RAM_STORE_TRACE_FOLDER_H
#define RAM_STORE_TRACE_FOLDER_H

#include "base/atomic_file.h"

#include <stdbool.h>

/* A write under way. Everything but `path` is hidden, is called after this program and the trace, and is gone when the
 * write ends; after a crash the lock file says to later writes that the temporary one is left over. */
typedef struct {
    char path[FILE_PATH];      /* FOLDER/NAME */
    char temporary[FILE_PATH]; /* FOLDER/.ram_dist-NAME.tmp: where the files are written */
    char trash[FILE_PATH];     /* FOLDER/.trash-.ram_dist-NAME.tmp: what atomic_file leaves of it when cut short */
    char lock_path[FILE_PATH]; /* FOLDER/.ram_dist-NAME.lock */
    int lock;
    bool replace;
} TraceFolder;

/* The paths; RAM_USAGE: a name that cannot be a folder's. */
Status trace_folder_name(TraceFolder *trace, const char *folder, const char *name, bool replace);

/* Makes `folder` where missing, locks the name, sweeps what crashes left and makes an empty temporary folder.
 * RAM_USAGE: another process writes a trace of this name, or what lies at `path` may not be replaced: it is no trace,
 * or `replace` was not asked for. RAM_IO. */
Status trace_folder_begin(TraceFolder *trace, const char *folder);

/* Gives the temporary folder its name. RAM_USAGE, RAM_IO as above. */
Status trace_folder_commit(const TraceFolder *trace);

/* Renames the trace FOLDER/NAME .bad-NAME, or the next such name that is free; what is no trace stays. RAM_IO. */
Status trace_folder_set_aside(const char *folder, const char *name);

/* Deletes what is left of the write and unlocks; also after a begin that failed. */
void trace_folder_end(TraceFolder *trace);

#endif
