/* nccl_ranks own|shared WISH...: ranks that sum over fake GPUs, by the program's own mpi/comm_nccl.c on a fake NCCL;
 * each sees its own GPU, or all see one. A WISH is mpi, possible or nccl. Prints which way the sums went, checked; the
 * first wish that fails is the last. */
#include "nccl_ranks.h"
#include "base/log.h"
#include "base/memory.h"
#include "mpi/device_link.h"
#include "mpi/launch.h"
#include "train/reduction.h"

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

enum { COUNT = 1000, TURNS = 3 };

static void check_sums(CommNccl *nccl, int ranks, int rank) {
    float floats[COUNT];
    for (int turn = 0; turn < TURNS; turn++) {
        for (int i = 0; i < COUNT; i++) floats[i] = (float)((rank + 1) * (i + turn));
        comm_nccl_sum(nccl, floats, COUNT, &the_comm, "the test's sum");
        comm_nccl_wait(nccl, &the_comm, "the test's sum");
        for (int i = 0; i < COUNT; i++) require(floats[i] == (float)(ranks * (ranks + 1) / 2 * (i + turn)));
    }
}

/* Training's sum, of whole numbers, so that any order gives the same: the vector of lane v holds v + i at place i, its
 * tail v + t. */
static void check_reduction(CommNccl *nccl) {
    enum { LANES = 8, PLACES = 512, TAIL = 3 };
    Backend *backend;
    const Status status = backend_open(&(BackendOptions){.device = DEVICE_CPU, .threads = 1}, &backend);
    require(!status_failed(&status));
    backend->stream = &the_comm;
    const LaneNode mine = lane_tree_rank(LANES, comm_rank(the_comm), comm_size(the_comm));
    LaneNode lane[LANES];
    double tails[LANES * TAIL], total_tail[TAIL];
    for (int v = 0; v < mine.count; v++) lane[v] = (LaneNode){mine.first + v, 1};
    Reduction *r = reduction_new(the_comm, nccl, backend, LANES, PLACES, TAIL, mine.count, lane);
    for (int turn = 0; turn < 2; turn++) {
        for (int v = 0; v < mine.count; v++) {
            for (int i = 0; i < PLACES; i++) reduction_vector(r, v).address[i] = (float)(mine.first + v + i);
            for (int t = 0; t < TAIL; t++) tails[v * TAIL + t] = mine.first + v + t;
        }
        reduction_run(r, tails, total_tail);
        for (int i = 0; i < PLACES; i++)
            require(reduction_total(r).address[i] == (float)(LANES * (LANES - 1) / 2 + LANES * i));
        for (int t = 0; t < TAIL; t++) require(total_tail[t] == LANES * (LANES - 1) / 2 + LANES * t);
    }
    reduction_free(r);
    backend_close(backend);
}

static LinkWish read_wish(const char *name) {
    return !strcmp(name, "mpi") ? LINK_MPI : !strcmp(name, "possible") ? LINK_NCCL_IF_POSSIBLE : LINK_NCCL;
}

static Status try_wish(const Devices *devices, LinkWish wish) {
    const int rank = comm_rank(the_comm), ranks = comm_size(the_comm);
    const CommNcclOptions options = {.count = COUNT, .seconds = 1};
    CommNccl *nccl;
    char how[LINK_TEXT];
    TRY(device_link_open(the_comm, devices, wish, options, &nccl, how));
    if (nccl) {
        check_sums(nccl, ranks, rank);
        check_reduction(nccl);
    }
    log_info("%d ranks sum %s", ranks, how);
    comm_nccl_free(nccl);
    return status_ok();
}

int main(int argc, char **argv) {
    Launch launch;
    require(argc > 2);
    Status status = launch_detect(&launch);
    if (!status_failed(&status)) status = launch_comm(&launch, COMM_AUTO, 0, &the_comm);
    log_open(launch.rank, launch.size, false, comm_abort);
    const int uuid = strcmp(argv[1], "shared") == 0 ? 7 : launch.rank;
    const GpuList seen = {.count = 1, .gpu = {{.name = "Fake", .uuid = {(unsigned char)uuid}}}};
    Devices *devices = devices_new(the_comm, &seen);
    devices_tell(devices);
    for (int i = 2; i < argc && !status_failed(&status); i++) status = try_wish(devices, read_wish(argv[i]));
    devices_free(devices);
    if (status_failed(&status)) log_error(&status);
    comm_free(the_comm);
    return (int)status.code;
}
