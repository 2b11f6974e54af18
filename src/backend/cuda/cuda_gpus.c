#include "backend/cuda/cuda_gpus.h"

#include <cuda_runtime_api.h>
#include <stdio.h>
#include <string.h>

void cuda_gpus(GpuList *seen) {
    int count = 0, driver = 0;
    *seen = (GpuList){0};
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess) {
        cudaGetLastError(); /* forget it */
        if (error != cudaErrorNoDevice && cudaDriverGetVersion(&driver) == cudaSuccess && driver > 0)
            snprintf(seen->why, sizeof seen->why, "%s (the driver is for CUDA %d.%d, this program for %d.%d)",
                     cudaGetErrorString(error), driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000,
                     CUDART_VERSION % 1000 / 10);
        return;
    }
    for (int i = 0; i < count && i < GPUS_MOST; i++) {
        struct cudaDeviceProp properties;
        if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) {
            cudaGetLastError();
            return; /* places must stay CUDA's indices */
        }
        Gpu *gpu = &seen->gpu[seen->count++];
        snprintf(gpu->name, sizeof gpu->name, "%.63s", properties.name);
        memcpy(gpu->uuid, properties.uuid.bytes, sizeof gpu->uuid);
    }
}
