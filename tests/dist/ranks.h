/* Ranks: how a test of several ranks begins and ends. Collective. */
#ifndef RAM_TESTS_DIST_RANKS_H
#define RAM_TESTS_DIST_RANKS_H

#include "base/log.h"
#include "mpi/launch.h"

/* The communicator of all ranks, which may not be had: then the test ends. */
static inline Comm *ranks_join(void) {
    Launch launch;
    Comm *comm;
    Status status = launch_detect(&launch);
    if (status_failed(&status)) fatal("%s", status.message);
    status = launch_comm(&launch, COMM_AUTO, 0, &comm);
    log_open(comm_rank(comm), comm_size(comm), false, comm_abort);
    if (status_failed(&status)) fatal("%s", status.message);
    return comm;
}

/* After `failures` of cmocka's tests: main's result. */
static inline int ranks_leave(Comm *comm, int failures) {
    if (failures > 0) comm_abort(1); /* the others may wait for this rank */
    comm_free(comm);
    return 0;
}

#endif
