/* comm_cost: prints what exchanges cost on these ranks (a benchmark, not a test): mpirun -np 4 comm_cost */
#define _GNU_SOURCE
#include "base/log.h"
#include "base/memory.h"
#include "mpi/launch.h"

#include <stdlib.h>
#include <time.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum { TURNS = 301 };
static const size_t LARGE = (size_t)1 << 20;

typedef void Exchange(Comm *comm, char *data);

static void small_sum(Comm *comm, char *data) { comm_sum(comm, (int64_t *)data, 1); }

static void agree(Comm *comm, char *data) {
    (void)data;
    comm_agree(comm, status_ok());
}

static void large_broadcast(Comm *comm, char *data) { comm_broadcast(comm, data, LARGE, 0); }

/* To the right neighbour and from the left one. */
static void large_ring(Comm *comm, char *data) {
    int rank = comm_rank(comm), size = comm_size(comm);
    Message send = {(rank + 1) % size, data, LARGE}, receive = {(rank + size - 1) % size, data + LARGE, LARGE};
    comm_exchange(comm, 1, &send, 1, &receive);
}

static void measure(Comm *comm, const char *name, Exchange *exchange, char *data) {
    double seconds[TURNS];
    for (int turn = 0; turn < TURNS; turn++) {
        comm_barrier(comm);
        double start = now();
        exchange(comm, data);
        seconds[turn] = now() - start;
    }
    qsort(seconds, TURNS, sizeof *seconds, by_value);
    log_info("%-24s median %8.1f us   90%% below %8.1f us", name, 1e6 * seconds[TURNS / 2],
             1e6 * seconds[TURNS * 9 / 10]);
}

int main(void) {
    double start = now();
    Comm *comm = comm_mpi_new(0, 0);
    double started = now() - start;
    log_open(comm_rank(comm), comm_size(comm), false, comm_abort);
    char *data = memory_new(2, LARGE);
    log_info("%d ranks, %s, MPI_Init %.0f ms", comm_size(comm), comm_library(comm), 1e3 * started);
    measure(comm, "sum of 8 bytes", small_sum, data);
    measure(comm, "agree", agree, data);
    if (comm_size(comm) > 1) measure(comm, "1 MB to the next rank", large_ring, data);
    measure(comm, "1 MB broadcast", large_broadcast, data);
    free(data);
    comm_free(comm);
    return 0;
}
