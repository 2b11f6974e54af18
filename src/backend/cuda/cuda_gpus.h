/* The GPUs that CUDA shows this process, as CUDA_VISIBLE_DEVICES lets it. Must not know which one is taken, and takes
 * none itself. */
#ifndef RAM_BACKEND_CUDA_GPUS_H
#define RAM_BACKEND_CUDA_GPUS_H

#include "base/gpu.h"

/* None where there is no driver, or one that is too old for this program. */
void cuda_gpus(GpuList *seen);

#endif
