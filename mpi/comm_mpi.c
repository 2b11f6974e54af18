/* The communicator of several ranks, over MPI_COMM_WORLD. */
#include "base/log.h"
#include "base/memory.h"
#include "mpi/comm_ops.h"
#include "mpi/launch.h"

#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* MPI counts are int: longer data travels in pieces of this many bytes. */
static const size_t PIECE = (size_t)1 << 30;

/* Between two ranks MPI delivers messages of one tag in the order they were posted, so one tag is enough. */
enum { TAG = 1 };

/* Seconds that ranks may take to start, whatever comm.timeout is: a loaded host is slow at that. */
static const double INIT_LEAST = 60;

static void check(int error, const char *call) {
    if (error == MPI_SUCCESS) return;
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(error, text, &length);
    fatal("%s failed: %s", call, text);
}
#define CHECK(call) check(call, #call)

static void mpi_barrier(Comm *comm) {
    (void)comm;
    CHECK(MPI_Barrier(MPI_COMM_WORLD));
}

static void mpi_broadcast(Comm *comm, void *data, size_t bytes, int root) {
    (void)comm;
    for (size_t done = 0; done < bytes; done += PIECE) {
        size_t piece = bytes - done < PIECE ? bytes - done : PIECE;
        CHECK(MPI_Bcast((char *)data + done, (int)piece, MPI_BYTE, root, MPI_COMM_WORLD));
    }
}

static void mpi_gather(Comm *comm, const void *mine, size_t bytes, void *all) {
    (void)comm;
    require(bytes <= INT_MAX);
    CHECK(MPI_Allgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, MPI_COMM_WORLD));
}

static void mpi_reduce(Comm *comm, int64_t *values, int count, Reduction reduction) {
    (void)comm;
    MPI_Op operation = reduction == REDUCE_SUM ? MPI_SUM : MPI_MAX;
    CHECK(MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_INT64_T, operation, MPI_COMM_WORLD));
}

/* Pieces of a message; an empty message is one empty piece, so that a size that differs shows. */
static size_t piece_count(size_t bytes) { return bytes == 0 ? 1 : (bytes + PIECE - 1) / PIECE; }

static size_t pieces_of(int count, const Message *messages) {
    size_t pieces = 0;
    for (int i = 0; i < count; i++) pieces += piece_count(messages[i].bytes);
    return pieces;
}

typedef enum { RECEIVE, SEND } Direction;

/* Posts all pieces of all messages; returns how many requests that made. */
static int post(Direction direction, int count, const Message *messages, MPI_Request *requests, int *expected) {
    int posted = 0;
    for (int i = 0; i < count; i++) {
        const Message *message = &messages[i];
        for (size_t piece = 0; piece < piece_count(message->bytes); piece++) {
            size_t done = piece * PIECE, left = message->bytes - done;
            char *data = message->bytes > 0 ? (char *)message->data + done : NULL;
            int bytes = (int)(left < PIECE ? left : PIECE);
            expected[posted] = bytes;
            if (direction == RECEIVE)
                CHECK(MPI_Irecv(data, bytes, MPI_BYTE, message->peer, TAG, MPI_COMM_WORLD, &requests[posted]));
            else
                CHECK(MPI_Isend(data, bytes, MPI_BYTE, message->peer, TAG, MPI_COMM_WORLD, &requests[posted]));
            posted++;
        }
    }
    return posted;
}

static void mpi_exchange(Comm *comm, int sends, const Message *send, int receives, const Message *receive) {
    size_t pieces = pieces_of(sends, send) + pieces_of(receives, receive);
    require(pieces <= INT_MAX);
    MPI_Request *requests = memory_new(pieces, sizeof *requests);
    MPI_Status *statuses = memory_new(pieces, sizeof *statuses);
    int *expected = memory_new(pieces, sizeof *expected);
    /* receives first: what arrives then goes straight to its place */
    int received = post(RECEIVE, receives, receive, requests, expected);
    int posted = received + post(SEND, sends, send, requests + received, expected + received);
    int error = MPI_Waitall(posted, requests, statuses);
    for (int i = 0; error == MPI_ERR_IN_STATUS && i < posted; i++)
        check(statuses[i].MPI_ERROR, "a message of MPI_Waitall");
    check(error, "MPI_Waitall");
    for (int i = 0; i < received; i++) {
        int bytes = 0;
        CHECK(MPI_Get_count(&statuses[i], MPI_BYTE, &bytes));
        if (bytes != expected[i])
            fatal("rank %d sent %d bytes where rank %d expects %d", statuses[i].MPI_SOURCE, bytes, comm->rank,
                  expected[i]);
    }
    free(expected);
    free(statuses);
    free(requests);
}

static void mpi_free(Comm *comm) {
    CHECK(MPI_Finalize());
    free(comm);
}

static const CommOps mpi_ops = {
    .barrier = mpi_barrier,
    .broadcast = mpi_broadcast,
    .gather = mpi_gather,
    .reduce = mpi_reduce,
    .exchange = mpi_exchange,
    .free = mpi_free,
};

/* Fills local rank, local size and host. */
static void find_host(Comm *comm) {
    MPI_Comm local;
    CHECK(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL, &local));
    CHECK(MPI_Comm_rank(local, &comm->local_rank));
    CHECK(MPI_Comm_size(local, &comm->local_size));
    comm->host = comm->rank; /* of local rank 0: the lowest, since the split keeps the order */
    CHECK(MPI_Bcast(&comm->host, 1, MPI_INT, 0, local));
    CHECK(MPI_Comm_free(&local));
}

/* "Open MPI v4.1.4" of "Open MPI v4.1.4, package: ..., ident: ..." */
static void find_library(Comm *comm) {
    char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length = 0;
    CHECK(MPI_Get_library_version(text, &length));
    text[strcspn(text, ",\n")] = '\0';
    snprintf(comm->library, sizeof comm->library, "%.63s", text);
}

static Comm *start(void) {
    int provided = MPI_THREAD_SINGLE;
    CHECK(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided));
    if (provided < MPI_THREAD_FUNNELED) fatal("this MPI library does not allow threads beside the one that calls it");
    CHECK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    Comm *comm = memory_new(1, sizeof *comm);
    comm->ops = &mpi_ops;
    CHECK(MPI_Comm_rank(MPI_COMM_WORLD, &comm->rank));
    CHECK(MPI_Comm_size(MPI_COMM_WORLD, &comm->size));
    comm->watch = watch_new(comm->rank, comm->size);
    find_host(comm);
    find_library(comm);
    return comm;
}

/* Under a watch of its own: a rank that never gets there would let the others wait for ever. */
Comm *comm_mpi_new(int rank, double seconds) {
    launch_prepare_mpi();
    Watch *watch = watch_new(rank, 1);
    watch_start(watch, seconds > 0 && seconds < INIT_LEAST ? INIT_LEAST : seconds);
    watch_enter(watch, IN_INIT);
    Comm *comm = start();
    watch_leave(watch);
    watch_free(watch);
    return comm;
}

void comm_abort(int code) {
    int initialized = 0, finalized = 0;
    MPI_Initialized(&initialized);
    MPI_Finalized(&finalized);
    if (initialized && !finalized) MPI_Abort(MPI_COMM_WORLD, code);
    /* not exit(): its handlers may wait for what has just failed, and threads may still run */
    fflush(NULL);
    _Exit(code);
}
