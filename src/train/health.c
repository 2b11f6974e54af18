#include "train/health.h"
#include "base/hash.h"
#include "base/memory.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Whether any of the floats is NaN or infinite: all bits of the exponent are set. */
static bool has_not_finite(const float *values, size_t count) {
    uint32_t found = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, values + i, sizeof bits);
        found |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    return found;
}

/* Number of the first such field, or -1. */
static int first_not_finite(const Layout *layout, const float *values) {
    for (int f = 0; f < layout->fields; f++)
        if (has_not_finite(values + layout->field[f].offset, layout->field[f].count)) return f;
    return -1;
}

static void fetch(const Experiment *experiment, DevFloats values, float *host) {
    Backend *backend = experiment->backend;
    backend->kernels->download(backend, host, values.address, experiment->ram.parameters.layout.total * sizeof *host);
}

bool health_find_not_finite(const Experiment *experiment, const Optimizer *optimizer, DevFloats gradient,
                            char name[HEALTH_NAME]) {
    const Layout *layout = &experiment->ram.parameters.layout;
    float *host = memory_new(layout->total, sizeof *host);
    int field = -1;
    for (int v = 0; v < optimizer->vectors && field < 0; v++) {
        fetch(experiment, optimizer->vector[v].values, host);
        field = first_not_finite(layout, host);
        if (field >= 0) snprintf(name, HEALTH_NAME, "%s %s", optimizer->vector[v].group, layout->field[field].name);
    }
    if (field < 0) {
        fetch(experiment, gradient, host);
        field = first_not_finite(layout, host);
        if (field >= 0) snprintf(name, HEALTH_NAME, "the gradient of %s", layout->field[field].name);
    }
    free(host);
    return field >= 0;
}

/* --- replicas */

/* One hash for each field of each vector; the last one is of the state beside them. */
typedef struct {
    int parts;
    char (*hash)[HASH_TEXT]; /* (parts) */
    int not_finite;          /* part; -1: none */
} Prints;

/* All of it but what differs by rank: time is each rank's own, metrics.jsonl is rank 0's. */
static void hash_state(const SavedState *state, char hash[HASH_TEXT]) {
    SavedState shared = *state;
    const size_t text = offsetof(SavedState, metrics_hash);
    _Static_assert(offsetof(SavedState, metrics_hash) == 8 * (11 + SUMS) + sizeof(ScheduleState),
                   "no padding between members, whose bytes would differ by rank");
    shared.seconds = 0;
    shared.metrics_bytes = 0;
    memset((char *)&shared + text, 0, sizeof shared - text); /* the last one, and the padding behind it */
    hash_memory(&shared, sizeof shared, hash);
}

static Prints take_prints(const Experiment *experiment, const Optimizer *optimizer, const SavedState *state) {
    const Layout *layout = &experiment->ram.parameters.layout;
    Prints prints = {.parts = optimizer->vectors * layout->fields + 1, .not_finite = -1};
    float *host = memory_new(layout->total, sizeof *host);
    prints.hash = memory_new((size_t)prints.parts, sizeof *prints.hash);
    for (int v = 0; v < optimizer->vectors; v++) {
        fetch(experiment, optimizer->vector[v].values, host);
        for (int f = 0; f < layout->fields; f++)
            hash_memory(host + layout->field[f].offset, layout->field[f].count * sizeof *host,
                        prints.hash[v * layout->fields + f]);
        const int field = prints.not_finite < 0 ? first_not_finite(layout, host) : -1;
        if (field >= 0) prints.not_finite = v * layout->fields + field;
    }
    hash_state(state, prints.hash[prints.parts - 1]);
    free(host);
    return prints;
}

static void name_part(const Experiment *experiment, const Optimizer *optimizer, int part, char name[HEALTH_NAME]) {
    const Layout *layout = &experiment->ram.parameters.layout;
    const int vector = part / layout->fields;
    if (vector == optimizer->vectors)
        snprintf(name, HEALTH_NAME, "the state of the training");
    else
        snprintf(name, HEALTH_NAME, "%s %s", optimizer->vector[vector].group,
                 layout->field[part % layout->fields].name);
}

/* The lowest rank of the largest group of equal hashes; *votes: how many it has. */
static int find_majority(int ranks, char (*hash)[HASH_TEXT], int *votes) {
    int best = 0;
    *votes = 0;
    for (int rank = 0; rank < ranks; rank++) {
        int same = 0;
        for (int other = 0; other < ranks; other++) same += strcmp(hash[rank], hash[other]) == 0;
        if (same > *votes) {
            *votes = same;
            best = rank;
        }
    }
    return best;
}

/* What a rank that differs says of itself. */
typedef struct {
    char host[64];
    char first[HEALTH_NAME]; /* part that differs */
} Difference;

/* Names the first rank that differs from the majority; where there is none, both. @collective */
static Status name_difference(const Experiment *experiment, const Optimizer *optimizer, const SavedState *state,
                              const Prints *mine, char (*whole)[HASH_TEXT]) {
    Comm *comm = experiment->comm;
    const int ranks = comm_size(comm);
    int votes, odd = 0, part = 0;
    const int majority = find_majority(ranks, whole, &votes);
    while (strcmp(whole[odd], whole[majority]) == 0) odd++;
    char(*theirs)[HASH_TEXT] = memory_new((size_t)mine->parts, sizeof *theirs);
    memcpy(theirs, mine->hash, (size_t)mine->parts * sizeof *theirs);
    comm_broadcast(comm, theirs, (size_t)mine->parts * sizeof *theirs, majority);
    while (part < mine->parts - 1 && strcmp(theirs[part], mine->hash[part]) == 0) part++;
    Difference difference = {.host = ""};
    gethostname(difference.host, sizeof difference.host - 1);
    name_part(experiment, optimizer, part, difference.first);
    comm_broadcast(comm, &difference, sizeof difference, odd);
    free(theirs);
    char than[64];
    if (2 * votes > ranks)
        snprintf(than, sizeof than, "differs from the other ranks");
    else
        snprintf(than, sizeof than, "and rank %d differ", majority);
    return status_error(RAM_NUMERIC,
                        "rank %d on %s %s after step %lld, first in %s: a memory or a processor may be faulty. Nothing "
                        "is saved of this; what was saved before is intact",
                        odd, difference.host, than, (long long)state->step, difference.first);
}

Status health_check(const Experiment *experiment, const Optimizer *optimizer, const SavedState *state) {
    Comm *comm = experiment->comm;
    const int ranks = comm_size(comm);
    char name[HEALTH_NAME], own[HASH_TEXT], (*whole)[HASH_TEXT] = memory_new((size_t)ranks, sizeof *whole);
    Prints prints = take_prints(experiment, optimizer, state);
    hash_memory(prints.hash, (size_t)prints.parts * sizeof *prints.hash, own);
    comm_gather(comm, own, sizeof own, whole);
    Status status = status_ok();
    bool same = true;
    for (int rank = 1; rank < ranks; rank++) same = same && strcmp(whole[0], whole[rank]) == 0;
    if (!same) {
        status = name_difference(experiment, optimizer, state, &prints, whole);
    } else if (prints.not_finite >= 0) {
        name_part(experiment, optimizer, prints.not_finite, name);
        status = status_error(RAM_NUMERIC,
                              "%s is not finite after step %lld: lower train.lr or set train.clip. Nothing is saved of "
                              "this; what was saved before is intact",
                              name, (long long)state->step);
    }
    free(prints.hash);
    free(whole);
    return status;
}
