#include "backend/backend.h"
#include "backend/cpu/cpu.h"

Status backend_open(const BackendOptions *options, Backend **backend) {
    *backend = NULL;
    if (options->device == DEVICE_CUDA)
        return status_error(RAM_UNAVAILABLE,
                            "device cuda is not compiled into this program: use --device cpu or --device auto");
    return cpu_backend_new(options->threads, options->precision, backend);
}

void backend_close(Backend *backend) {
    if (backend) backend->kernels->free(backend);
}

DevFloats backend_floats(Backend *backend, int64_t count) {
    return (DevFloats){backend->kernels->allocate(backend, (size_t)count * sizeof(float))};
}
