/* test_bits cpu|cuda|cpu-check: the same bits (DESIGN 4): the gradient sum and the loss sums do not depend on threads
 * or on the grouping of lanes; and the pool of threads that all of it rests on. */
#include "backend/cpu/cpu_pool.h"
#include "device.h"
#include "engine_run.h"
#include "random_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { LANES = 8 };

static PlainCase bits_case(Core core, int64_t batch) {
    return (PlainCase){.dims = {.glimpses = 3,
                                .retina = {.patch = 5,
                                           .scales = 2,
                                           .scale = 2,
                                           .height = 17,
                                           .width = 13,
                                           .channels = 1,
                                           .mean = {0.2f},
                                           .stddev = {0.3f}},
                                .classes = 10,
                                .hidden = 40,
                                .glimpse_hidden = 21,
                                .location_hidden = 19,
                                .locator_hidden = 16,
                                .core = core,
                                .sigma = 0.2f},
                       .batch = batch,
                       .samples = 1,
                       .reinforce_weight = 0.1,
                       .glimpse_nll = 0.2,
                       .reward = REWARD_LOG_LIKELIHOOD,
                       .credit = CREDIT_GAIN,
                       .credit_decay = 0.5,
                       .locator_gradient = true};
}

static void same_result(const PlainCase *c, const EngineOptions *options, const EngineResult *expected) {
    EngineResult result;
    const size_t total = c->parameters.layout.total;
    engine_run(c, options, &result, NULL);
    if (memcmp(result.gradient, expected->gradient, total * sizeof(float)) != 0 ||
        memcmp(result.sums, expected->sums, sizeof result.sums) != 0)
        fail_msg("%d threads, %d lanes at a time, spans of %d, batch %d: other bits", options->threads,
                 options->lanes_per_run, options->span_lanes, (int)c->batch);
    engine_result_close(&result);
}

static void check_bits(DeviceChoice device, Core core, int64_t batch, Precision precision) {
    static const int threads[] = {1, 2, 3, 4, 8}, lanes_per_run[] = {1, 2, 3, 5, 0};
    const size_t thread_counts = device == DEVICE_CPU ? sizeof threads / sizeof *threads : 1; /* the CPU's matter */
    PlainCase c = bits_case(core, batch);
    EngineResult expected;
    random_case_open(&c, 7);
    engine_run(&c, &(EngineOptions){.device = device, .lanes = LANES, .threads = 1, .precision = precision}, &expected,
               NULL);
    for (size_t i = 0; i < thread_counts; i++)
        for (size_t j = 0; j < sizeof lanes_per_run / sizeof *lanes_per_run; j++)
            for (int span_lanes = 1; span_lanes <= LANES; span_lanes *= 2) {
                const EngineOptions options = {device,
                                               LANES,
                                               threads[i],
                                               lanes_per_run[j],
                                               span_lanes,
                                               .poisoned = i == thread_counts - 1,
                                               .precision = precision};
                same_result(&c, &options, &expected);
            }
    engine_result_close(&expected);
    plain_case_close(&c);
}

/* *state: the device. */
static void test_threads_and_groups(void **state) {
    const DeviceChoice device = *(const DeviceChoice *)*state;
    check_bits(device, CORE_RNN, 45, PRECISION_FP32);
    check_bits(device, CORE_LSTM, 45, PRECISION_FP32);
    check_bits(device, CORE_RNN, 6, PRECISION_FP32); /* two lanes without images */
    check_bits(device, CORE_LSTM, 1, PRECISION_FP32);
}

static void test_reduced_precision(void **state) {
    const DeviceChoice device = *(const DeviceChoice *)*state;
    if (!precision_is_here(device, PRECISION_BF16)) skip();
    check_bits(device, CORE_RNN, 45, PRECISION_BF16);
    check_bits(device, CORE_LSTM, 45, PRECISION_BF16);
    check_bits(device, CORE_RNN, 6, PRECISION_BF16);
}

/* Lanes are part of the result: were the sums the same for any number of them, the test above would say nothing. */
static void test_lanes_matter(void **state) {
    const DeviceChoice device = *(const DeviceChoice *)*state;
    PlainCase c = bits_case(CORE_RNN, 45);
    EngineResult eight, four;
    random_case_open(&c, 7);
    engine_run(&c, &(EngineOptions){.device = device, .lanes = 8, .threads = 1}, &eight, NULL);
    engine_run(&c, &(EngineOptions){.device = device, .lanes = 4, .threads = 1}, &four, NULL);
    assert_memory_not_equal(eight.gradient, four.gradient, c.parameters.layout.total * sizeof(float));
    engine_result_close(&eight);
    engine_result_close(&four);
    plain_case_close(&c);
}

/* --- the pool */

enum { THREADS = 4, ROUNDS = 5000, LINE = 64 };

typedef struct {
    struct {
        int rounds;
        char line[LINE - sizeof(int)];
    } worker[THREADS];
} Tally;

static void count_round(void *context, int worker) { ((Tally *)context)->worker[worker].rounds++; }

static CpuPool *new_pool(void) {
    CpuPool *pool = NULL;
    const Status status = cpu_pool_new(THREADS, &pool);
    if (status_failed(&status)) fail_msg("%s", status.message);
    return pool;
}

/* When cpu_pool_run returns, every worker has run once, and only once. */
static void check_pool(int rounds) {
    Tally tally = {0};
    CpuPool *pool = new_pool();
    for (int round = 1; round <= rounds; round++) {
        cpu_pool_run(pool, count_round, &tally);
        for (int worker = 0; worker < THREADS; worker++)
            if (tally.worker[worker].rounds != round)
                fail_msg("worker %d has run %d times in %d rounds", worker, tally.worker[worker].rounds, round);
    }
    cpu_pool_free(pool);
}

static void test_pool(void **state) {
    (void)state;
    check_pool(ROUNDS);
    cpu_pool_free(new_pool()); /* never used */
    cpu_pool_free(NULL);
}

int main(int argc, char **argv) {
    DeviceChoice device;
    device_choose(argc > 1 ? argv[1] : "cpu", &device);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_threads_and_groups, &device),
        cmocka_unit_test_prestate(test_reduced_precision, &device),
        cmocka_unit_test_prestate(test_lanes_matter, &device),
        cmocka_unit_test(test_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
