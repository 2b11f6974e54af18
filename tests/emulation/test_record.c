/* What comes again and again is recorded the second time and then played: with the results of the work, and without the
 * work being asked; what would make a record wrong makes a new one. */
#include "backend/backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { COUNT = 300, LARGE = 1 << 20 };

typedef struct {
    Backend *backend;
    DevFloats sum, step; /* (COUNT) */
    int calls;
    bool refused; /* the work does half of what it is to do, and says so */
} Adding;

static bool add(void *context) {
    Adding *adding = context;
    adding->calls++;
    adding->backend->kernels->add(adding->backend, COUNT, adding->sum, adding->step, adding->sum);
    return !adding->refused;
}

static void check(Adding *adding, BackendRecord **record, int64_t batch, int calls, float sum) {
    const Span lanes = {.batch = batch, .lanes = 1, .lane_count = 1, .samples = 1};
    float values[COUNT];
    assert_int_equal(backend_run_recorded(adding->backend, record, lanes, add, adding), !adding->refused);
    adding->backend->kernels->download(adding->backend, values, adding->sum.address, sizeof values);
    assert_int_equal(adding->calls, calls);
    for (int i = 0; i < COUNT; i++) assert_float_equal((double)values[i], (double)sum, 0);
}

static void set_step(const Adding *adding, float value) {
    float values[COUNT];
    for (int i = 0; i < COUNT; i++) values[i] = value;
    adding->backend->kernels->upload(adding->backend, adding->step.address, values, sizeof values);
}

static void test_record(void **state) {
    (void)state;
    const BackendOptions options = {.device = DEVICE_CUDA, .threads = 1};
    Adding adding = {0};
    BackendRecord *record = NULL;
    const Status status = backend_open(&options, &adding.backend);
    if (status_failed(&status)) fail_msg("%s", status.message);
    const Kernels *kernels = adding.backend->kernels;
    adding.sum = backend_zeros(adding.backend, COUNT);
    adding.step = backend_zeros(adding.backend, COUNT);
    set_step(&adding, 1);
    check(&adding, &record, 8, 1, 1);
    check(&adding, &record, 8, 2, 2);
    check(&adding, &record, 8, 2, 3);
    set_step(&adding, 10); /* read when it is played */
    check(&adding, &record, 8, 2, 13);
    check(&adding, &record, 5, 3, 23); /* other lanes have a record of their own */
    check(&adding, &record, 5, 4, 33);
    check(&adding, &record, 8, 4, 43);
    check(&adding, &record, 5, 4, 53);
    const DevFloats large = backend_zeros(adding.backend, LARGE);
    const DevDoubles squares = {kernels->allocate(adding.backend, sizeof(double))};
    kernels->sum_squares(adding.backend, LARGE, large, squares); /* the kernels' scratch memory moves */
    check(&adding, &record, 8, 5, 63);
    check(&adding, &record, 8, 5, 73);
    check(&adding, &record, 5, 6, 83);
    check(&adding, &record, 3, 7, 93);
    adding.refused = true;
    check(&adding, &record, 3, 8, 93); /* nothing is done of what cannot be recorded */
    adding.refused = false;
    check(&adding, &record, 3, 9, 103);
    check(&adding, &record, 3, 9, 113);
    backend_forget(adding.backend, record);
    kernels->release(adding.backend, squares.address);
    kernels->release(adding.backend, large.address);
    kernels->release(adding.backend, adding.sum.address);
    kernels->release(adding.backend, adding.step.address);
    backend_close(adding.backend);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_record)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
