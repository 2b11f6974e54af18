/* Memory of the host: zeroed, aligned to 64 bytes, owned by the caller, who frees it with free(). Must not know what it
 * is for. Nothing is collective. */
#ifndef RAM_BASE_MEMORY_H
#define RAM_BASE_MEMORY_H

#include "base/status.h"

#include <stddef.h>
#include <stdio.h>

/* Cannot fail: running out of memory is fatal(), so no caller has to handle it. */
void *memory_new(size_t count, size_t bytes_each);

/* A stream into memory: once it is closed, *text (to be freed) holds the *bytes written and a 0 behind. Running out of
 * memory is fatal(), at the close at the latest. */
FILE *memory_stream_open(char **text, size_t *bytes);
void memory_stream_close(FILE *stream);

/* What stays free of memory that is asked for by the functions below: for all that memory_new() allocates. */
enum { MEMORY_RESERVE_MIB = 128 };

/* For what a user may have chosen too large: NULL where the system refuses `bytes`, or has not so much free besides the
 * reserve. */
void *memory_new_if_free(size_t bytes);

/* The same with an error (RAM_USAGE) that says what needs the memory: "out of memory: reading FILE takes ...". *memory
 * is set on success alone. */
Status memory_new_for(size_t bytes, void **memory, const char *need, ...) __attribute__((format(printf, 3, 4)));

/* Whether so much is free, for what takes it later: else that error. */
Status memory_room(size_t bytes, const char *need, ...) __attribute__((format(printf, 2, 3)));

#endif
