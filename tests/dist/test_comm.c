/* The communicator on every rank count: each result is compared with what a single process can compute. */
#include "base/log.h"
#include "base/memory.h"
#include "base/philox.h"
#include "mpi/launch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static Comm *comm_of(void **state) { return *state; }

static void test_identity(void **state) {
    Comm *comm = comm_of(state);
    int rank = comm_rank(comm), size = comm_size(comm);
    Launch launch;
    Status status = launch_detect(&launch);
    assert_false(status_failed(&status));
    assert_int_equal(rank, launch.rank);
    assert_int_equal(size, launch.size);
    assert_int_equal(comm_local_size(comm), launch.local_size);
    assert_int_equal(comm_local_rank(comm), rank); /* one host */
    assert_int_equal(comm_host(comm), 0);
    assert_true(strlen(comm_library(comm)) > 0);
    assert_null(strchr(comm_library(comm), '\n'));
}

static void test_reductions(void **state) {
    Comm *comm = comm_of(state);
    int64_t rank = comm_rank(comm), size = comm_size(comm);
    int64_t sums[3] = {1, rank, rank == 0 ? INT64_MIN : rank == size - 1 ? INT64_MAX : 0};
    comm_sum(comm, sums, 3);
    assert_int_equal(sums[0], size);
    assert_int_equal(sums[1], size * (size - 1) / 2);
    assert_true(sums[2] == (size == 1 ? INT64_MIN : -1)); /* beyond 2^53: integers stay integers */
    int64_t most[2] = {rank, -rank - 5};
    comm_max(comm, most, 2);
    assert_int_equal(most[0], size - 1);
    assert_int_equal(most[1], -5);
    comm_sum(comm, NULL, 0);
}

static void test_gather(void **state) {
    Comm *comm = comm_of(state);
    int rank = comm_rank(comm), size = comm_size(comm);
    struct {
        int rank;
        char tail[7];
    } mine = {rank, "abcdef"}, all[64];
    mine.tail[0] = (char)('A' + rank);
    comm_gather(comm, &mine, sizeof mine, all);
    for (int peer = 0; peer < size; peer++) {
        assert_int_equal(all[peer].rank, peer);
        assert_int_equal(all[peer].tail[0], 'A' + peer);
        assert_string_equal(all[peer].tail + 1, "bcdef");
    }
    comm_gather(comm, NULL, 0, NULL);
}

static void test_broadcast(void **state) {
    Comm *comm = comm_of(state);
    enum { BYTES = 3000001 };
    char *data = memory_new(BYTES, 1);
    for (int root = 0; root < comm_size(comm); root++) {
        memset(data, comm_rank(comm) == root ? root + 1 : 99, BYTES);
        comm_broadcast(comm, data, BYTES, root);
        assert_int_equal(data[0], root + 1);
        assert_int_equal(data[BYTES - 1], root + 1);
        assert_memory_equal(data, data + 1, BYTES - 1);
        comm_broadcast(comm, data, 0, root);
    }
    free(data);
}

/* Every set of failing ranks (up to 5 ranks), or every pair: all ranks must get the lowest one's Status. */
static void test_agree(void **state) {
    Comm *comm = comm_of(state);
    int rank = comm_rank(comm), bits = comm_size(comm) < 5 ? comm_size(comm) : 5;
    for (unsigned failing = 0; failing < 1u << bits; failing++) {
        bool fails = rank < bits && (failing >> rank & 1);
        Status mine =
            fails ? status_error((ExitCode)(RAM_USAGE + rank), "rank %d of set %u", rank, failing) : status_ok();
        Status agreed = comm_agree(comm, mine);
        if (failing == 0) {
            assert_int_equal(agreed.code, RAM_OK);
            continue;
        }
        char expected[64];
        int lowest = __builtin_ctz(failing);
        snprintf(expected, sizeof expected, "rank %d of set %u", lowest, failing);
        assert_int_equal(agreed.code, RAM_USAGE + lowest);
        assert_string_equal(agreed.message, expected);
    }
}

/* Size of message `index` of turn `turn` from `from` to `to`: a third are empty, the longest 3 MB. */
static size_t message_bytes(int turn, int from, int to, int index) {
    DrawKey key = {.seed = 7, .purpose = DRAW_NOISE, .epoch = (uint32_t)turn, .sample = (uint32_t)(from * 64 + to)};
    philox4x32_ctr_t draw = philox_block(key, (uint32_t)index);
    if (draw.v[0] % 3 == 0) return 0;
    return turn == 0 && from == 0 && index == 0 ? 3000000 : draw.v[1] % 20000;
}

