#define _GNU_SOURCE /* pthread_timedjoin_np */
#include "mpi/comm_nccl.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "mpi/launch.h"

#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <nccl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- the library */

#define NCCL_CALLS(CALL)                                                                                               \
    CALL(ncclGetVersion)                                                                                               \
    CALL(ncclGetUniqueId)                                                                                              \
    CALL(ncclCommInitRankConfig)                                                                                       \
    CALL(ncclCommGetAsyncError)                                                                                        \
    CALL(ncclCommFinalize)                                                                                             \
    CALL(ncclCommDestroy)                                                                                              \
    CALL(ncclCommAbort)                                                                                                \
    CALL(ncclAllReduce)                                                                                                \
    CALL(ncclSend)                                                                                                     \
    CALL(ncclRecv)                                                                                                     \
    CALL(ncclGroupStart)                                                                                               \
    CALL(ncclGroupEnd)                                                                                                 \
    CALL(ncclGetErrorString)                                                                                           \
    CALL(ncclGetLastError)

/* NCCL's functions under their own names. */
typedef struct {
#define CALL(name) __typeof__(name) *name;
    NCCL_CALLS(CALL)
#undef CALL
} Library;

/* ncclCommFinalize and communicators that do not block are of 2.14. */
enum { OLDEST = 21400 };

static void version_text(int version, char text[32]) {
    snprintf(text, 32, "%d.%d.%d", version / 10000, version / 100 % 100, version % 100);
}

static Status load(Library *library, int *version) {
    *version = 0;
    launch_prepare_nccl();
    void *handle = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL); /* stays till the end of the process */
    if (!handle)
        return status_error(RAM_UNAVAILABLE,
                            "NCCL cannot be loaded (%s): install it (libnccl2), put its folder into LD_LIBRARY_PATH, "
                            "or take --comm mpi",
                            dlerror());
#define CALL(name) *(void **)&library->name = dlsym(handle, #name);
    NCCL_CALLS(CALL)
#undef CALL
    int found = 0;
    if (library->ncclGetVersion) library->ncclGetVersion(&found);
    if (found < OLDEST) {
        char text[32];
        version_text(found, text);
        return status_error(RAM_UNAVAILABLE,
                            "NCCL is of version %s, which is too old: install 2.14 or newer, or take "
                            "--comm mpi",
                            text);
    }
#define CALL(name)                                                                                                     \
    if (!library->name) return status_error(RAM_UNAVAILABLE, "NCCL lacks %s: install it anew", #name);
    NCCL_CALLS(CALL)
#undef CALL
    *version = found;
    return status_ok();
}

Status comm_nccl_find(int *version) {
    Library library;
    return load(&library, version);
}

/* --- waiting */

/* When a wait has been too long. */
typedef struct {
    double begin;   /* clock_now() */
    double seconds; /* 0: never */
    int looks;
} Deadline;

struct CommNccl {
    Library library;
    ncclComm_t nccl;
    cudaEvent_t event;
    void *first; /* memory of the first use, with its stream */
    cudaStream_t stream;
    NcclUse use;
    bool records;
    int gpu;
    int rank, ranks;
    double seconds;   /* limit of a wait */
    bool open;        /* till then */
    Deadline opening; /* of all waits together */
};

static Deadline deadline_begin(double seconds) { return (Deadline){.begin = clock_now(), .seconds = seconds}; }

/* To be called between two looks. The first ones follow at once, since a step's sum takes microseconds. */
static bool deadline_passed(Deadline *deadline) {
    enum { HASTY = 1000 };
    if (++deadline->looks > HASTY) sched_yield();
    return deadline->seconds > 0 && clock_now() - deadline->begin > deadline->seconds;
}

static Deadline deadline_of_wait(const CommNccl *n) { return n->open ? deadline_begin(n->seconds) : n->opening; }

static Status timed_out(const CommNccl *n, const char *what) {
    if (!n->open)
        return status_error(RAM_TIMEOUT,
                            "NCCL was not ready on rank %d of %d after %g s, in %s: NCCL_DEBUG=INFO tells more, --comm "
                            "mpi does without NCCL",
                            n->rank, n->ranks, n->opening.seconds, what);
    return status_error(RAM_TIMEOUT,
                        "rank %d of %d waited %g s for %s by NCCL: a rank has stopped answering; --resume auto goes on "
                        "from the last checkpoint",
                        n->rank, n->ranks, n->seconds, what);
}

