/* In place of libnccl.so.2 for nccl_ranks: each call answers ncclInProgress first. Sums are done by nccl_ranks itself;
 * messages are files in the folder FAKE_NCCL_MAIL, and a group of them is in progress until all it receives have come.
 * FAKE_NCCL makes it fail: old (its version), refuse:R (rank R cannot join), wrong (sums and messages are), stuck (the
 * stream never ends after the first use), lost (then a peer is gone), hang (a call never ends), silent:R (rank R sends
 * nothing after the first use), dead (the end of it never comes), uncaptured:R (rank R takes no sum into a graph),
 * late:R, never:R (rank R joins after LATE seconds, or never), fault:R (rank R's GPU breaks after the first use). With
 * FAKE_NCCL_DEAF ncclCommAbort does not return. */
#include "nccl_ranks.h"

#include <nccl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { RANKS_MOST = 16, GROUP_MOST = 1024, LATE = 6 };

typedef struct {
    ncclComm_t comm;
    bool send;
    int peer;
    int number; /* among those from one rank to another */
    void *data;
    size_t bytes;
} Operation;

/* What was asked for since ncclGroupStart. */
typedef struct {
    bool open;
    int count;
    Operation operation[GROUP_MOST];
} Group;

struct ncclComm {
    int rank, ranks;
    int polls; /* left until the call has ended */
    time_t joined;
    int uses;
    int sent[RANKS_MOST], received[RANKS_MOST]; /* messages to and from each rank */
    int waiting;
    Operation wait[GROUP_MOST]; /* (waiting): receives */
    ncclResult_t state;
};

static int is_mode(const char *mode) {
    const char *wanted = getenv("FAKE_NCCL");
    return wanted && strcmp(wanted, mode) == 0;
}

static int is_mode_of(const char *mode, int rank) {
    char text[32];
    snprintf(text, sizeof text, "%s:%d", mode, rank);
    return is_mode(text);
}

static ncclResult_t start(ncclComm_t comm) {
    comm->polls = 3;
    return ncclInProgress;
}

/* What a sum and a group have in common. True: it fails, and nothing is summed or sent. */
static bool fails(ncclComm_t comm, ncclResult_t *answer) {
    comm->uses++;
    if (comm->uses == 1) return false;
    if (is_mode_of("fault", comm->rank)) nccl_ranks_break();
    if (is_mode("stuck") || is_mode("lost")) nccl_ranks_stick();
    if (is_mode("lost")) {
        comm->state = ncclRemoteError;
        comm->polls = 0;
        *answer = ncclSuccess;
        return true;
    }
    if (!is_mode("stuck") && !is_mode("hang")) return false;
    *answer = start(comm);
    return true;
}

/* --- messages */

static void mail_name(char name[512], int from, int to, int number) {
    snprintf(name, 512, "%s/%d-%d-%d", getenv("FAKE_NCCL_MAIL"), from, to, number);
}

static void post(const Operation *o) {
    char name[512], part[520];
    if (o->comm->uses > 1 && is_mode_of("silent", o->comm->rank)) return;
    mail_name(name, o->comm->rank, o->peer, o->number);
    snprintf(part, sizeof part, "%s.part", name);
    FILE *file = fopen(part, "wx");
    if (!file || fwrite(nccl_ranks_host(o->data), 1, o->bytes, file) != o->bytes || fclose(file) != 0 ||
        rename(part, name) != 0)
        abort();
}

/* Whether the message has come; one of another size is an error of the program. */
static bool take(const Operation *o) {
    char name[512];
    mail_name(name, o->peer, o->comm->rank, o->number);
    FILE *file = fopen(name, "r");
    if (!file) return false;
    if (fread(nccl_ranks_host(o->data), 1, o->bytes, file) != o->bytes || fgetc(file) != EOF) abort();
    fclose(file);
    unlink(name);
    if (is_mode("wrong")) *(char *)nccl_ranks_host(o->data) += 1;
    return true;
}

static void take_all(ncclComm_t comm) {
    int left = 0;
    for (int i = 0; i < comm->waiting; i++)
        if (!take(&comm->wait[i])) comm->wait[left++] = comm->wait[i];
    comm->waiting = left;
}

static Group *the_group(void) {
    static Group group;
    return &group;
}

static ncclResult_t add(Operation operation, ncclDataType_t type, cudaStream_t stream) {
    Group *group = the_group();
    ncclComm_t comm = operation.comm;
    const int peer = operation.peer;
    if (!group->open || group->count == GROUP_MOST || comm->polls > 0 || comm->waiting > 0 || peer < 0 ||
        peer >= comm->ranks || type != ncclInt8 || operation.bytes == 0 || !stream ||
        !nccl_ranks_on_device(operation.data))
        return ncclInvalidUsage;
    operation.number = operation.send ? comm->sent[peer]++ : comm->received[peer]++;
    group->operation[group->count++] = operation;
    return ncclSuccess;
}

