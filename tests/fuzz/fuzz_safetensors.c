/* Safetensors: any bytes are read or refused; what is read has values for every element. */
#include "base/memory.h"
#include "fuzz.h"
#include "store/safetensors.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    Safetensors *file;
    void *copy = memory_new(bytes + 1, 1);
    memcpy(copy, data, bytes);
    const Status status = safetensors_parse("input", copy, bytes, &file);
    if (status_failed(&status)) return 0;
    for (int i = 0; i < safetensors_count(file); i++) {
        const Tensor *tensor = safetensors_tensor(file, i);
        float *values = memory_new(tensor->count + 1, sizeof *values);
        safetensors_values(file, tensor, values);
        free(values);
    }
    safetensors_metadata(file, "model.patch");
    safetensors_close(file);
    return 0;
}
