/* In place of libnccl.so.2 for nccl_ranks: each call answers ncclInProgress first; sums are done by nccl_ranks itself.
 * FAKE_NCCL makes it fail: old (its version), refuse:R (rank R cannot join), wrong (sums are), stuck (the stream never
 * ends after the first sum), lost (then a peer is gone), hang (a call never ends), dead (the end of it never comes). */
#include "nccl_ranks.h"

#include <nccl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ncclComm {
    int rank;
    int polls; /* left until the call has ended */
    int sums;
    ncclResult_t state;
};

static int is_mode(const char *mode) {
    const char *wanted = getenv("FAKE_NCCL");
    return wanted && strcmp(wanted, mode) == 0;
}

static ncclResult_t start(ncclComm_t comm) {
    comm->polls = 3;
    return ncclInProgress;
}

ncclResult_t ncclGetVersion(int *version) {
    *version = is_mode("old") ? 21300 : NCCL_VERSION_CODE;
    return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id) {
    memset(id, 'u', sizeof *id);
    return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t *config) {
    char refuse[32];
    snprintf(refuse, sizeof refuse, "refuse:%d", rank);
    if (ranks < 1 || rank >= ranks || id.internal[0] != 'u' || id.internal[NCCL_UNIQUE_ID_BYTES - 1] != 'u' ||
        config->blocking != 0)
        return ncclInvalidArgument;
    *comm = calloc(1, sizeof **comm);
    (*comm)->rank = rank;
    (*comm)->state = is_mode(refuse) ? ncclInvalidUsage : ncclSuccess;
    return start(*comm);
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *state) {
    *state = comm->polls > 0 ? ncclInProgress : comm->state;
    if (comm->polls > 0 && !(is_mode("hang") && comm->sums > 1)) comm->polls--;
    return ncclSuccess;
}

ncclResult_t ncclAllReduce(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t operation,
                           ncclComm_t comm, cudaStream_t stream) {
    /* a call before the last one has ended, or one that this fake does not know, is refused */
    if (comm->polls > 0 || from != to || type != ncclFloat || operation != ncclSum || !stream) return ncclInvalidUsage;
    const char *nvls = getenv("NCCL_NVLS_ENABLE");
    if (!getenv("NCCL_ALGO") && (!nvls || strcmp(nvls, "0") != 0)) return ncclInvalidUsage;
    comm->sums++;
    if (comm->sums > 1 && is_mode("stuck")) nccl_ranks_stick();
    if (comm->sums > 1 && is_mode("lost")) {
        nccl_ranks_stick();
        comm->state = ncclRemoteError;
        comm->polls = 0;
        return ncclSuccess;
    }
    if (comm->sums == 1 || !(is_mode("stuck") || is_mode("hang"))) nccl_ranks_sum(to, count);
    if (is_mode("wrong")) ((float *)to)[0] += 1;
    return start(comm);
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) { return is_mode("dead") ? ncclRemoteError : start(comm); }

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
    if (comm->polls > 0) abort();
    free(comm);
    return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
    printf("rank %d left NCCL\n", comm->rank);
    fflush(stdout);
    free(comm);
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t result) { return result == ncclRemoteError ? "remote error" : "invalid"; }

const char *ncclGetLastError(ncclComm_t comm) {
    (void)comm;
    return "the fake's last error";
}