ncclResult_t ncclSend(const void *from, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
    return add((Operation){.comm = comm, .send = true, .peer = peer, .data = (void *)from, .bytes = count}, type,
               stream);
}

ncclResult_t ncclRecv(void *to, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream) {
    return add((Operation){.comm = comm, .peer = peer, .data = to, .bytes = count}, type, stream);
}

/* nccl.h leaves their parameters open */
ncclResult_t ncclGroupStart(void);
ncclResult_t ncclGroupEnd(void);

ncclResult_t ncclGroupStart(void) {
    if (the_group()->open) return ncclInvalidUsage;
    *the_group() = (Group){.open = true};
    return ncclSuccess;
}

ncclResult_t ncclGroupEnd(void) {
    Group *group = the_group();
    ncclResult_t answer;
    if (!group->open) return ncclInvalidUsage;
    group->open = false;
    if (group->count == 0) return ncclSuccess;
    ncclComm_t comm = group->operation[0].comm;
    if (fails(comm, &answer)) return answer;
    for (int i = 0; i < group->count; i++) {
        const Operation *o = &group->operation[i];
        if (o->send)
            post(o);
        else
            comm->wait[comm->waiting++] = *o;
    }
    return start(comm);
}

/* --- the rest */

ncclResult_t ncclGetVersion(int *version) {
    *version = is_mode("old") ? 21300 : NCCL_VERSION_CODE;
    return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id) {
    memset(id, 'u', sizeof *id);
    return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t *config) {
    const char *blocking = getenv("NCCL_COMM_BLOCKING"); /* goes before the configuration */
    if (ranks < 1 || ranks > RANKS_MOST || rank >= ranks || id.internal[0] != 'u' ||
        id.internal[NCCL_UNIQUE_ID_BYTES - 1] != 'u' || config->blocking != 0 || !blocking ||
        strcmp(blocking, "0") != 0)
        return ncclInvalidArgument;
    *comm = calloc(1, sizeof **comm);
    (*comm)->rank = rank;
    (*comm)->ranks = ranks;
    (*comm)->joined = time(NULL);
    (*comm)->state = is_mode_of("refuse", rank) ? ncclInvalidUsage : ncclSuccess;
    return start(*comm);
}

static bool is_joining(ncclComm_t comm) {
    return is_mode_of("never", comm->rank) || (is_mode_of("late", comm->rank) && time(NULL) - comm->joined < LATE);
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *state) {
    if (is_joining(comm)) {
        *state = ncclInProgress;
        return ncclSuccess;
    }
    *state = comm->polls > 0 || comm->waiting > 0 ? ncclInProgress : comm->state;
    if (comm->polls > 0 && !(is_mode("hang") && comm->uses > 1)) comm->polls--;
    take_all(comm);
    return ncclSuccess;
}

ncclResult_t ncclAllReduce(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t operation,
                           ncclComm_t comm, cudaStream_t stream) {
    /* a call before the last one has ended, or one that this fake does not know, is refused */
    if (comm->polls > 0 || from != to || !nccl_ranks_on_device(to) || type != ncclFloat || operation != ncclSum ||
        !stream)
        return ncclInvalidUsage;
    const char *nvls = getenv("NCCL_NVLS_ENABLE");
    ncclResult_t answer;
    if (!getenv("NCCL_ALGO") && (!nvls || strcmp(nvls, "0") != 0)) return ncclInvalidUsage;
    if (!getenv("NCCL_GRAPH_REGISTER")) return ncclInvalidUsage;
    float *floats = nccl_ranks_host(to);
    if (comm->state != ncclSuccess) return comm->state; /* as the real one, which goes on answering a failure */
    if (nccl_ranks_capture_is_given_up()) return comm->state = ncclUnhandledCudaError;
    if (nccl_ranks_is_capturing()) {
        if (is_mode_of("uncaptured", comm->rank)) return comm->state = ncclInvalidUsage;
        nccl_ranks_capture(floats, count);
        return start(comm);
    }
    if (fails(comm, &answer)) return answer;
    nccl_ranks_sum(floats, count);
    if (is_mode("wrong")) floats[0] += 1;
    return start(comm);
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) { return is_mode("dead") ? ncclRemoteError : start(comm); }

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
    if (comm->polls > 0) abort();
    free(comm);
    return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
    printf("rank %d left NCCL%s\n", comm->rank, nccl_ranks_gpu_is_chosen() ? "" : " on another GPU than its own");
    fflush(stdout);
    if (getenv("FAKE_NCCL_DEAF")) pause();
    free(comm);
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t result) { return result == ncclRemoteError ? "remote error" : "invalid"; }

const char *ncclGetLastError(ncclComm_t comm) {
    (void)comm;
    return "the fake's last error";
}
