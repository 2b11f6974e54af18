/* The reduction on every rank count against a sum in tree order written down anew: any number of lanes and elements. */
#include "base/layout.h"
#include "base/memory.h"
#include "train/reduction.h"

#include "ranks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TAIL = 7 };

typedef struct {
    int lanes, round;
    int64_t count;
} Case;

/* Values whose sum depends on its order: magnitudes from 2^-12 to 2^12, either sign. */
static double any_value(const Case *c, int lane, int64_t element) {
    uint64_t bits = (uint64_t)element * 0x9e3779b97f4a7c15u + (uint64_t)lane * 0xbf58476d1ce4e5b9u +
                    (uint64_t)(c->lanes + 131 * c->round) * 0x94d049bb133111ebu;
    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111ebu;
    bits ^= bits >> 31;
    const double size = (double)(1 << (bits >> 40) % 25) / 4096.0;
    return (bits & 1 ? size : -size) * (1.0 + (double)(bits >> 41) / (double)(1 << 23));
}

static float tree_float(const Case *c, int first, int count, int64_t element) {
    if (count == 1) return (float)any_value(c, first, element);
    return tree_float(c, first, count / 2, element) + tree_float(c, first + count / 2, count / 2, element);
}

static double tree_double(const Case *c, int first, int count, int64_t element) {
    if (count == 1) return any_value(c, first, -1 - element);
    return tree_double(c, first, count / 2, element) + tree_double(c, first + count / 2, count / 2, element);
}

static void upload_leaves(const Case *c, Backend *backend, int leaves, const LaneNode *leaf, Reduction *reduction) {
    float *sum = memory_new((size_t)c->count, sizeof *sum);
    for (int v = 0; v < leaves; v++) {
        for (int64_t i = 0; i < c->count; i++) sum[i] = tree_float(c, leaf[v].first, leaf[v].count, i);
        backend->kernels->upload(backend, reduction_vector(reduction, v).address, sum, (size_t)c->count * sizeof *sum);
    }
    free(sum);
}

static void check_sums(const Case *c, Backend *backend, DevFloats total, const double *total_tail) {
    float *sum = memory_new((size_t)c->count, sizeof *sum);
    backend->kernels->download(backend, sum, total.address, (size_t)c->count * sizeof *sum);
    for (int64_t i = 0; i < c->count; i++) {
        const float expected = tree_float(c, 0, c->lanes, i);
        if (memcmp(&sum[i], &expected, sizeof expected) != 0)
            fail_msg("%d lanes, %lld elements, round %d: element %lld is %.9g, not %.9g", c->lanes, (long long)c->count,
                     c->round, (long long)i, (double)sum[i], (double)expected);
    }
    for (int i = 0; i < TAIL; i++) {
        const double expected = tree_double(c, 0, c->lanes, i);
        if (memcmp(&total_tail[i], &expected, sizeof expected) != 0)
            fail_msg("%d lanes, round %d: tail %d is %.17g, not %.17g", c->lanes, c->round, i, total_tail[i], expected);
    }
    free(sum);
}

/* One Reduction used twice with other values, so that nothing of the first round may remain. */
static void reduce(Comm *comm, Backend *backend, int lanes, int64_t count, int leaf_most) {
    const LaneNode mine = lane_tree_rank(lanes, comm_rank(comm), comm_size(comm));
    LaneNode leaf[LANES_MOST];
    const Span span = {.batch = lanes, .lanes = lanes, .first_lane = mine.first, .lane_count = mine.count};
    const int leaves = backend_spans(backend, &span, leaf_most, leaf);
    const size_t bytes = (size_t)mine.count * TAIL * sizeof(double);
    double *tails = memory_new(bytes, 1), total_tail[TAIL];
    const DevDoubles device = {backend->kernels->allocate(backend, bytes)};
    Reduction *reduction = reduction_new(comm, NULL, backend, lanes, count, TAIL, leaves, leaf);
    for (int v = 0; v < leaves && backend->host_memory; v++) /* on cache lines */
        assert_int_equal((uintptr_t)reduction_vector(reduction, v).address % 64, 0);
    for (int round = 0; round < 2; round++) {
        const Case c = {lanes, round, count};
        upload_leaves(&c, backend, leaves, leaf, reduction);
        for (int lane = 0; lane < mine.count; lane++)
            for (int i = 0; i < TAIL; i++) tails[lane * TAIL + i] = any_value(&c, mine.first + lane, -1 - i);
        memset(total_tail, 0xff, sizeof total_tail);
        backend->kernels->upload(backend, device.address, tails, bytes);
        reduction_run(reduction, device);
        reduction_tail(reduction, device, 0, tails, total_tail);
        check_sums(&c, backend, reduction_total(reduction), total_tail);
    }
    reduction_free(reduction);
    backend->kernels->release(backend, device.address);
    free(tails);
}

/* Counts below, at and beyond one block of the sum; with many ranks the small ones leave some without a part. */
static void test_every_shape(void **state) {
    static const int64_t COUNTS[] = {LAYOUT_ALIGN, 3 * LAYOUT_ALIGN, LANE_BLOCK, 37 * LAYOUT_ALIGN, 259 * LAYOUT_ALIGN};
    Comm *comm = *state;
    for (int variant = 0; variant < 4; variant++) {
        const int threads = variant < 2 ? 1 : 3;
        Backend *backend;
        /* the host's memory is shared where it can be, another one's copied into messages */
        const BackendOptions options = {.device = variant % 2 ? DEVICE_CPU_CHECK : DEVICE_CPU, .threads = threads};
        const Status status = backend_open(&options, &backend);
        assert_int_equal(status.code, RAM_OK);
        for (int lanes = 1; lanes <= 64; lanes *= 2)
            for (size_t i = 0; i < sizeof COUNTS / sizeof *COUNTS && lanes >= comm_size(comm); i++)
                for (int most = 1; most <= lanes; most *= 4) reduce(comm, backend, lanes, COUNTS[i], most);
        backend_close(backend);
    }
}

/* The test can fail: in another order these values have another sum. */
static void test_order_matters(void **state) {
    (void)state;
    const Case c = {.lanes = 8, .count = 64};
    int differ = 0;
    for (int64_t i = 0; i < c.count; i++) {
        float sum = 0;
        for (int lane = 0; lane < c.lanes; lane++) sum += (float)any_value(&c, lane, i);
        differ += sum != tree_float(&c, 0, c.lanes, i);
    }
    assert_in_range(differ, 16, 64);
}

int main(void) {
    Comm *comm = ranks_join();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_every_shape, comm),
        cmocka_unit_test(test_order_matters),
    };
    return ranks_leave(comm, cmocka_run_group_tests(tests, NULL, NULL));
}
