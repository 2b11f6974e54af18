/* Memory shared by the ranks of one host, by MPI's shared windows. */
#include "base/log.h"
#include "base/memory.h"
#include "mpi/comm_ops.h"

#include <mpi.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CACHE_LINE = 64 };

struct Shared {
    Comm *comm;
    MPI_Win window;
    void **memory; /* (ranks) */
};

/* MPI aligns to 8 bytes or so. Every process maps whole pages, so all of them round the same place up. */
static void *align(void *memory) { return (char *)memory + (CACHE_LINE - (uintptr_t)memory % CACHE_LINE) % CACHE_LINE; }

/* Whether every rank can map the memory of all. Open MPI's ranks wait for one that cannot. */
static bool can_map(Comm *comm, size_t bytes) {
    int64_t most = (int64_t)bytes;
    comm_max(comm, &most, 1);
    const Status room = memory_room((size_t)most * (size_t)comm_size(comm), "shared memory");
    int64_t lacks = status_failed(&room);
    comm_max(comm, &lacks, 1);
    return !lacks;
}

Shared *comm_shared_new(Comm *comm, size_t bytes) {
    const int ranks = comm_size(comm);
    if (ranks == 1 || comm_local_size(comm) < ranks || !can_map(comm, bytes)) return NULL;
    Shared *shared = memory_new(1, sizeof *shared);
    void *mine = NULL;
    shared->comm = comm;
    shared->memory = memory_new((size_t)ranks, sizeof *shared->memory);
    watch_enter(comm->watch, IN_SHARED);
    const int error = MPI_Win_allocate_shared((MPI_Aint)(bytes + CACHE_LINE), 1, MPI_INFO_NULL, MPI_COMM_WORLD, &mine,
                                              &shared->window);
    watch_leave(comm->watch);
    int64_t failed = error != MPI_SUCCESS;
    comm_max(comm, &failed, 1);
    if (failed) { /* no room for it, e.g. in a container with a small /dev/shm: messages do the same. A window that some
                   * have and others lack is left as it is, since to free it takes all. */
        free(shared->memory);
        free(shared);
        return NULL;
    }
    for (int rank = 0; rank < ranks; rank++) {
        MPI_Aint size = 0;
        int unit = 0;
        if (MPI_Win_shared_query(shared->window, rank, &size, &unit, &shared->memory[rank]) != MPI_SUCCESS)
            fatal("MPI_Win_shared_query failed for the memory of rank %d", rank);
        shared->memory[rank] = align(shared->memory[rank]);
    }
    memset(shared->memory[comm_rank(comm)], 0, bytes); /* taken now: mapped alone it still counts as free */
    return shared;
}

void *comm_shared_of(const Shared *shared, int rank) { return shared->memory[rank]; }

void comm_shared_sync(Shared *shared) {
    atomic_thread_fence(memory_order_seq_cst);
    comm_barrier(shared->comm);
    atomic_thread_fence(memory_order_seq_cst);
}

void comm_shared_free(Shared *shared) {
    if (!shared) return;
    watch_enter(shared->comm->watch, IN_SHARED);
    MPI_Win_free(&shared->window);
    watch_leave(shared->comm->watch);
    free(shared->memory);
    free(shared);
}
