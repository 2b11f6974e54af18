#include "mpi/comm.h"
#include "base/log.h"
#include "mpi/comm_ops.h"

void comm_free(Comm *comm) {
    if (!comm) return;
    Watch *watch = comm->watch;
    watch_enter(watch, IN_FINALIZE);
    comm->ops->free(comm);
    watch_free(watch);
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

Status comm_watch(Comm *comm, double seconds, const char *folder) {
    Status status = status_ok();
    if (folder && comm->rank == 0) watch_clear(folder);
    if (comm->size == 1) return status;
    comm_barrier(comm);
    watch_close(comm->watch);
    if (folder) status = watch_open(comm->watch, folder, comm->local_size < comm->size);
    watch_start(comm->watch, seconds);
    return comm_agree(comm, status);
}

void comm_watch_grace(Comm *comm, double seconds) { watch_grace(comm->watch, seconds); }

void comm_barrier(Comm *comm) {
    watch_enter(comm->watch, IN_BARRIER);
    comm->ops->barrier(comm);
    watch_leave(comm->watch);
}

void comm_broadcast(Comm *comm, void *data, size_t bytes, int root) {
    require(root >= 0 && root < comm->size);
    watch_enter(comm->watch, IN_BROADCAST);
    comm->ops->broadcast(comm, data, bytes, root);
    watch_leave(comm->watch);
}

void comm_gather(Comm *comm, const void *mine, size_t bytes, void *all) {
    watch_enter(comm->watch, IN_GATHER);
    comm->ops->gather(comm, mine, bytes, all);
    watch_leave(comm->watch);
}

static void reduce(Comm *comm, int64_t *values, int count, Reduction reduction) {
    require(count >= 0);
    watch_enter(comm->watch, IN_REDUCTION);
    comm->ops->reduce(comm, values, count, reduction);
    watch_leave(comm->watch);
}

void comm_sum(Comm *comm, int64_t *values, int count) { reduce(comm, values, count, REDUCE_SUM); }
void comm_max(Comm *comm, int64_t *values, int count) { reduce(comm, values, count, REDUCE_MAX); }

static void check_peers(const Comm *comm, int count, const Message *messages) {
    require(count >= 0);
    for (int i = 0; i < count; i++)
        if (messages[i].peer < 0 || messages[i].peer >= comm->size || messages[i].peer == comm->rank)
            fatal("a message between rank %d and rank %d of %d", comm->rank, messages[i].peer, comm->size);
}

void comm_exchange(Comm *comm, int sends, const Message *send, int receives, const Message *receive) {
    check_peers(comm, sends, send);
    check_peers(comm, receives, receive);
    watch_enter(comm->watch, IN_EXCHANGE); /* also without messages, so that all ranks count alike */
    if (sends + receives > 0) comm->ops->exchange(comm, sends, send, receives, receive);
    watch_leave(comm->watch);
}
