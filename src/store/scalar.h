/* Scalars: named values that every file of a set carries. Must not know what they say, nor what writes them. */
#ifndef RAM_STORE_SCALAR_H
#define RAM_STORE_SCALAR_H

#include <stdbool.h>
#include <stddef.h>

typedef enum { STORE_INT, STORE_REAL, STORE_TEXT } StoreType;

/* Stored as attribute `train.lr` of the group /config where the name is "config/train.lr". */
typedef struct {
    const char *name; /* "state/epoch", "config/train.lr", "provenance/host", ... */
    StoreType type;   /* int64_t, double, or char[bytes] */
    void *value;      /* borrowed; written by a load */
    size_t bytes;     /* of a text's buffer */
    bool optional;    /* a load leaves the value alone where the file has none */
} StoreScalar;

#endif
