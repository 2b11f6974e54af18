/* Comm check: whether messages between the ranks arrive as they were sent, and how long an all-reduce takes. Must not
 * know who asks. Collective. */
#ifndef RAM_MPI_COMM_CHECK_H
#define RAM_MPI_COMM_CHECK_H

#include "mpi/comm.h"

/* Every operation of mpi/comm.h but the memory that ranks share once, with values that the ranks know beforehand;
 * *seconds is the median time of an all-reduce of 1 MB. RAM_UNAVAILABLE, the same on all ranks, for the first operation
 * with a wrong result. @collective */
Status comm_check(Comm *comm, double *seconds);

#endif
