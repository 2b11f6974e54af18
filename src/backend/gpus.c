#include "backend/backend.h"
#ifdef RAM_CUDA
#include "backend/cuda/cuda_gpus.h"
#endif

void backend_gpus(GpuList *seen) {
    *seen = (GpuList){0};
#ifdef RAM_CUDA
    cuda_gpus(seen);
#endif
}
