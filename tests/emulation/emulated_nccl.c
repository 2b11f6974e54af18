/* In place of mpi/comm_nccl.c: NCCL's sums and messages by MPI, on the emulated GPU's memory, which is the host's, when
 * the emulated stream gets there: also whenever a graph is played that has captured a sum. The variable EMULATED_NCCL
 * says whether there is one: `yes`, or `uncaptured`, which refuses to be captured. */
#include "base/log.h"
#include "base/memory.h"
#include "mpi/comm_nccl.h"

#include "cuda_runtime_api.h"
#include <stdlib.h>
#include <string.h>

struct CommNccl {
    Comm *comm;
    NcclUse use;
};

Status comm_nccl_find(int *version) {
    *version = getenv("EMULATED_NCCL") ? 22809 : 0;
    return *version ? status_ok() : status_error(RAM_UNAVAILABLE, "NCCL is not emulated here");
}

Status comm_nccl_open(Comm *comm, const CommNcclOptions *options, CommNccl **nccl) {
    *nccl = memory_new(1, sizeof **nccl);
    **nccl = (CommNccl){comm, options->use};
    return status_ok();
}

void comm_nccl_free(CommNccl *nccl) { free(nccl); }

NcclUse comm_nccl_use(const CommNccl *nccl) { return nccl->use; }

typedef struct {
    Comm *comm;
    float *floats;
    int64_t count;
    bool recorded;
} Sum;

/* NCCL hangs where a sum is part of a graph on some ranks alone. */
static void check_recorded(const Sum *s) {
    int64_t recorded[2] = {s->recorded, -(int64_t)s->recorded}; /* most and, negative, least */
    comm_max(s->comm, recorded, 2);
    require(recorded[0] == -recorded[1]);
}

static void sum(const void *argument) {
    const Sum *s = argument;
    const int ranks = comm_size(s->comm);
    check_recorded(s);
    float *all = memory_new((size_t)(ranks * s->count), sizeof *all);
    comm_gather(s->comm, s->floats, (size_t)s->count * sizeof *all, all);
    for (int64_t i = 0; i < s->count; i++) {
        s->floats[i] = 0;
        for (int rank = 0; rank < ranks; rank++) s->floats[i] += all[rank * s->count + i];
    }
    free(all);
}

bool comm_nccl_records(const CommNccl *nccl) {
    (void)nccl;
    return strcmp(getenv("EMULATED_NCCL"), "uncaptured") != 0;
}

void comm_nccl_sum(CommNccl *nccl, float *floats, int64_t count, void *stream, const char *what) {
    (void)what;
    require(nccl->use == NCCL_SUMS && stream && (comm_nccl_records(nccl) || !emulate_is_capturing()));
    emulate_call(sum, &(Sum){nccl->comm, floats, count, emulate_is_capturing()}, sizeof(Sum));
}

void comm_nccl_exchange(CommNccl *nccl, int sends, const Message *send, int receives, const Message *receive,
                        void *stream, const char *what) {
    (void)what;
    require(nccl->use == NCCL_EXCHANGES && stream && !emulate_is_capturing());
    comm_exchange(nccl->comm, sends, send, receives, receive);
}

void comm_nccl_wait(CommNccl *nccl, void *stream, const char *what) {
    (void)nccl, (void)what;
    require(stream && !emulate_is_capturing());
}
