/* DeviceLink: how sums over the GPUs of the ranks travel: by NCCL where that is wanted and all can, else through the
 * host by MPI. Owns the decision and its reasons. Must not know NCCL's calls, nor what is summed. */
#ifndef RAM_MPI_DEVICE_LINK_H
#define RAM_MPI_DEVICE_LINK_H

#include "base/terms.h"
#include "mpi/comm_nccl.h"
#include "mpi/devices.h"

typedef enum { LINK_MPI, LINK_NCCL_IF_POSSIBLE, LINK_NCCL } LinkWish;

/* Whether comm.backend asks for NCCL, in whatever order it is then to sum, of `ranks` ranks that compute on `device`
 * (DEVICE_CPU or DEVICE_CUDA). RAM_UNAVAILABLE: NCCL is demanded, but this is the CPU. RAM_USAGE: so is
 * train.reduction's fast. */
Status device_link_wish(CommChoice backend, ReductionChoice reduction, DeviceChoice device, int ranks, LinkWish *wish);

/* Whether NCCL can join such ranks, each with a GPU; version (ranks): NCCL's of each rank. RAM_UNAVAILABLE: why not. */
Status device_link_possible(const Devices *devices, const int *version);

enum { LINK_TEXT = 600 };

/* Does as wished, for what options->use says; *nccl is NULL where sums go by MPI, in tree order. how: which way they go
 * and, where NCCL would have been better, why not by it. RAM_UNAVAILABLE, the same on all ranks: LINK_NCCL cannot be.
 * options->gpu is set here. @collective */
Status device_link_open(Comm *comm, const Devices *devices, LinkWish wish, CommNcclOptions options, CommNccl **nccl,
                        char how[LINK_TEXT]);

#endif
