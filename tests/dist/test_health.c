/* Replicas of the state beside the tensors: every number of it that is saved and that ranks share is compared. */
#include "train/health.h"

#include "ranks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Of a training without tensors. */
static Status check(Comm *comm, const SavedState *state) {
    Experiment experiment = {.comm = comm};
    const Optimizer optimizer = {.vectors = 0};
    experiment.ram.parameters.layout.fields = 1;
    return health_check(&experiment, &optimizer, state);
}

static void test_state(void **context) {
    Comm *comm = *context;
    SavedState state = saved_state_start();
    int64_t *const counts[] = {
        &state.step,      &state.epoch,     &state.batch, &state.schedule.waited, &state.schedule.since_better,
        &state.best_step, &state.best_epoch};
    double *const numbers[] = {&state.sum[0],          &state.sum[SUMS - 1],       &state.moving_average,
                               &state.schedule.factor, &state.schedule.best_error, &state.rate_factor,
                               &state.best_saved_error};
    const bool odd = comm_rank(comm) == comm_size(comm) - 1;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        *counts[i] += odd;
        assert_int_equal(check(comm, &state).code, RAM_NUMERIC);
        *counts[i] -= odd;
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const double before = *numbers[i];
        *numbers[i] += odd ? 1e-9 : 0;
        const Status status = check(comm, &state);
        assert_int_equal(status.code, RAM_NUMERIC);
        assert_non_null(strstr(status.message, "the state of the training"));
        *numbers[i] = before;
    }
    state.seconds = state.metrics_bytes = comm_rank(comm); /* these differ by rank */
    memset(state.metrics_hash, 'a' + comm_rank(comm), sizeof state.metrics_hash);
    assert_int_equal(check(comm, &state).code, RAM_OK);
}

int main(void) {
    Comm *comm = ranks_join();
    const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(test_state, comm)};
    return ranks_leave(comm, cmocka_run_group_tests(tests, NULL, NULL));
}
