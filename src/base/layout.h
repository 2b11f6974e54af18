/* Layout: named, shaped float32 fields packed in one buffer. Parameters, gradients and optimiser moments share one, so
 * all-reduce, optimiser, checkpoint, import and export, inspect and comparison are each one loop over it.
 * Must not know what the fields mean. Nothing here is collective. */
#ifndef RAM_BASE_LAYOUT_H
#define RAM_BASE_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

enum { LAYOUT_FIELDS = 32, LAYOUT_NAME = 48, LAYOUT_ALIGN = 16 /* floats: fields start on a cache line */ };

typedef struct {
    char name[LAYOUT_NAME]; /* e.g. "rnn.i2h.weight" */
    int dimensions;         /* 1 or 2 */
    int64_t shape[2];       /* row-major; shape[1] is 1 for a vector */
    size_t offset;          /* elements from the start of the buffer, a multiple of LAYOUT_ALIGN */
    size_t count;           /* elements */
} Field;

typedef struct {
    int fields;
    Field field[LAYOUT_FIELDS];
    size_t total; /* elements of a buffer, padding (always zero) included; a multiple of LAYOUT_ALIGN */
} Layout;

/* Appends a field and returns its index; `columns` 0 makes a vector of `rows`. */
int layout_add(Layout *layout, const char *name, int64_t rows, int64_t columns);

/* Index of the field called `name`, or -1. */
int layout_find(const Layout *layout, const char *name);

/* Elements without padding. */
size_t layout_elements(const Layout *layout);

#endif
