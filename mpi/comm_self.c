/* The communicator of one rank: every exchange with the others is already done. */
#include "base/memory.h"
#include "mpi/comm_ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void self_barrier(Comm *comm) { (void)comm; }

static void self_broadcast(Comm *comm, void *data, size_t bytes, int root) {
    (void)comm, (void)data, (void)bytes, (void)root;
}

static void self_gather(Comm *comm, const void *mine, size_t bytes, void *all) {
    (void)comm;
    if (bytes > 0) memmove(all, mine, bytes);
}

static void self_reduce(Comm *comm, int64_t *values, int count, Reduction reduction) {
    (void)comm, (void)values, (void)count, (void)reduction;
}

/* comm.c refuses messages to oneself, so none can arrive here. */
static void self_exchange(Comm *comm, int sends, const Message *send, int receives, const Message *receive) {
    (void)comm, (void)sends, (void)send, (void)receives, (void)receive;
}

static void self_free(Comm *comm) { free(comm); }

static const CommOps self_ops = {
    .barrier = self_barrier,
    .broadcast = self_broadcast,
    .gather = self_gather,
    .reduce = self_reduce,
    .exchange = self_exchange,
    .free = self_free,
};

Comm *comm_self_new(void) {
    Comm *comm = memory_new(1, sizeof *comm);
    *comm = (Comm){.ops = &self_ops, .rank = 0, .size = 1, .local_rank = 0, .local_size = 1, .host = 0};
    comm->watch = watch_new(0, 1);
    snprintf(comm->library, sizeof comm->library, "none");
    return comm;
}
