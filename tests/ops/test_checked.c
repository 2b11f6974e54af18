/* The checking backend finds what it is for: each mistake ends a process of its own, by the error that names it. */
#include "backend/checked.h"
#include "backend/cpu/cpu.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { COUNT = 33 };

static Backend *open_checked(void) {
    Backend *backend;
    const Status status = backend_open(&(BackendOptions){.device = DEVICE_CPU_CHECK, .threads = 2}, &backend);
    assert_int_equal(status.code, RAM_OK);
    return backend;
}

/* How a process that makes the mistake ends: its exit code, or minus the signal. */
static int end_of(void (*mistake)(void)) {
    int state;
    const pid_t child = fork();
    if (child == 0) {
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        if (!freopen("/dev/null", "w", stderr)) _exit(1);
        signal(SIGSEGV, SIG_DFL); /* a sanitizer's handler would exit with a code of its own */
        signal(SIGBUS, SIG_DFL);
        mistake();
        _exit(RAM_OK);
    }
    assert_int_equal(waitpid(child, &state, 0), child);
    return WIFSIGNALED(state) ? -WTERMSIG(state) : WEXITSTATUS(state);
}

static void host_reads_device(void) {
    const volatile float *values = backend_floats(open_checked(), COUNT).address;
    _exit(values[0] > 0 ? 2 : 3);
}

static void kernel_reads_host(void) {
    float host[COUNT] = {0};
    Backend *backend = open_checked();
    const DevFloats device = backend_zeros(backend, COUNT);
    backend->kernels->add(backend, COUNT, device, (DevFloats){host}, device);
}

static void operand_beyond_its_array(void) {
    Backend *backend = open_checked();
    const DevFloats a = backend_zeros(backend, COUNT), b = backend_zeros(backend, COUNT + 1);
    backend->kernels->add(backend, COUNT + 1, b, b, a);
}

static void released_and_used(void) {
    Backend *backend = open_checked();
    const DevFloats a = backend_zeros(backend, COUNT), b = backend_zeros(backend, COUNT);
    backend->kernels->release(backend, a.address);
    backend->kernels->add(backend, COUNT, a, b, b);
}

static void released_in_the_middle(void) {
    Backend *backend = open_checked();
    backend->kernels->release(backend, dev_floats_at(backend_zeros(backend, COUNT), 1).address);
}

static void picture_that_is_none(void) {
    Backend *backend = open_checked();
    const Kernels *kernels = backend->kernels;
    const Span span = {.batch = 1, .lanes = 1, .lane_count = 1, .samples = 1};
    const Retina retina = {2, 1, 1, 3, 3, 1, {0}, {1}};
    const int32_t number = 2;
    Pictures pictures = {.pixels = {kernels->allocate(backend, 2 * 9)},
                         .picture = {kernels->allocate(backend, sizeof number)}};
    kernels->upload(backend, pictures.picture.address, &number, sizeof number);
    kernels->retina(backend, &span, &retina, &pictures, backend_zeros(backend, 2), backend_zeros(backend, 4));
}

static void overrun(Backend *backend, int64_t count, DevFloats a, DevFloats b, DevFloats out) {
    (void)backend;
    for (int64_t i = 0; i < count; i++) out.address[i] = a.address[i] + b.address[i];
    out.address[count] = 0; /* the mistake: one more */
}

static void kernel_overruns(void) {
    Backend *cpu;
    const Status status = cpu_backend_new(1, PRECISION_FP32, &cpu);
    if (status_failed(&status)) _exit(2);
    Kernels kernels = *cpu->kernels;
    kernels.add = overrun;
    cpu->kernels = &kernels;
    Backend *backend = checked_new(cpu);
    const DevFloats a = backend_zeros(backend, COUNT);
    backend->kernels->add(backend, COUNT, a, a, a);
}

static void test_mistakes(void **state) {
    (void)state;
    assert_int_equal(end_of(host_reads_device), -SIGSEGV);
    assert_int_equal(end_of(kernel_reads_host), RAM_INTERNAL);
    assert_int_equal(end_of(operand_beyond_its_array), RAM_INTERNAL);
    assert_int_equal(end_of(released_and_used), RAM_INTERNAL);
    assert_int_equal(end_of(released_in_the_middle), RAM_INTERNAL);
    assert_int_equal(end_of(picture_that_is_none), RAM_INTERNAL);
    assert_int_equal(end_of(kernel_overruns), RAM_INTERNAL);
}

/* New memory is NaN, also where an old array lay; what is released and asked for again is no other array's. */
static void test_memory(void **state) {
    (void)state;
    Backend *backend = open_checked();
    const Kernels *kernels = backend->kernels;
    DevFloats array[100];
    float value[COUNT];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 100; i++) array[i] = backend_floats(backend, COUNT);
        for (int i = 0; i < 100; i++) {
            kernels->download(backend, value, array[i].address, sizeof value);
            for (int j = 0; j < COUNT; j++) assert_true(isnan(value[j]));
            for (int j = 0; j < COUNT; j++) value[j] = (float)(100 * j + i);
            kernels->upload(backend, array[i].address, value, sizeof value);
        }
        for (int i = 99; i >= 0; i -= 2) kernels->release(backend, array[i].address);
        for (int i = 0; i < 100; i += 2) {
            kernels->download(backend, value, dev_floats_at(array[i], COUNT - 1).address, sizeof *value);
            assert_float_equal((double)value[0], 100 * (COUNT - 1) + i, 0);
            kernels->release(backend, array[i].address);
        }
    }
    kernels->release(backend, NULL);
    backend_close(backend);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mistakes), cmocka_unit_test(test_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
