#include "store/samples.h"
#include "base/memory.h"
#include "store/hdf.h"

#include <stdio.h>
#include <stdlib.h>

static void put_axis(HdfWriter *writer, const char *name, int64_t size) {
    const HdfArray axis = {.name = name, .element = HDF_INT, .dimensions = 1, .size = {size}};
    int32_t *number = memory_new((size_t)size, sizeof *number);
    for (int64_t i = 0; i < size; i++) number[i] = (int32_t)i;
    hdf_put_array(writer, &axis, number);
    free(number);
}

static const char *const AXES[HDF_DIMENSIONS] = {"/N", "/H", "/W", "/C"};

static void put_samples(HdfWriter *writer, const HdfArray *array, const void *values) {
    hdf_put_array(writer, array, values);
    for (int axis = 0; axis < array->dimensions; axis++) hdf_attach_scale(writer, array->name, axis, AXES[axis]);
}

Status samples_write(const char *path, const Samples *s, int facts, const PlainFact *fact) {
    const HdfArray images = {
        .name = "/images", .element = HDF_BYTE, .dimensions = 4, .size = {s->count, s->height, s->width, s->channels}};
    const HdfArray label = {.name = "/label", .element = HDF_INT, .dimensions = 1, .size = {s->count}};
    const HdfArray index = {.name = "/index", .element = HDF_INT, .dimensions = 1, .size = {s->count}};
    HdfWriter writer;
    hdf_begin(&writer);
    for (int i = 0; i < facts; i++) hdf_put_fact(&writer, fact[i].name, fact[i].text);
    for (int axis = 0; axis < HDF_DIMENSIONS; axis++) put_axis(&writer, AXES[axis], images.size[axis]);
    put_samples(&writer, &images, s->pixels);
    put_samples(&writer, &label, s->label);
    put_samples(&writer, &index, s->index);
    return hdf_save(&writer, path);
}
