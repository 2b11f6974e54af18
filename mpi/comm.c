#include "mpi/comm.h"
#include "base/log.h"
#include "mpi/comm_ops.h"

void comm_free(Comm *comm) {
    if (comm) comm->ops->free(comm);
}

int comm_rank(const Comm *comm) { return comm->rank; }
int comm_size(const Comm *comm) { return comm->size; }
int comm_local_rank(const Comm *comm) { return comm->local_rank; }
int comm_local_size(const Comm *comm) { return comm->local_size; }
int comm_host(const Comm *comm) { return comm->host; }
const char *comm_library(const Comm *comm) { return comm->library; }

Status comm_agree(Comm *comm, Status mine) {
    /* The success path, taken at every step, costs one small reduction; the text travels only when someone failed. */
    int64_t negative = -(int64_t)(status_failed(&mine) ? comm->rank : comm->size);
    comm_max(comm, &negative, 1);
    int lowest = (int)-negative;
    if (lowest < comm->size) comm_broadcast(comm, &mine, sizeof mine, lowest);
    return mine;
}

void comm_barrier(Comm *comm) { comm->ops->barrier(comm); }

void comm_broadcast(Comm *comm, void *data, size_t bytes, int root) {
    require(root >= 0 && root < comm->size);
    comm->ops->broadcast(comm, data, bytes, root);
}

void comm_gather(Comm *comm, const void *mine, size_t bytes, void *all) { comm->ops->gather(comm, mine, bytes, all); }

void comm_sum(Comm *comm, int64_t *values, int count) {
    require(count >= 0);
    comm->ops->reduce(comm, values, count, REDUCE_SUM);
}

void comm_max(Comm *comm, int64_t *values, int count) {
    require(count >= 0);
    comm->ops->reduce(comm, values, count, REDUCE_MAX);
}

static void check_peers(const Comm *comm, int count, const Message *messages) {
    require(count >= 0);
    for (int i = 0; i < count; i++)
        if (messages[i].peer < 0 || messages[i].peer >= comm->size || messages[i].peer == comm->rank)
            fatal("a message between rank %d and rank %d of %d", comm->rank, messages[i].peer, comm->size);
}

void comm_exchange(Comm *comm, int sends, const Message *send, int receives, const Message *receive) {
    check_peers(comm, sends, send);
    check_peers(comm, receives, receive);
    if (sends + receives > 0) comm->ops->exchange(comm, sends, send, receives, receive);
}