/* What has worked, and then does not: the network, a peer, or what another start may cure. */
static ExitCode code_of(const CommNccl *n, ncclResult_t result) {
    if (result == ncclRemoteError || (n->open && result == ncclSystemError)) return RAM_TIMEOUT;
    return n->open && (result == ncclUnhandledCudaError || result == ncclInternalError) ? RAM_INTERNAL
                                                                                        : RAM_UNAVAILABLE;
}

static Status nccl_failed(const CommNccl *n, ncclResult_t result, const char *what) {
    const char *detail = n->library.ncclGetLastError(n->nccl);
    return status_error(code_of(n, result),
                        "%s by NCCL failed on rank %d of %d: %s%s%.200s; NCCL_DEBUG=WARN tells more, --comm mpi does "
                        "without NCCL",
                        what, n->rank, n->ranks, n->library.ncclGetErrorString(result), detail && *detail ? ": " : "",
                        detail ? detail : "");
}

/* CUDA forgets it: where the run goes on without NCCL, the next launch of a kernel would be blamed. Once open, it is a
 * fault of the GPU or of any kernel before the sum. */
static Status cuda_failed(const CommNccl *n, cudaError_t error, const char *what) {
    cudaGetLastError();
    if (n->open)
        return status_error(RAM_INTERNAL,
                            "CUDA says %s on rank %d of %d, which waited for %s by NCCL; --resume auto goes on from "
                            "the last checkpoint",
                            cudaGetErrorString(error), n->rank, n->ranks, what);
    return status_error(RAM_UNAVAILABLE,
                        "%s by NCCL failed on rank %d of %d: CUDA says %s; --comm mpi does without NCCL", what, n->rank,
                        n->ranks, cudaGetErrorString(error));
}

/* A communicator that does not block answers either. */
static bool is_accepted(ncclResult_t result) { return result == ncclSuccess || result == ncclInProgress; }

/* What came of a call. NCCL's communicator does not block: the call may go on behind our back, and no other may be made
 * before it has ended. */
static Status settle(const CommNccl *n, ncclResult_t result, const char *what) {
    Deadline deadline = deadline_of_wait(n);
    if (!is_accepted(result)) return nccl_failed(n, result, what);
    for (;;) {
        ncclResult_t state = ncclSuccess;
        const ncclResult_t asked = n->library.ncclCommGetAsyncError(n->nccl, &state);
        if (asked != ncclSuccess) return nccl_failed(n, asked, what);
        if (state == ncclSuccess) return status_ok();
        if (state != ncclInProgress) return nccl_failed(n, state, what);
        if (deadline_passed(&deadline)) return timed_out(n, what);
    }
}

static Status start_sum(CommNccl *n, float *floats, int64_t count, cudaStream_t stream, const char *what) {
    return settle(n, n->library.ncclAllReduce(floats, floats, (size_t)count, ncclFloat, ncclSum, n->nccl, stream),
                  what);
}

/* One group, so that no message waits for another. */
static Status start_exchange(CommNccl *n, int sends, const Message *send, int receives, const Message *receive,
                             cudaStream_t stream, const char *what) {
    const Library *library = &n->library;
    ncclResult_t result = library->ncclGroupStart();
    if (result != ncclSuccess) return nccl_failed(n, result, what);
    for (int i = 0; i < receives && is_accepted(result); i++)
        if (receive[i].bytes > 0)
            result = library->ncclRecv(receive[i].data, receive[i].bytes, ncclInt8, receive[i].peer, n->nccl, stream);
    for (int i = 0; i < sends && is_accepted(result); i++)
        if (send[i].bytes > 0)
            result = library->ncclSend(send[i].data, send[i].bytes, ncclInt8, send[i].peer, n->nccl, stream);
    const ncclResult_t end = library->ncclGroupEnd(); /* the group is left after a failure too */
    return settle(n, is_accepted(result) ? end : result, what);
}

/* "Not ready" is no error, but remembered as one, for which the next launch of a kernel would be blamed. */
static cudaError_t query(cudaEvent_t event) {
    const cudaError_t error = cudaEventQuery(event);
    if (error == cudaErrorNotReady) cudaGetLastError();
    return error;
}

static Status wait_for(CommNccl *n, cudaStream_t stream, const char *what) {
    cudaError_t error = cudaEventRecord(n->event, stream);
    if (error != cudaSuccess) return cuda_failed(n, error, what);
    Deadline deadline = deadline_of_wait(n);
    for (;;) {
        error = query(n->event);
        if (error == cudaSuccess) return status_ok();
        if (error != cudaErrorNotReady) return cuda_failed(n, error, what);
        ncclResult_t state = ncclSuccess;
        const ncclResult_t asked = n->library.ncclCommGetAsyncError(n->nccl, &state);
        if (asked != ncclSuccess) return nccl_failed(n, asked, what);
        if (!is_accepted(state)) return nccl_failed(n, state, what);
        if (deadline_passed(&deadline)) return timed_out(n, what);
    }
}

