#include "store/samples.h"
#include "store/hdf.h"

#include <stdio.h>
#include <stdlib.h>

Status samples_write(const char *path, const Samples *s, int facts, const PlainFact *fact) {
    const HdfArray images = {
        .name = "/images", .element = HDF_BYTE, .dimensions = 4, .size = {s->count, s->height, s->width, s->channels}};
    const HdfArray label = {.name = "/label", .element = HDF_INT, .dimensions = 1, .size = {s->count}};
    const HdfArray index = {.name = "/index", .element = HDF_INT, .dimensions = 1, .size = {s->count}};
    HdfWriter writer;
    HdfImage image;
    hdf_begin(&writer);
    for (int i = 0; i < facts; i++) {
        char name[HDF_NAME];
        snprintf(name, sizeof name, "metadata/%s", fact[i].name);
        const StoreScalar scalar = {.name = name, .type = STORE_TEXT, .value = (void *)(uintptr_t)fact[i].text};
        hdf_put_scalar(&writer, &scalar);
    }
    hdf_put_array(&writer, &images, s->pixels);
    hdf_put_array(&writer, &label, s->label);
    hdf_put_array(&writer, &index, s->index);
    TRY(hdf_finish(&writer, &image));
    const Status status = atomic_file_write(path, image.data, image.bytes);
    free(image.data);
    return status;
}
