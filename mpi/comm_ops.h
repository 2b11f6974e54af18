/* What a communicator must be able to do: the table that comm_self.c and comm_mpi.c fill, and the head of their
 * structs. Included by mpi/comm*.c alone; must not know MPI. Every operation is collective (exchange: among the peers);
 * comm.c has checked the arguments. */
#ifndef RAM_MPI_COMM_OPS_H
#define RAM_MPI_COMM_OPS_H

#include "mpi/comm.h"
#include "mpi/watch.h"

typedef enum { REDUCE_SUM, REDUCE_MAX } Reduction;

typedef struct {
    void (*barrier)(Comm *comm);
    void (*broadcast)(Comm *comm, void *data, size_t bytes, int root);
    void (*gather)(Comm *comm, const void *mine, size_t bytes, void *all);
    void (*reduce)(Comm *comm, int64_t *values, int count, Reduction reduction);
    void (*exchange)(Comm *comm, int sends, const Message *send, int receives, const Message *receive);
    void (*free)(Comm *comm);
} CommOps;

/* An implementation's own struct begins with this one. */
struct Comm {
    const CommOps *ops;
    Watch *watch; /* told of everything that waits for other ranks */
    int rank, size;
    int local_rank, local_size;
    int host;
    char library[64];
};

#endif