/* --- from the ranks of Comm to a communicator */

static Status join(CommNccl *n, const ncclUniqueId *id) {
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    const ncclResult_t result = n->library.ncclCommInitRankConfig(&n->nccl, n->ranks, *id, n->rank, &config);
    TRY(settle(n, result, "joining the ranks"));
    if (n->event) return status_ok(); /* joined anew */
    const cudaError_t error = cudaEventCreateWithFlags(&n->event, cudaEventDisableTiming);
    return error == cudaSuccess ? status_ok() : cuda_failed(n, error, "joining the ranks");
}

/* Memory for the first use, of zeros. It is given back when NCCL has been left, or the use is over: till then the GPU
 * may write. */
static Status take_first(CommNccl *n, size_t bytes, const char *what) {
    cudaError_t error = cudaMalloc(&n->first, bytes);
    if (error == cudaSuccess) error = cudaStreamCreateWithFlags(&n->stream, cudaStreamNonBlocking);
    if (error == cudaSuccess) error = cudaMemsetAsync(n->first, 0, bytes, n->stream);
    return error == cudaSuccess ? status_ok() : cuda_failed(n, error, what);
}

static void release_first(CommNccl *n) {
    if (n->stream) cudaStreamDestroy(n->stream);
    if (n->first) cudaFree(n->first);
    n->stream = NULL;
    n->first = NULL;
}

static Status set_one(CommNccl *n, const char *what) {
    const float one = 1;
    const cudaError_t error = cudaMemcpyAsync(n->first, &one, sizeof one, cudaMemcpyHostToDevice, n->stream);
    return error == cudaSuccess ? status_ok() : cuda_failed(n, error, what);
}

/* Waits for the sum of ones. */
static Status check_ones(CommNccl *n, const char *what) {
    float sum = 0;
    TRY(wait_for(n, n->stream, what));
    const cudaError_t error = cudaMemcpy(&sum, n->first, sizeof sum, cudaMemcpyDeviceToHost);
    if (error != cudaSuccess) return cuda_failed(n, error, what);
    if (sum == (float)n->ranks) return status_ok();
    return status_error(RAM_UNAVAILABLE, "NCCL sums ones of %d ranks to %g on rank %d: take --comm mpi", n->ranks, sum,
                        n->rank);
}

/* A sum of ones over `count` floats, the first of them checked. */
static Status first_sum(CommNccl *n, int64_t count) {
    static const char WHAT[] = "the first sum";
    TRY(take_first(n, (size_t)count * sizeof(float), WHAT));
    TRY(set_one(n, WHAT));
    TRY(start_sum(n, n->first, count, n->stream, WHAT));
    return check_ones(n, WHAT);
}

/* The same as a graph. *playable: NULL where NCCL, or CUDA with it, refuses to be recorded, for the reason *refusal;
 * then NCCL can be used no more. */
static Status record_sum(CommNccl *n, int64_t count, cudaGraphExec_t *playable, Status *refusal, const char *what) {
    cudaGraph_t graph = NULL;
    *playable = NULL;
    *refusal = status_ok();
    cudaError_t error = cudaStreamBeginCapture(n->stream, cudaStreamCaptureModeRelaxed);
    if (error != cudaSuccess) return cuda_failed(n, error, what);
    const Status asked = start_sum(n, n->first, count, n->stream, what);
    error = cudaStreamEndCapture(n->stream, &graph);
    if (!status_failed(&asked) && error == cudaSuccess) error = cudaGraphInstantiateWithFlags(playable, graph, 0);
    if (graph) cudaGraphDestroy(graph);
    if (asked.code == RAM_TIMEOUT || *playable) return asked;
    cudaGetLastError(); /* forget it */
    *refusal = status_failed(&asked) ? asked : cuda_failed(n, error, what);
    return status_ok();
}

static Status play_sum(CommNccl *n, cudaGraphExec_t playable, const char *what) {
    TRY(set_one(n, what));
    const cudaError_t error = cudaGraphLaunch(playable, n->stream);
    if (error != cudaSuccess) return cuda_failed(n, error, what);
    return check_ones(n, what);
}

