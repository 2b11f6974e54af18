/* nccl_ranks WISH [shared]: ranks that sum over fake GPUs, by the program's own mpi/comm_nccl.c on a fake NCCL. WISH is
 * mpi, possible or nccl; `shared`: all ranks see one GPU. Prints which way the sums went, checked. */
#include "nccl_ranks.h"
#include "base/log.h"
#include "base/memory.h"
#include "mpi/device_link.h"
#include "mpi/launch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of this process, for the fake library, which knows no other way to the ranks. */
static Comm *the_comm;

void nccl_ranks_sum(float *floats, size_t count) {
    const int ranks = comm_size(the_comm);
    float *all = memory_new((size_t)ranks * count, sizeof *all);
    comm_gather(the_comm, floats, count * sizeof *floats, all);
    for (size_t i = 0; i < count; i++) {
        floats[i] = 0;
        for (int rank = 0; rank < ranks; rank++) floats[i] += all[(size_t)rank * count + i];
    }
    free(all);
}

enum { COUNT = 1000, SUMS = 3 };

static void check_sums(CommNccl *nccl, int ranks, int rank) {
    float floats[COUNT];
    for (int turn = 0; turn < SUMS; turn++) {
        for (int i = 0; i < COUNT; i++) floats[i] = (float)((rank + 1) * (i + turn));
        comm_nccl_sum(nccl, floats, COUNT, &the_comm, "the test's sum");
        comm_nccl_wait(nccl, &the_comm, "the test's sum");
        for (int i = 0; i < COUNT; i++) require(floats[i] == (float)(ranks * (ranks + 1) / 2 * (i + turn)));
    }
}

int main(int argc, char **argv) {
    Launch launch;
    require(argc > 1);
    const LinkWish wish = !strcmp(argv[1], "mpi")        ? LINK_MPI
                          : !strcmp(argv[1], "possible") ? LINK_NCCL_IF_POSSIBLE
                                                         : LINK_NCCL;
    Status status = launch_detect(&launch);
    if (!status_failed(&status)) status = launch_comm(&launch, COMM_AUTO, &the_comm);
    const int rank = comm_rank(the_comm), ranks = comm_size(the_comm);
    log_open(rank, ranks, false, comm_abort);
    GpuList seen = {.count = 1, .gpu = {{.name = "Fake", .uuid = {(unsigned char)(argc > 2 ? 7 : rank)}}}};
    Devices *devices = devices_new(the_comm, &seen);
    devices_tell(devices);
    CommNccl *nccl = NULL;
    if (!status_failed(&status))
        status = device_link_open(the_comm, devices, wish, (CommNcclOptions){.count = COUNT, .seconds = 1}, &nccl);
    if (nccl) check_sums(nccl, ranks, rank);
    if (!status_failed(&status)) log_info("%d ranks sum by %s", ranks, nccl ? "nccl" : "mpi");
    comm_nccl_free(nccl);
    devices_free(devices);
    if (status_failed(&status)) log_error(&status);
    comm_free(the_comm);
    return (int)status.code;
}
