/* Ranges for NVIDIA's profilers. NVTX is header-only and does nothing where no profiler has loaded the program. */
#include "backend/cuda/cuda_parts.h"

#include <nvtx3/nvToolsExt.h>

void cuda_range(Backend *backend, const char *name) {
    (void)backend;
    if (name)
        nvtxRangePushA(name);
    else
        nvtxRangePop();
}