/* number (ranks) and message (2 * ranks) are room for it. */
static Status exchange_numbers(CommNccl *n, int *number, Message *message) {
    static const char WHAT[] = "the first exchange";
    const int ranks = n->ranks;
    const size_t bytes = (size_t)ranks * sizeof *number;
    TRY(take_first(n, 2 * bytes, WHAT));
    int *sent = n->first, *received = sent + ranks;
    for (int peer = 0; peer < ranks; peer++) {
        number[peer] = n->rank * ranks + peer;
        message[peer] = (Message){peer, sent + peer, sizeof *sent};
        message[ranks + peer] = (Message){peer, received + peer, sizeof *received};
    }
    cudaError_t error = cudaMemcpyAsync(sent, number, bytes, cudaMemcpyHostToDevice, n->stream);
    if (error != cudaSuccess) return cuda_failed(n, error, WHAT);
    TRY(start_exchange(n, ranks, message, ranks, message + ranks, n->stream, WHAT));
    TRY(wait_for(n, n->stream, WHAT));
    error = cudaMemcpy(number, received, bytes, cudaMemcpyDeviceToHost);
    if (error != cudaSuccess) return cuda_failed(n, error, WHAT);
    for (int peer = 0; peer < ranks; peer++)
        if (number[peer] != peer * ranks + n->rank)
            return status_error(RAM_UNAVAILABLE,
                                "NCCL brings rank %d another message than rank %d sent: take --comm mpi", n->rank,
                                peer);
    return status_ok();
}

/* A number from every rank to every rank, itself included, so that one rank alone makes the calls too; all checked. */
static Status first_exchange(CommNccl *n) {
    int *number = memory_new((size_t)n->ranks, sizeof *number);
    Message *message = memory_new(2 * (size_t)n->ranks, sizeof *message);
    const Status status = exchange_numbers(n, number, message);
    free(message);
    free(number);
    return status;
}

static Status begin(CommNccl *n, ncclUniqueId *id) {
    int version;
    TRY(load(&n->library, &version));
    const cudaError_t error = cudaSetDevice(n->gpu);
    if (error != cudaSuccess) return cuda_failed(n, error, "joining the ranks");
    if (n->rank > 0) return status_ok();
    const ncclResult_t result = n->library.ncclGetUniqueId(id);
    return result == ncclSuccess ? status_ok() : nccl_failed(n, result, "joining the ranks");
}

typedef struct {
    ncclResult_t (*abort)(ncclComm_t);
    ncclComm_t nccl;
    int gpu;
} Abort;

/* A thread begins on the first GPU, and would take memory there for what NCCL asks of it. */
static void *abort_it(void *given) {
    Abort *it = given;
    cudaSetDevice(it->gpu);
    it->abort(it->nccl);
    free(it);
    return NULL;
}

enum { LEAVE_SECONDS = 5 };

/* At once, without waiting for peers, which learn of it. ncclCommAbort itself waits for NCCL's threads, and has been
 * seen not to return when a peer was dead: it gets LEAVE_SECONDS, then all that it may still use is left to it. */
static void leave(CommNccl *n) {
    pthread_t thread;
    struct timespec limit;
    if (!n->nccl) return;
    Abort *it = memory_new(1, sizeof *it);
    *it = (Abort){n->library.ncclCommAbort, n->nccl, n->gpu};
    n->nccl = NULL;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += LEAVE_SECONDS;
    if (pthread_create(&thread, NULL, abort_it, it) == 0 && pthread_timedjoin_np(thread, NULL, &limit) == 0) return;
    n->first = NULL; /* to free it would wait for the GPU */
    n->stream = NULL;
}

/* All ranks go on to the next step together. One that failed leaves before it tells: the others may wait for it inside
 * of NCCL. @collective */
static Status agree_on(CommNccl *n, Comm *comm, Status mine) {
    if (status_failed(&mine)) leave(n);
    return comm_agree(comm, mine);
}

static Status join_all(CommNccl *n, Comm *comm, const CommNcclOptions *options) {
    ncclUniqueId id;
    memset(&id, 0, sizeof id);
    TRY(agree_on(n, comm, begin(n, &id)));
    comm_broadcast(comm, &id, sizeof id, 0);
    TRY(agree_on(n, comm, join(n, &id)));
    return agree_on(n, comm, n->use == NCCL_SUMS ? first_sum(n, options->count) : first_exchange(n));
}

/* Finds out whether sums can be recorded, once and for all ranks: they have to record together. A communicator that
 * does not block answers nothing but its refusal afterwards, so that where one refuses all join anew. */
