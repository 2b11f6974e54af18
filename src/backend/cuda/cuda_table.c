/* Tables of a kernel's own in the GPU's memory: which vectors a sum takes does not change from step to step. */
#include "backend/cuda/cuda_parts.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

struct CudaTable {
    CudaTable *next;
    void *there; /* on the GPU */
    size_t bytes;
    uint8_t here[]; /* (bytes) */
};

const void *cuda_table(CudaBackend *cuda, const void *table, size_t bytes) {
    for (const CudaTable *known = cuda->tables; known; known = known->next)
        if (known->bytes == bytes && memcmp(known->here, table, bytes) == 0) return known->there;
    CudaTable *made = memory_new(1, sizeof *made + bytes);
    made->there = cuda_memory(bytes);
    made->bytes = bytes;
    memcpy(made->here, table, bytes);
    made->next = cuda->tables;
    cuda->tables = made;
    cuda_upload(&cuda->base, made->there, table, bytes);
    return made->there;
}

void cuda_tables_free(CudaBackend *cuda) {
    while (cuda->tables) {
        CudaTable *table = cuda->tables;
        cuda->tables = table->next;
        cuda->base.kernels->release(&cuda->base, table->there);
        free(table);
    }
}
