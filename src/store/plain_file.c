#include "store/plain_file.h"
#include "base/memory.h"
#include "store/hdf.h"
#include "store/safetensors.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static Status write_safetensors(const char *path, const Layout *layout, const float *values, int facts,
                                const PlainFact *fact) {
    TensorSource tensor[LAYOUT_FIELDS];
    const char **pairs = memory_new((size_t)facts * 2 + 1, sizeof *pairs);
    for (int i = 0; i < facts; i++) {
        pairs[2 * i] = fact[i].name;
        pairs[2 * i + 1] = fact[i].text;
    }
    for (int f = 0; f < layout->fields; f++) {
        const Field *field = &layout->field[f];
        tensor[f] =
            (TensorSource){field->name, field->dimensions, {field->shape[0], field->shape[1]}, values + field->offset};
    }
    const Status status = safetensors_write(path, layout->fields, tensor, facts, pairs);
    free(pairs);
    return status;
}

static Status write_hdf5(const char *path, const Layout *layout, const float *values, int facts,
                         const PlainFact *fact) {
    HdfWriter writer;
    char name[HDF_NAME];
    hdf_begin(&writer);
    for (int i = 0; i < facts; i++) hdf_put_fact(&writer, fact[i].name, fact[i].text);
    for (int f = 0; f < layout->fields; f++) {
        const Field *field = &layout->field[f];
        snprintf(name, sizeof name, "/param/%s", field->name);
        const HdfArray array = {.name = name,
                                .element = HDF_FLOAT,
                                .dimensions = field->dimensions,
                                .size = {field->shape[0], field->shape[1]}};
        hdf_put_array(&writer, &array, values + field->offset);
    }
    return hdf_save(&writer, path);
}

Status plain_file_write(const char *path, PlainFormat format, const Layout *layout, const float *values, int facts,
                        const PlainFact *fact) {
    return format == PLAIN_HDF5 ? write_hdf5(path, layout, values, facts, fact)
                                : write_safetensors(path, layout, values, facts, fact);
}
