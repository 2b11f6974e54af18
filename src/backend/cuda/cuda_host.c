/* Pinned host memory, which the GPU reads and writes by itself. */
#include "backend/cuda/cuda_parts.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

struct CudaHost {
    CudaHost *next;
    uint8_t *memory;
    size_t bytes;
};

void *cuda_allocate_host(Backend *backend, size_t bytes) {
    CudaBackend *cuda = (CudaBackend *)backend;
    void *memory = NULL;
    CUDA_TRY(cudaMallocHost(&memory, bytes ? bytes : 1));
    CudaHost *made = memory_new(1, sizeof *made);
    *made = (CudaHost){cuda->host, memory, bytes};
    cuda->host = made;
    return memset(memory, 0, bytes);
}

void cuda_release_host(Backend *backend, void *memory) {
    CudaHost **at = &((CudaBackend *)backend)->host;
    if (!memory) return;
    while (*at && (*at)->memory != memory) at = &(*at)->next;
    require(*at);
    CudaHost *found = *at;
    *at = found->next;
    CUDA_TRY(cudaFreeHost(memory));
    free(found);
}

bool cuda_is_pinned(const CudaBackend *cuda, const void *host, size_t bytes) {
    const uint8_t *begin = host;
    for (const CudaHost *block = cuda->host; block; block = block->next)
        if (begin >= block->memory && begin + bytes <= block->memory + block->bytes) return true;
    return false;
}
