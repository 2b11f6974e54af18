/* Fault: numbers that go wrong on request, for tests of what a training does about them; the numeric part of RAM_FAULT
 * (base/atomic_file.h has that of storage). Must not know what follows. Nothing here is collective. */
#ifndef RAM_TRAIN_FAULT_H
#define RAM_TRAIN_FAULT_H

#include "backend/backend.h"
#include "base/layout.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum {
    FAULT_SOUND,
    FAULT_NAN, /* an element of the gradient becomes NaN, on all ranks */
    FAULT_FLIP /* a bit of an element of one rank's parameters flips */
} NumericFault;

/* A zeroed one never strikes. */
typedef struct {
    NumericFault kind;
    int64_t step; /* counted from 1; a flip at 0 comes before the first */
    int rank;     /* of a flip; a NaN strikes them all */
    bool lasting; /* every time that the step is computed, else once */
} TrainFault;

/* "nan:STEP", "nan:STEP+" (lasting), "flip:STEP@RANK"; false, and *fault as it was, for any other text. */
bool train_fault_parse(const char *text, TrainFault *fault);

/* Whether it is of that kind and due on that rank. */
bool train_fault_is_due(const TrainFault *fault, NumericFault kind, int64_t step, int rank);

/* Spoils an element in the middle of `values` (layout->total) where the fault is of that kind and due. */
void train_fault_strike(TrainFault *fault, NumericFault kind, int64_t step, int rank, Backend *backend,
                        const Layout *layout, DevFloats values);

#endif
