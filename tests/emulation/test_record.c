/* What comes again and again is recorded the second time and then played: with the results of the work, and without the
 * work being asked, also when the kernels' scratch memory has moved meanwhile. */
#include "backend/backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <cuda_runtime_api.h>

enum { COUNT = 300, LARGE = 1 << 20 };

typedef struct {
    Backend *backend;
    DevFloats sum, step; /* (COUNT) */
    DevDoubles squares;  /* (1): of `sum`, by way of the scratch memory */
    int calls;
    RecordAgreed agreed;
    int asked; /* times that `agreed` was */
    bool made; /* what it was asked with last */
} Adding;

static Status refuse(void *context, Status mine) {
    Adding *adding = context;
    adding->asked++;
    adding->made = !status_failed(&mine);
    return status_error(RAM_UNAVAILABLE, "another rank has none");
}

static void add(void *context) {
    Adding *adding = context;
    adding->calls++;
    adding->backend->kernels->add(adding->backend, COUNT, adding->sum, adding->step, adding->sum);
    adding->backend->kernels->sum_squares(adding->backend, COUNT, adding->sum, adding->squares);
}

static void check(Adding *adding, BackendRecord **record, int64_t batch, int calls, float sum) {
    const Span lanes = {.batch = batch, .lanes = 1, .lane_count = 1, .samples = 1};
    float values[COUNT];
    double squares;
    backend_run_recorded(adding->backend, record, lanes, add, adding->agreed, adding);
    adding->backend->kernels->download(adding->backend, values, adding->sum.address, sizeof values);
    adding->backend->kernels->download(adding->backend, &squares, adding->squares.address, sizeof squares);
    assert_int_equal(adding->calls, calls);
    assert_float_equal(squares, COUNT * (double)sum * (double)sum, 0);
    for (int i = 0; i < COUNT; i++) assert_float_equal((double)values[i], (double)sum, 0);
}

static void set_step(const Adding *adding, float value) {
    float values[COUNT];
    for (int i = 0; i < COUNT; i++) values[i] = value;
    adding->backend->kernels->upload(adding->backend, adding->step.address, values, sizeof values);
}

static void open_adding(Adding *adding) {
    const BackendOptions options = {.device = DEVICE_CUDA, .threads = 1};
    *adding = (Adding){0};
    const Status status = backend_open(&options, &adding->backend);
    if (status_failed(&status)) fail_msg("%s", status.message);
    adding->sum = backend_zeros(adding->backend, COUNT);
    adding->step = backend_zeros(adding->backend, COUNT);
    adding->squares.address = adding->backend->kernels->allocate(adding->backend, sizeof(double));
    set_step(adding, 1);
}

static void close_adding(Adding *adding, BackendRecord *record) {
    const Kernels *kernels = adding->backend->kernels;
    backend_forget(adding->backend, record);
    kernels->release(adding->backend, adding->squares.address);
    kernels->release(adding->backend, adding->sum.address);
    kernels->release(adding->backend, adding->step.address);
    backend_close(adding->backend);
}

static void test_record(void **state) {
    (void)state;
    Adding adding;
    BackendRecord *record = NULL;
    open_adding(&adding);
    const Kernels *kernels = adding.backend->kernels;
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
    kernels->sum_squares(adding.backend, LARGE, large, adding.squares); /* the scratch memory moves */
    check(&adding, &record, 8, 4, 63);
    check(&adding, &record, 5, 4, 73);
    check(&adding, &record, 3, 5, 83);
    check(&adding, &record, 3, 6, 93);
    check(&adding, &record, 3, 6, 103);
    kernels->release(adding.backend, large.address);
    close_adding(&adding, record);
}

/* A driver that does not record one of the work's launches, or any: the work is done without a record. */
static void test_refusal(void **state) {
    (void)state;
    for (int launch = 0; launch <= 3; launch++) {
        Adding adding;
        BackendRecord *record = NULL;
        open_adding(&adding);
        check(&adding, &record, 8, 1, 1);
        emulate_refusal(launch);
        check(&adding, &record, 8, 3, 2); /* once in vain */
        check(&adding, &record, 8, 4, 3);
        check(&adding, &record, 5, 5, 4);
        check(&adding, &record, 5, 6, 5);
        emulate_refusal(-1);
        close_adding(&adding, record);
    }
}

/* Another rank has no record: this one plays none either, and is asked once for each, with or without one of its own,
 * so that the ranks ask each other alike. */
static void test_agreement(void **state) {
    (void)state;
    for (int launch = -1; launch <= 1; launch++) {
        Adding adding;
        BackendRecord *record = NULL;
        open_adding(&adding);
        adding.agreed = refuse;
        check(&adding, &record, 8, 1, 1);
        assert_int_equal(adding.asked, 0);
        emulate_refusal(launch);
        check(&adding, &record, 8, 3, 2); /* once in vain */
        assert_int_equal(adding.asked, 1);
        assert_int_equal(adding.made, launch == -1);
        check(&adding, &record, 8, 4, 3);
        assert_int_equal(adding.asked, 1);
        check(&adding, &record, 5, 5, 4);
        check(&adding, &record, 5, 6, 5);
        assert_int_equal(adding.asked, 2);
        assert_false(adding.made);
        check(&adding, &record, 5, 7, 6);
        assert_int_equal(adding.asked, 2);
        emulate_refusal(-1);
        close_adding(&adding, record);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_record), cmocka_unit_test(test_refusal),
                                       cmocka_unit_test(test_agreement)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
