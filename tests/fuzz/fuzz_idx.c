/* IDX: any bytes are read as images or labels, plain or compressed, or refused. */
#include "data/idx.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    const char *path = fuzz_file(data, bytes);
    Images images = {0}, labels = {.count = 3};
    idx_read_images(path, &images);
    idx_read_labels(path, &labels);
    free(images.pixels);
    free(labels.labels);
    return 0;
}
