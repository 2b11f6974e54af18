#include "mpi/device_link.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

Status device_link_wish(CommChoice backend, ReductionChoice reduction, DeviceChoice device, int ranks, LinkWish *wish) {
    const bool on_cpu = device != DEVICE_CUDA;
    *wish = LINK_MPI;
    if (on_cpu && backend == COMM_NCCL)
        return status_error(RAM_UNAVAILABLE,
                            "comm.backend nccl needs a GPU for each rank, but this run computes on the CPU: leave it "
                            "out, or see with --device cuda what is missing");
    if (on_cpu && reduction == REDUCTION_FAST)
        return status_error(RAM_USAGE, "train.reduction is fast, which is for GPUs alone, but this run computes on the "
                                       "CPU: set train.reduction to auto or tree, or see with --device cuda what is "
                                       "missing");
    if (!on_cpu && backend == COMM_NCCL) *wish = LINK_NCCL;
    if (!on_cpu && backend == COMM_AUTO && ranks > 1) *wish = LINK_NCCL_IF_POSSIBLE;
    return status_ok();
}

/* Two ranks with one GPU, as their error. */
static Status refuse_shared(const Devices *devices) {
    for (int rank = 1; rank < devices->ranks; rank++) {
        for (int other = 0; other < rank; other++) {
            const Gpu *a = devices_gpu(devices, other), *b = devices_gpu(devices, rank);
            char uuid[DEVICE_UUID_TEXT];
            if (!devices_same(a, b)) continue;
            devices_uuid_text(b, uuid);
            return status_error(RAM_UNAVAILABLE,
                                "ranks %d and %d share %s on %s, and NCCL wants one rank per GPU: start as many ranks "
                                "as there are GPUs, or take --comm mpi",
                                other, rank, uuid, devices->view[rank].name);
        }
    }
    return status_ok();
}

Status device_link_possible(const Devices *devices, const int *version) {
    for (int rank = 1; rank < devices->ranks; rank++)
        if (version[rank] != version[0])
            return status_error(RAM_UNAVAILABLE,
                                "rank 0 has NCCL %d, rank %d on %s has %d: give all hosts one version, or take --comm "
                                "mpi",
                                version[0], rank, devices->view[rank].name, version[rank]);
    return refuse_shared(devices);
}

/* What can be known before NCCL is asked. @collective */
static Status look(Comm *comm, const Devices *devices) {
    int mine = 0, *version = memory_new((size_t)comm_size(comm), sizeof *version);
    Status status = comm_agree(comm, comm_nccl_find(&mine));
    comm_gather(comm, &mine, sizeof mine, version);
    if (!status_failed(&status)) status = device_link_possible(devices, version);
    free(version);
    return status;
}

Status device_link_open(Comm *comm, const Devices *devices, LinkWish wish, CommNcclOptions options, CommNccl **nccl,
                        char how[LINK_TEXT]) {
    *nccl = NULL;
    snprintf(how, LINK_TEXT, "by %s", comm_library(comm));
    if (wish == LINK_MPI) return status_ok();
    options.gpu = devices->gpu[comm_rank(comm)];
    Status status = look(comm, devices);
    if (!status_failed(&status)) status = comm_nccl_open(comm, &options, nccl);
    if (*nccl && options.use == NCCL_SUMS)
        snprintf(how, LINK_TEXT, "by NCCL, in an order of its own (train.reduction fast)");
    else if (*nccl)
        snprintf(how, LINK_TEXT,
                 "in the order of the lanes' tree (train.reduction tree), sent from GPU to GPU by NCCL");
    if (*nccl || wish == LINK_NCCL) return status;
    snprintf(how, LINK_TEXT, "through the host by %s: %s", comm_library(comm), status.message);
    return status_ok();
}
