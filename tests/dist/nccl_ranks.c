/* nccl_ranks own|shared WISH...: ranks that sum over fake GPUs, by the program's own mpi/comm_nccl.c on a fake NCCL;
 * each sees its own GPU, or all see one. A WISH is mpi, possible or nccl for sums in NCCL's order, or possible-tree or
 * nccl-tree for the lanes' tree by exchanges. Prints which way the sums went, checked, and a hash of those of the tree,
 * which is for all numbers of ranks; the first wish that fails is the last. */
#include "nccl_ranks.h"
#include "base/hash.h"
#include "base/layout.h"
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

static void upload(Backend *backend, DevFloats to, const float *from, int64_t count) {
    backend->kernels->upload(backend, to.address, from, (size_t)count * sizeof *from);
}

static void download(Backend *backend, float *to, DevFloats from, int64_t count) {
    backend->kernels->download(backend, to, from.address, (size_t)count * sizeof *to);
}

static void check_sums(CommNccl *nccl, Backend *backend) {
    const int rank = comm_rank(the_comm), ranks = comm_size(the_comm);
    const DevFloats device = backend_zeros(backend, COUNT);
    float floats[COUNT];
    nccl_ranks_give_up_capture(true);
    comm_nccl_sum(nccl, device.address, COUNT, backend->stream, "a sum that comes to nothing");
    nccl_ranks_give_up_capture(false);
    for (int turn = 0; turn < TURNS; turn++) {
        for (int i = 0; i < COUNT; i++) floats[i] = (float)((rank + 1) * (i + turn));
        upload(backend, device, floats, COUNT);
        comm_nccl_sum(nccl, device.address, COUNT, backend->stream, "the test's sum");
        download(backend, floats, device, COUNT);
        for (int i = 0; i < COUNT; i++) require(floats[i] == (float)(ranks * (ranks + 1) / 2 * (i + turn)));
    }
    backend->kernels->release(backend, device.address);
}

/* --- training's sum */

enum { LANES = 8, TAIL = 3 };

/* Of lane v at place i, tails behind. Whole numbers have one sum in any order; the others are of sizes from 1 to 2^20,
 * either sign, so that each order has its own. */
static float value_of(bool whole, int turn, int v, int64_t i) {
    if (whole) return (float)(turn + v + i);
    uint32_t bits = ((uint32_t)i * 31 + (uint32_t)v * 7 + (uint32_t)turn) * 2654435761u;
    bits ^= bits >> 15;
    const float size = (float)(1 << bits % 21) * (1 + (float)(bits >> 9) / (float)(1 << 23));
    return bits & 32 ? size : -size;
}

static void refuse_upload(Backend *backend, void *device, const void *host, size_t bytes) {
    (void)backend, (void)device, (void)host;
    fatal("%zu bytes went from the host to the GPU", bytes);
}

static void refuse_download(Backend *backend, void *host, const void *device, size_t bytes) {
    (void)backend, (void)device, (void)host;
    fatal("%zu bytes went from the GPU to the host", bytes);
}

/* The backend's own, which refuse_vectors stands before. */
static const Kernels *the_usual;

static void refuse_vectors(Backend *backend, void *host, const void *device, size_t bytes) {
    if (bytes > LANES * TAIL * sizeof(double)) refuse_download(backend, host, device, bytes);
    the_usual->download(backend, host, device, bytes);
}

/* Runs `r`. By NCCL nothing goes between host and GPU, but in the tree's order the tails. */
static void run_guarded(Reduction *r, Backend *backend, const CommNccl *nccl, DevDoubles tails) {
    the_usual = backend->kernels;
    Kernels guarded = *the_usual;
    guarded.upload = refuse_upload;
    guarded.download = nccl && comm_nccl_use(nccl) == NCCL_SUMS ? refuse_download : refuse_vectors;
    if (nccl) backend->kernels = &guarded;
    reduction_run(r, tails);
    backend->kernels = the_usual;
}

/* One Reduction used for all turns; total (TURNS, places), total_tail (TURNS, TAIL). */
static void reduce(CommNccl *nccl, Backend *backend, int64_t places, bool whole, float *total, double *total_tail) {
    const LaneNode mine = lane_tree_rank(LANES, comm_rank(the_comm), comm_size(the_comm));
    LaneNode lane[LANES];
    double tails[LANES * TAIL];
    float *vector = memory_new((size_t)places, sizeof *vector);
    for (int v = 0; v < mine.count; v++) lane[v] = (LaneNode){mine.first + v, 1};
    Reduction *r = reduction_new(the_comm, nccl, backend, LANES, places, TAIL, mine.count, lane);
    const size_t bytes = (size_t)mine.count * TAIL * sizeof *tails;
    const DevDoubles device = {backend->kernels->allocate(backend, bytes)};
    for (int turn = 0; turn < TURNS; turn++) {
        for (int v = 0; v < mine.count; v++) {
            for (int64_t i = 0; i < places; i++) vector[i] = value_of(whole, turn, mine.first + v, i);
            upload(backend, reduction_vector(r, v), vector, places);
            for (int t = 0; t < TAIL; t++) tails[v * TAIL + t] = value_of(whole, turn, mine.first + v, places + t);
        }
        backend->kernels->upload(backend, device.address, tails, bytes);
        run_guarded(r, backend, nccl, device);
        reduction_tail(r, device, 0, tails, total_tail + turn * TAIL);
        download(backend, total + turn * places, reduction_total(r), places);
    }
    backend->kernels->release(backend, device.address);
    reduction_free(r);
    free(vector);
}

