/* Which GPU each rank takes, and whether NCCL may join them: pure functions of what the ranks see. */
#include "mpi/device_link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { RANKS_MOST = 64 };

/* Views by words, one a rank: "a:01" is host a, which shows GPUs 0 and 1, in that order; "b:" shows none. */
static int make_views(const char *words, DeviceView *view) {
    int ranks = 0;
    memset(view, 0, RANKS_MOST * sizeof *view);
    for (const char *word = words; *word; word += strspn(word, " ")) {
        DeviceView *mine = &view[ranks++];
        mine->host = *word;
        mine->name[0] = *word;
        for (word += 2; *word && *word != ' '; word++) {
            Gpu *gpu = &mine->seen.gpu[mine->seen.count++];
            snprintf(gpu->name, sizeof gpu->name, "GPU %c", *word);
            gpu->uuid[0] = (unsigned char)mine->host;
            gpu->uuid[15] = (unsigned char)*word;
        }
    }
    return ranks;
}

/* `taken`: the GPU of each rank as in `words`, '-' for none. */
static void assert_taken(const char *words, const char *taken) {
    DeviceView view[RANKS_MOST];
    int gpu[RANKS_MOST];
    char found[RANKS_MOST + 1] = "";
    const int ranks = make_views(words, view);
    devices_choose(ranks, view, gpu);
    for (int rank = 0; rank < ranks; rank++)
        found[rank] = gpu[rank] == DEVICE_NONE ? '-' : (char)view[rank].seen.gpu[gpu[rank]].uuid[15];
    assert_string_equal(found, taken);
}

static void test_choose(void **state) {
    (void)state;
    assert_taken("a:0", "0");
    assert_taken("a:", "-"); /* no GPU, or CUDA_VISIBLE_DEVICES is empty */
    assert_taken("a:0123", "0");
    assert_taken("a:0123 a:0123 a:0123 a:0123", "0123"); /* CUDA_VISIBLE_DEVICES is unset: one each */
    assert_taken("a:0 a:1 a:2 a:3", "0123");             /* the launcher has chosen */
    assert_taken("a:3 a:1 a:2 a:0", "3120");
    assert_taken("a:2301 a:2301", "23"); /* CUDA_VISIBLE_DEVICES=2,3,0,1, or UUIDs in that order */
    assert_taken("a:0 a:0 a:0", "000");  /* more ranks than GPUs */
    assert_taken("a:01 a:01 a:01 a:01 a:01", "01010");
    assert_taken("a:01 a:01 b:01 b:01", "0101");   /* each host for itself */
    assert_taken("a:01 b:01 a:01 b:01", "0011");   /* ranks dealt in turn */
    assert_taken("a:01 a:0", "10");                /* who has no choice comes first */
    assert_taken("a:012 a:01 a:0 a:0123", "2103"); /* of overlapping masks too */
    assert_taken("a:01 a:10 a:23 a:32", "0123");   /* masks of two, in any order */
    assert_taken("a:01 a: a:01", "0-1");           /* a rank that sees none takes none */
    assert_taken("a:0 a:0123 a:0123 a:0123", "0123");
}

/* As devices_new makes them. */
static Devices make_devices(const char *words, DeviceView *view, int *gpu) {
    Devices devices = {.ranks = make_views(words, view), .view = view, .gpu = gpu};
    devices_choose(devices.ranks, view, gpu);
    return devices;
}

static void assert_shared(const char *words, int gpus, int ranks, int without) {
    DeviceView view[RANKS_MOST];
    int gpu[RANKS_MOST], sharing;
    const Devices devices = make_devices(words, view, gpu);
    assert_int_equal(devices_shared(&devices, &sharing), gpus);
    assert_int_equal(sharing, ranks);
    assert_int_equal(devices_without(&devices), without);
}

static void test_shared(void **state) {
    (void)state;
    assert_shared("a:0", 0, 0, DEVICE_NONE);
    assert_shared("a:01 a:01", 0, 0, DEVICE_NONE);
    assert_shared("a:0 a:0 a:0", 1, 3, DEVICE_NONE);
    assert_shared("a:01 a:01 a:01", 1, 2, DEVICE_NONE);
    assert_shared("a:01 a:01 a:01 a:01", 2, 4, DEVICE_NONE);
    assert_shared("a:0 b:0", 0, 0, DEVICE_NONE);
    assert_shared("a:0 a:0 b:0 b:0", 2, 4, DEVICE_NONE);
    assert_shared("a:0 b: a:0", 1, 2, 1);
    assert_shared("a: a:", 0, 0, 0);
}

