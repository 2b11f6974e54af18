/* Nearest: which of several names a mistyped one was meant to be, for "did you mean" in messages about keys, choices,
 * options and commands. Must not know what is named. Nothing here is collective. */
#ifndef RAM_CONFIG_NEAREST_H
#define RAM_CONFIG_NEAREST_H

typedef struct {
    const char *wanted;
    const char *name; /* the nearest so far; NULL: none is near. Borrowed from nearest_offer */
    int distance;
} Nearest;

Nearest nearest_begin(const char *wanted);

/* `candidate` must outlive the Nearest. Of equally near names the first stays. */
void nearest_offer(Nearest *nearest, const char *candidate);

/* "; did you mean 'NAME'?", or empty when nothing is near. */
typedef struct {
    char text[96];
} NearestHint;
NearestHint nearest_hint(const Nearest *nearest);

#endif