static void check_fast(CommNccl *nccl, Backend *backend) {
    enum { PLACES = 512 };
    float total[TURNS * PLACES];
    double tail[TURNS * TAIL];
    reduce(nccl, backend, PLACES, true, total, tail);
    for (int turn = 0; turn < TURNS; turn++) {
        const int base = LANES * (LANES - 1) / 2 + LANES * turn;
        for (int i = 0; i < PLACES; i++) require(total[turn * PLACES + i] == (float)(base + LANES * i));
        for (int t = 0; t < TAIL; t++) require(tail[turn * TAIL + t] == base + LANES * (PLACES + t));
    }
}

/* The bits of the messages' way, which test_reduction holds against the tree. With few places some ranks complete no
 * part. */
static void check_tree(CommNccl *nccl, Backend *backend) {
    static const int64_t PLACES[] = {LAYOUT_ALIGN, 3 * LAYOUT_ALIGN, 259 * LAYOUT_ALIGN};
    enum { CASES = sizeof PLACES / sizeof *PLACES, MOST = 259 * LAYOUT_ALIGN };
    static float total[TURNS * MOST], expected[TURNS * MOST];
    double tail[TURNS * TAIL], expected_tail[TURNS * TAIL];
    for (int i = 0; i < CASES; i++) {
        const size_t bytes = TURNS * (size_t)PLACES[i] * sizeof *total;
        char hash[HASH_TEXT];
        reduce(nccl, backend, PLACES[i], false, total, tail);
        reduce(NULL, backend, PLACES[i], false, expected, expected_tail);
        require(memcmp(total, expected, bytes) == 0 && memcmp(tail, expected_tail, sizeof tail) == 0);
        hash_memory(total, bytes, hash);
        log_info("%lld places: %s", (long long)PLACES[i], hash);
    }
}

/* --- */

static LinkWish read_wish(const char *name) {
    return !strcmp(name, "mpi") ? LINK_MPI : !strncmp(name, "possible", 8) ? LINK_NCCL_IF_POSSIBLE : LINK_NCCL;
}

static bool is_fake(const char *mode) {
    const char *wanted = getenv("FAKE_NCCL");
    return wanted && strncmp(wanted, mode, strlen(mode)) == 0;
}

/* Where joining takes long the watch is there, and is to have patience. */
static bool joins_slowly(void) { return is_fake("late") || is_fake("never"); }

/* A short limit where something is to take for ever; else the machine may be busy. */
static double read_limit(void) {
    const char *mode = getenv("FAKE_NCCL");
    if (joins_slowly()) return 3;
    return mode && *mode && !is_fake("uncaptured") ? 2 : 40;
}

static Status try_wish(const Devices *devices, Backend *backend, const char *name) {
    const CommNcclOptions options = {.use = strstr(name, "tree") ? NCCL_EXCHANGES : NCCL_SUMS,
                                     .count = COUNT,
                                     .seconds = read_limit(),
                                     .opening = is_fake("never") ? 6 : 40};
    CommNccl *nccl;
    char how[LINK_TEXT];
    TRY(device_link_open(the_comm, devices, read_wish(name), options, &nccl, how));
    if (nccl && options.use == NCCL_SUMS) {
        check_sums(nccl, backend);
        log_info("sums %s", comm_nccl_records(nccl) ? "can be recorded" : "are not recorded");
        check_fast(nccl, backend);
    }
    if (nccl && options.use == NCCL_EXCHANGES) check_tree(nccl, backend);
    require(!nccl_ranks_is_blamed());
    log_info("%d ranks sum %s", comm_size(the_comm), how);
    comm_nccl_free(nccl);
    return status_ok();
}

int main(int argc, char **argv) {
    Launch launch;
    Backend *backend = NULL;
    require(argc > 2);
    Status status = launch_detect(&launch);
    if (!status_failed(&status)) status = launch_comm(&launch, COMM_AUTO, 0, &the_comm);
    log_open(launch.rank, launch.size, false, comm_abort);
    const int uuid = strcmp(argv[1], "shared") == 0 ? 7 : launch.rank;
    const GpuList seen = {.count = 1, .gpu = {{.name = "Fake", .uuid = {(unsigned char)uuid}}}};
    Devices *devices = devices_new(the_comm, &seen);
    devices_tell(devices);
    /* whose memory is the fake GPU's */
    if (!status_failed(&status))
        status = backend_open(&(BackendOptions){.device = DEVICE_CPU_CHECK, .threads = 1}, &backend);
    if (backend) backend->stream = &the_comm;
    if (!status_failed(&status) && joins_slowly()) status = comm_watch(the_comm, read_limit(), NULL);
    for (int i = 2; i < argc && !status_failed(&status); i++) status = try_wish(devices, backend, argv[i]);
    backend_close(backend);
    devices_free(devices);
    if (status_failed(&status)) log_error(&status);
    comm_free(the_comm);
    return (int)status.code;
}