static void test_uuid(void **state) {
    (void)state;
    const Gpu gpu = {.uuid = {0x5f, 0x1e, 0xd2, 0xa4, 0x0b, 0x1c, 0, 1, 2, 3, 0xff, 0xfe, 0xfd, 9, 8, 7}};
    char text[DEVICE_UUID_TEXT];
    devices_uuid_text(&gpu, text);
    assert_string_equal(text, "GPU-5f1ed2a4-0b1c-0001-0203-fffefd090807");
}

/* wanted: a LinkWish, or -1 where it is refused */
static void assert_wish(CommChoice backend, ReductionChoice reduction, DeviceChoice device, int ranks, int wanted) {
    LinkWish wish;
    const Status status = device_link_wish(backend, reduction, device, ranks, &wish);
    const int refusal = backend == COMM_NCCL ? RAM_UNAVAILABLE : RAM_USAGE;
    assert_int_equal(status.code, wanted < 0 ? refusal : RAM_OK);
    if (wanted >= 0) assert_int_equal(wish, wanted);
    if (wanted < 0) assert_non_null(strstr(status.message, backend == COMM_NCCL ? "comm.backend" : "train.reduction"));
}

static void test_wish(void **state) {
    (void)state;
    for (int ranks = 1; ranks < 3; ranks++) {
        const int possible = ranks > 1 ? LINK_NCCL_IF_POSSIBLE : LINK_MPI;
        assert_wish(COMM_AUTO, REDUCTION_AUTO, DEVICE_CUDA, ranks, possible);
        assert_wish(COMM_AUTO, REDUCTION_TREE, DEVICE_CUDA, ranks, possible);
        assert_wish(COMM_MPI, REDUCTION_AUTO, DEVICE_CUDA, ranks, LINK_MPI);
        assert_wish(COMM_MPI, REDUCTION_TREE, DEVICE_CUDA, ranks, LINK_MPI);
        assert_wish(COMM_AUTO, REDUCTION_FAST, DEVICE_CUDA, ranks, possible);
        assert_wish(COMM_MPI, REDUCTION_FAST, DEVICE_CUDA, ranks, LINK_MPI);
        assert_wish(COMM_NCCL, REDUCTION_AUTO, DEVICE_CUDA, ranks, LINK_NCCL);
        assert_wish(COMM_NCCL, REDUCTION_FAST, DEVICE_CUDA, ranks, LINK_NCCL);
        assert_wish(COMM_NCCL, REDUCTION_TREE, DEVICE_CUDA, ranks, LINK_NCCL);
        assert_wish(COMM_AUTO, REDUCTION_AUTO, DEVICE_CPU, ranks, LINK_MPI);
        assert_wish(COMM_AUTO, REDUCTION_TREE, DEVICE_CPU, ranks, LINK_MPI);
        assert_wish(COMM_NCCL, REDUCTION_AUTO, DEVICE_CPU, ranks, -1);
        assert_wish(COMM_NCCL, REDUCTION_TREE, DEVICE_CPU, ranks, -1);
        assert_wish(COMM_AUTO, REDUCTION_FAST, DEVICE_CPU, ranks, -1);
        assert_wish(COMM_MPI, REDUCTION_FAST, DEVICE_CPU, ranks, -1);
    }
    assert_wish(COMM_SELF, REDUCTION_AUTO, DEVICE_CUDA, 1, LINK_MPI);
}

/* part: what the reason must say; NULL: NCCL may. */
static void assert_possible(const char *words, const int *version, const char *part) {
    DeviceView view[RANKS_MOST];
    int gpu[RANKS_MOST];
    const Devices devices = make_devices(words, view, gpu);
    const Status status = device_link_possible(&devices, version);
    assert_int_equal(status.code, part ? RAM_UNAVAILABLE : RAM_OK);
    if (part && !strstr(status.message, part)) fail_msg("'%s' lacks '%s'", status.message, part);
}

static void test_possible(void **state) {
    (void)state;
    const int same[] = {22809, 22809, 22809, 22809}, other[] = {22809, 22809, 21903, 22809};
    assert_possible("a:0", same, NULL);
    assert_possible("a:01 a:01", same, NULL);
    assert_possible("a:0 b:0 c:0 d:0", same, NULL);
    assert_possible("a:0 a:0", same, "ranks 0 and 1 share GPU-61000000-0000-0000-0000-000000000030 on a");
    assert_possible("a:01 b:01 b:01 b:01", same, "ranks 1 and 3 share");
    assert_possible("a:0 a:1 b:0 b:1", other, "rank 2 on b has 21903");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choose), cmocka_unit_test(test_shared),   cmocka_unit_test(test_uuid),
        cmocka_unit_test(test_wish),   cmocka_unit_test(test_possible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