static Status find_records(CommNccl *n, Comm *comm, const CommNcclOptions *options) {
    static const char WHAT[] = "the first recorded sum";
    cudaGraphExec_t playable;
    Status refusal, status = agree_on(n, comm, record_sum(n, options->count, &playable, &refusal, WHAT));
    if (!status_failed(&status)) {
        refusal = comm_agree(comm, refusal);
        n->records = !status_failed(&refusal);
    }
    if (n->records) status = play_sum(n, playable, WHAT);
    if (playable) cudaGraphExecDestroy(playable); /* before NCCL is left, which would wait for that */
    TRY(agree_on(n, comm, status));
    if (n->records) return status;
    log_info("NCCL's sums are no part of a recorded step, which is played in two pieces around them: %s",
             refusal.message);
    leave(n);
    release_first(n);
    return join_all(n, comm, options);
}

static Status open_agreed(CommNccl *n, Comm *comm, const CommNcclOptions *options) {
    TRY(join_all(n, comm, options));
    return n->use == NCCL_SUMS ? find_records(n, comm, options) : status_ok();
}

Status comm_nccl_open(Comm *comm, const CommNcclOptions *options, CommNccl **nccl) {
    CommNccl *n = memory_new(1, sizeof *n);
    require(options->use == NCCL_EXCHANGES || options->count > 0);
    *n = (CommNccl){.rank = comm_rank(comm),
                    .ranks = comm_size(comm),
                    .seconds = options->seconds,
                    .opening = deadline_begin(options->opening),
                    .use = options->use,
                    .gpu = options->gpu};
    comm_watch_grace(comm, options->opening + 2 * LEAVE_SECONDS); /* who waits for NCCL here says so itself */
    const Status status = open_agreed(n, comm, options);
    comm_watch_grace(comm, 0);
    const bool failed = status_failed(&status);
    n->open = true;
    if (failed) leave(n);
    release_first(n);
    *nccl = failed ? NULL : n;
    if (!failed) return status;
    if (n->event) cudaEventDestroy(n->event);
    free(n);
    return status;
}

/* --- what the others use */

/* All ranks get here at about the same time, each knowing only itself: the lower ranks are left time to speak, to leave
 * NCCL, and to end the others. */
static _Noreturn void give_up(CommNccl *n, const Status *status) {
    const int courtesy = n->rank < 10 ? n->rank : 10;
    if (n->rank == 0) log_last_words(status);
    leave(n);
    if (n->rank > 0) {
        nanosleep(&(struct timespec){.tv_sec = 2 * LEAVE_SECONDS + courtesy / 4, .tv_nsec = courtesy % 4 * 250000000L},
                  NULL);
        log_last_words(status);
    }
    comm_abort((int)status->code);
}

NcclUse comm_nccl_use(const CommNccl *n) { return n->use; }

bool comm_nccl_records(const CommNccl *n) { return n->records; }

/* CUDA loads a kernel when it is first launched, and may wait for the GPU to do so ("Lazy Loading" in the CUDA
 * programming guide), that is, for the peers of a sum that is under way, without a limit, and while NCCL's own threads
 * wait for CUDA. A recorded sum is followed by kernels that have run before. */
static Status sum_at_once(CommNccl *n, float *floats, int64_t count, cudaStream_t stream, const char *what) {
    enum cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
    const cudaError_t error = cudaStreamIsCapturing(stream, &capture);
    if (error != cudaSuccess) return cuda_failed(n, error, what);
    if (capture == cudaStreamCaptureStatusInvalidated) return status_ok(); /* NCCL would fail, and for good */
    TRY(start_sum(n, floats, count, stream, what));
    return capture == cudaStreamCaptureStatusNone ? wait_for(n, stream, what) : status_ok();
}

void comm_nccl_sum(CommNccl *n, float *floats, int64_t count, void *stream, const char *what) {
    require(n->use == NCCL_SUMS);
    const Status status = sum_at_once(n, floats, count, stream, what);
    if (status_failed(&status)) give_up(n, &status);
}

void comm_nccl_exchange(CommNccl *n, int sends, const Message *send, int receives, const Message *receive, void *stream,
                        const char *what) {
    require(n->use == NCCL_EXCHANGES);
    const Status status = start_exchange(n, sends, send, receives, receive, stream, what);
    if (status_failed(&status)) give_up(n, &status);
}

void comm_nccl_wait(CommNccl *n, void *stream, const char *what) {
    const Status status = wait_for(n, stream, what);
    if (status_failed(&status)) give_up(n, &status);
}

void comm_nccl_free(CommNccl *n) {
    if (!n) return;
    const Status status = settle(n, n->library.ncclCommFinalize(n->nccl), "the end");
    if (status_failed(&status))
        leave(n);
    else
        n->library.ncclCommDestroy(n->nccl);
    cudaEventDestroy(n->event);
    free(n);
}
