#include "backend/cuda/cuda_gpus.h"

#include <cuda_runtime_api.h>
#include <stdio.h>
#include <string.h>

void cuda_gpus(GpuList *seen) {
    int count = 0;
    *seen = (GpuList){0};
    if (cudaGetDeviceCount(&count) != cudaSuccess) {
        cudaGetLastError(); /* forget it */
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
