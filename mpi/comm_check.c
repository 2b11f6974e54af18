#include "mpi/comm_check.h"
#include "base/clock.h"
#include "base/memory.h"

#include <stdlib.h>

enum { VALUES = 131072 /* 1 MB */, REPEATS = 15 };

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Value `i` of rank `rank`. */
static int64_t value(int rank, int i) { return (int64_t)(rank + 1) * 1000003 + i; }

static void fill(int64_t *values, int rank) {
    for (int i = 0; i < VALUES; i++) values[i] = value(rank, i);
}

static bool is_sum(const int64_t *values, int size) {
    bool right = true;
    for (int i = 0; i < VALUES && right; i++) {
        int64_t sum = 0;
        for (int rank = 0; rank < size; rank++) sum += value(rank, i);
        right = values[i] == sum;
    }
    return right;
}

static bool is_rank(const int64_t *values, int rank) {
    for (int i = 0; i < VALUES; i++)
        if (values[i] != value(rank, i)) return false;
    return true;
}

static bool check_gather(Comm *comm) {
    const int size = comm_size(comm);
    const int64_t mine = value(comm_rank(comm), 7);
    int64_t *all = memory_new((size_t)size, sizeof *all);
    comm_gather(comm, &mine, sizeof mine, all);
    bool right = true;
    for (int rank = 0; rank < size; rank++) right = right && all[rank] == value(rank, 7);
    free(all);
    return right;
}

/* To the next rank, from the one before. */
static bool check_exchange(Comm *comm, int64_t *values) {
    const int size = comm_size(comm), rank = comm_rank(comm), before = (rank + size - 1) % size;
    if (size == 1) return true;
    int64_t *received = memory_new(VALUES, sizeof *received);
    fill(values, rank);
    const Message send = {(rank + 1) % size, values, VALUES * sizeof *values};
    const Message receive = {before, received, VALUES * sizeof *received};
    comm_exchange(comm, 1, &send, 1, &receive);
    const bool right = is_rank(received, before);
    free(received);
    return right;
}

static Status judge(Comm *comm, bool right, const char *operation) {
    return comm_agree(comm, right ? status_ok()
                                  : status_error(RAM_UNAVAILABLE,
                                                 "rank %d got a wrong result from %s over %s: try another transport "
                                                 "(OMPI_MCA_btl=self,tcp), and tell the site's operators",
                                                 comm_rank(comm), operation, comm_library(comm)));
}

static Status check_all(Comm *comm, int64_t *values) {
    const int size = comm_size(comm), rank = comm_rank(comm);
    comm_barrier(comm);
    fill(values, rank);
    comm_sum(comm, values, VALUES);
    TRY(judge(comm, is_sum(values, size), "a sum"));
    fill(values, rank);
    comm_max(comm, values, VALUES);
    TRY(judge(comm, is_rank(values, size - 1), "a maximum"));
    fill(values, rank);
    comm_broadcast(comm, values, VALUES * sizeof *values, size - 1);
    TRY(judge(comm, is_rank(values, size - 1), "a broadcast"));
    TRY(judge(comm, check_gather(comm), "a gather"));
    return judge(comm, check_exchange(comm, values), "an exchange");
}

Status comm_check(Comm *comm, double *seconds) {
    double times[REPEATS];
    int64_t *values = memory_new(VALUES, sizeof *values);
    *seconds = 0;
    Status status = check_all(comm, values);
    for (int i = 0; i < REPEATS && !status_failed(&status); i++) {
        fill(values, 0);
        comm_barrier(comm);
        const double begin = clock_now();
        comm_sum(comm, values, VALUES);
        times[i] = clock_now() - begin;
    }
    free(values);
    if (status_failed(&status)) return status;
    qsort(times, REPEATS, sizeof *times, compare);
    *seconds = times[REPEATS / 2];
    return status;
}