static unsigned char message_byte(int from, int to, int index, size_t at) {
    return (unsigned char)(at * 31 + (size_t)(from * 7 + to * 3 + index));
}

enum { PER_PEER = 3 };

/* All messages of a turn between this rank and the others; fills them when `sending`. */
static int make_messages(Comm *comm, int turn, bool sending, Message *messages) {
    int rank = comm_rank(comm), count = 0;
    for (int peer = 0; peer < comm_size(comm); peer++) {
        for (int index = 0; peer != rank && index < PER_PEER; index++, count++) {
            int from = sending ? rank : peer, to = sending ? peer : rank;
            Message *message = &messages[count];
            *message = (Message){.peer = peer, .bytes = message_bytes(turn, from, to, index)};
            unsigned char *data = memory_new(message->bytes + 1, 1);
            data[message->bytes] = 0xA5; /* guard */
            for (size_t at = 0; sending && at < message->bytes; at++) data[at] = message_byte(from, to, index, at);
            message->data = data;
        }
    }
    return count;
}

static void test_exchange(void **state) {
    Comm *comm = comm_of(state);
    Message *send = memory_new((size_t)comm_size(comm) * PER_PEER, sizeof *send);
    Message *receive = memory_new((size_t)comm_size(comm) * PER_PEER, sizeof *receive);
    for (int turn = 0; turn < 6; turn++) {
        int sends = make_messages(comm, turn, true, send), receives = make_messages(comm, turn, false, receive);
        comm_exchange(comm, sends, send, receives, receive);
        for (int i = 0; i < receives; i++) {
            const unsigned char *data = receive[i].data;
            int index = i % PER_PEER;
            for (size_t at = 0; at < receive[i].bytes; at++)
                if (data[at] != message_byte(receive[i].peer, comm_rank(comm), index, at))
                    fail_msg("byte %zu of message %d from rank %d", at, index, receive[i].peer);
            assert_int_equal(data[receive[i].bytes], 0xA5);
        }
        for (int i = 0; i < sends; i++) free(send[i].data);
        for (int i = 0; i < receives; i++) free(receive[i].data);
    }
    comm_exchange(comm, 0, NULL, 0, NULL);
    free(send);
    free(receive);
}

/* Only some ranks talk; the others need not know. */
static void test_exchange_pair(void **state) {
    Comm *comm = comm_of(state);
    int rank = comm_rank(comm);
    if (comm_size(comm) < 2 || rank > 1) return;
    double value = 0.25 + rank;
    Message send = {1, &value, sizeof value}, receive = {0, &value, sizeof value};
    if (rank == 0) comm_exchange(comm, 1, &send, 0, NULL);
    if (rank == 1) comm_exchange(comm, 0, NULL, 1, &receive);
    assert_true(value == 0.25);
}

static void test_threads(void **state) {
    Comm *comm = comm_of(state);
    assert_int_equal(launch_threads(comm, 5), 5);
    int64_t threads = launch_threads(comm, -1), sum = threads;
    assert_true(threads >= 1);
    comm_sum(comm, &sum, 1);
    int64_t cores = sysconf(_SC_NPROCESSORS_ONLN);
    assert_true(sum <= cores || threads == 1);
}

static int run(Comm *comm) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_identity, comm),      cmocka_unit_test_prestate(test_reductions, comm),
        cmocka_unit_test_prestate(test_gather, comm),        cmocka_unit_test_prestate(test_broadcast, comm),
        cmocka_unit_test_prestate(test_agree, comm),         cmocka_unit_test_prestate(test_exchange, comm),
        cmocka_unit_test_prestate(test_exchange_pair, comm), cmocka_unit_test_prestate(test_threads, comm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void) {
    Launch launch;
    Comm *comm;
    Status status = launch_detect(&launch);
    if (status_failed(&status)) fatal("%s", status.message);
    int failures = 0;
    if (launch.size == 1) {
        comm = comm_self_new();
        failures = run(comm);
        comm_free(comm);
    }
    status = launch_comm(&launch, COMM_MPI, 0, &comm);
    log_open(comm_rank(comm), comm_size(comm), false, comm_abort);
    if (status_failed(&status)) fatal("%s", status.message);
    failures += run(comm);
    if (failures > 0) comm_abort(1); /* the others may wait for this rank */
    comm_free(comm);
    return 0;
}
