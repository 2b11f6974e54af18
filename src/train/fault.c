#include "train/fault.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

bool train_fault_parse(const char *text, TrainFault *fault) {
    long long step = 0;
    int rank = 0, length = 0;
    const char *rest = "";
    if (sscanf(text, "nan:%9lld%n", &step, &length) == 1) {
        rest = text + length;
        const bool lasting = *rest == '+';
        if (rest[lasting] != '\0' || step < 1) return false;
        *fault = (TrainFault){.kind = FAULT_NAN, .step = step, .lasting = lasting};
        return true;
    }
    if (sscanf(text, "flip:%9lld@%4d%n", &step, &rank, &length) != 2 || text[length] != '\0' || step < 0 || rank < 0)
        return false;
    *fault = (TrainFault){.kind = FAULT_FLIP, .step = step, .rank = rank};
    return true;
}

bool train_fault_is_due(const TrainFault *fault, NumericFault kind, int64_t step, int rank) {
    return fault->kind == kind && fault->step == step && (kind != FAULT_FLIP || fault->rank == rank);
}

void train_fault_strike(TrainFault *fault, NumericFault kind, int64_t step, int rank, Backend *backend,
                        const Layout *layout, DevFloats values) {
    if (!train_fault_is_due(fault, kind, step, rank)) return;
    const Field *field = &layout->field[layout->fields / 2];
    float element = NAN, *address = dev_floats_at(values, (int64_t)(field->offset + field->count / 2)).address;
    if (kind == FAULT_FLIP) {
        uint32_t bits;
        backend->kernels->download(backend, &bits, address, sizeof bits);
        bits ^= (uint32_t)1 << 20; /* of the mantissa; a lower one may be lost in the next rounding */
        memcpy(&element, &bits, sizeof element);
    }
    backend->kernels->upload(backend, address, &element, sizeof element);
    if (!fault->lasting) fault->kind = FAULT_SOUND;
}
