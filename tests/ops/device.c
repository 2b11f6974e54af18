#include "device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void device_choose(const char *name, DeviceChoice *device) {
    static const char *const NAMES[] = {[DEVICE_CPU] = "cpu", [DEVICE_CUDA] = "cuda", [DEVICE_CPU_CHECK] = "cpu-check"};
    Backend *backend;
    for (*device = DEVICE_CPU; *device <= DEVICE_CPU_CHECK && strcmp(name, NAMES[*device]) != 0;) (*device)++;
    if (*device > DEVICE_CPU_CHECK) {
        fprintf(stderr, "'%s' is no device: cpu, cuda or cpu-check\n", name);
        exit(RAM_USAGE);
    }
    const Status status = backend_open(&(BackendOptions){.device = *device, .threads = 1}, &backend);
    if (status_failed(&status)) {
        printf("*** SKIPPED: %s\n", status.message);
        exit(TEST_SKIPPED);
    }
    backend_close(backend);
}
