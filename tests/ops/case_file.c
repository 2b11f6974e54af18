#include "case_file.h"
#include "base/memory.h"

#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *path;
    hid_t id;
} File;

static Status not_a_case(const File *file, const char *what, const char *name) {
    return status_error(RAM_DATA, "%s is not a reference case: %s %s", file->path, name, what);
}

/* --- attributes */

/* A numeric attribute, one value or `most`: a single one counts for all. Absent: `values` keeps the default. */
static Status read_numbers(const File *file, const char *name, int most, double *values) {
    if (H5Aexists(file->id, name) <= 0) return status_ok();
    const hid_t attribute = H5Aopen(file->id, name, H5P_DEFAULT), space = H5Aget_space(attribute);
    const hid_t type = H5Aget_type(attribute);
    const hssize_t count = H5Sget_simple_extent_npoints(space);
    const H5T_class_t kind = H5Tget_class(type);
    const bool fits = (kind == H5T_INTEGER || kind == H5T_FLOAT) && (count == 1 || count == most);
    const bool read = fits && H5Aread(attribute, H5T_NATIVE_DOUBLE, values) >= 0;
    H5Tclose(type);
    H5Sclose(space);
    H5Aclose(attribute);
    if (!read) return not_a_case(file, "is not a number, or not one for each channel", name);
    for (int i = 1; i < most && count == 1; i++) values[i] = values[0];
    return status_ok();
}

static Status read_integer(const File *file, const char *name, int lowest, int highest, int *value) {
    double number = *value;
    TRY(read_numbers(file, name, 1, &number));
    if (!(number >= lowest && number <= highest)) return not_a_case(file, "is absent or out of range", name);
    *value = (int)number;
    return status_ok();
}

/* The place of a text attribute among `names`, which ends with NULL. Absent: the first. */
static Status read_choice(const File *file, const char *name, const char *const *names, int *choice) {
    *choice = 0;
    if (H5Aexists(file->id, name) <= 0) return status_ok();
    const hid_t attribute = H5Aopen(file->id, name, H5P_DEFAULT), type = H5Aget_type(attribute);
    const hid_t space = H5Aget_space(attribute);
    char fixed[64] = "", *text = fixed;
    bool read = H5Tget_class(type) == H5T_STRING && H5Sget_simple_extent_npoints(space) == 1;
    const bool variable = read && H5Tis_variable_str(type) > 0;
    if (variable)
        read = H5Aread(attribute, type, &text) >= 0 && text;
    else
        read = read && H5Tget_size(type) < sizeof fixed && H5Aread(attribute, type, fixed) >= 0;
    int found = -1;
    for (int i = 0; read && names[i]; i++)
        if (strcmp(text, names[i]) == 0) found = i;
    if (variable && read) H5free_memory(text);
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
    if (found < 0) return not_a_case(file, "holds an unknown choice", name);
    *choice = found;
    return status_ok();
}

/* --- data sets */

enum { DIMENSIONS = 4 };

typedef struct {
    hid_t id;
    int dimensions;
    hsize_t shape[DIMENSIONS]; /* 1 beyond the dimensions */
} DataSet;

/* Opens a data set of at most DIMENSIONS dimensions; the caller closes it. */
static Status open_data(const File *file, const char *name, DataSet *data) {
    char group[64];
    const char *slash = strchr(name, '/');
    snprintf(group, sizeof group, "%.*s", (int)(slash - name), name);
    *data = (DataSet){.id = -1, .shape = {1, 1, 1, 1}};
    if (H5Lexists(file->id, group, H5P_DEFAULT) <= 0 || H5Lexists(file->id, name, H5P_DEFAULT) <= 0)
        return not_a_case(file, "is missing", name);
    data->id = H5Dopen(file->id, name, H5P_DEFAULT);
    if (data->id < 0) return not_a_case(file, "is no data set", name);
    const hid_t space = H5Dget_space(data->id);
    data->dimensions = H5Sget_simple_extent_ndims(space);
    const bool fits = data->dimensions >= 0 && data->dimensions <= DIMENSIONS;
    if (fits) H5Sget_simple_extent_dims(space, data->shape, NULL);
    H5Sclose(space);
    if (fits) return status_ok();
    H5Dclose(data->id);
    return not_a_case(file, "has too many dimensions", name);
}

/* Reads a data set of the shape given: numbers up to the first 0. `type`: of the memory at `values`. */
static Status read_data(const File *file, const char *name, hid_t type, const int64_t shape[DIMENSIONS], void *values) {
    DataSet data;
    TRY(open_data(file, name, &data));
    bool fits = true;
    for (int i = 0; i < DIMENSIONS; i++) {
        fits = fits && (i < data.dimensions) == (shape[i] > 0);
        fits = fits && (i >= data.dimensions || data.shape[i] == (hsize_t)shape[i]);
    }
    const bool read = fits && H5Dread(data.id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;
    H5Dclose(data.id);
    if (!fits) return not_a_case(file, "has another shape than the case", name);
    if (!read) return not_a_case(file, "cannot be read", name);
    return status_ok();
}

#define SHAPE(...) ((const int64_t[DIMENSIONS]){__VA_ARGS__})

static Status read_doubles(const File *file, const char *name, const int64_t *shape, double *values) {
    return read_data(file, name, H5T_NATIVE_DOUBLE, shape, values);
}

/* --- the case */

static Status read_shape(const File *file, const char *name, DataSet *data) {
    TRY(open_data(file, name, data));
    H5Dclose(data->id);
    return status_ok();
}

static Status read_dims(const File *file, PlainCase *c) {
    Dims *dims = &c->dims;
    Retina *retina = &dims->retina;
    DataSet images, log_prob, locator;
    int core, kind, baseline, rows = 0;
    double sigma = 0, mean[CHANNELS_MOST], stddev[CHANNELS_MOST];
    retina->channels = c->samples = 1;
    c->reinforce_weight = 0.01;
    for (int i = 0; i < CHANNELS_MOST; i++) {
        mean[i] = 0.1307;
        stddev[i] = 0.3081;
    }
    TRY(read_integer(file, "glimpses", 1, 1000, &dims->glimpses));
    TRY(read_integer(file, "patch_size", 1, 1000, &retina->patch));
    TRY(read_integer(file, "num_patches", 1, 16, &retina->scales));
    TRY(read_integer(file, "scale", 1, 1000, &retina->scale));
    TRY(read_integer(file, "glimpse_hidden", 1, 1 << 16, &dims->glimpse_hidden));
    TRY(read_integer(file, "loc_hidden", 1, 1 << 16, &dims->location_hidden));
    TRY(read_integer(file, "hidden_size", 1, 1 << 16, &dims->hidden));
    TRY(read_integer(file, "channels", 1, CHANNELS_MOST, &retina->channels));
    TRY(read_integer(file, "samples", 1, 1000, &c->samples));
    TRY(read_integer(file, "batch", 1, 1 << 20, &rows));
    TRY(read_choice(file, "core", (const char *const[]){"rnn", "lstm", NULL}, &core));
    TRY(read_choice(file, "locator", (const char *const[]){"mlp", "linear", NULL}, &kind));
    TRY(read_choice(file, "baseline", (const char *const[]){"learned", "moving_average", "others", "none", NULL},
                    &baseline));
    TRY(read_numbers(file, "std", 1, &sigma));
    TRY(read_numbers(file, "mean", retina->channels, mean));
    TRY(read_numbers(file, "stddev", retina->channels, stddev));
    TRY(read_numbers(file, "reinforce_weight", 1, &c->reinforce_weight));
    TRY(read_numbers(file, "glimpse_nll", 1, &c->glimpse_nll));
    TRY(read_numbers(file, "moving_average", 1, &c->moving_average));
    if (!(sigma > 0)) return not_a_case(file, "is absent or not positive", "std");
    for (int i = 0; i < retina->channels; i++) {
        if (!(stddev[i] > 0)) return not_a_case(file, "is not positive", "stddev");
        retina->mean[i] = (float)mean[i];
        retina->stddev[i] = (float)stddev[i];
    }
    dims->core = (Core)core;
    dims->locator = (Locator)kind;
    dims->sigma = (float)sigma;
    c->baseline = (Baseline)baseline;
    TRY(read_shape(file, "input/images", &images));
    TRY(read_shape(file, "output/log_prob", &log_prob));
    TRY(read_shape(file, "params/locator.fc.bias", &locator));
    for (int i = 1; i < 3; i++)
        if (images.shape[i] < 1 || images.shape[i] > 1 << 14)
            return not_a_case(file, "has no usable shape", "input/images");
    if (log_prob.shape[2] < 1 || log_prob.shape[2] > 256)
        return not_a_case(file, "has no usable shape", "output/log_prob");
    if (locator.shape[0] < 1 || locator.shape[0] > 1 << 16)
        return not_a_case(file, "has no usable shape", "params/locator.fc.bias");
    retina->height = (int)images.shape[1];
    retina->width = (int)images.shape[2];
    dims->classes = (int)log_prob.shape[2];
    dims->locator_hidden = (int)locator.shape[0];
    c->batch = rows;
    if (c->baseline == BASELINE_OTHERS && c->samples < 2) return not_a_case(file, "asks for samples > 1", "baseline");
    return dims_check(dims);
}

static Status read_input(const File *file, PlainCase *c) {
    const Retina *retina = &c->dims.retina;
    const int64_t rows = plain_rows(c), batch = c->batch, channels = retina->channels;
    DataSet images;
    TRY(read_shape(file, "input/images", &images));
    TRY(read_data(file, "input/images", H5T_NATIVE_UINT8,
                  SHAPE(batch, retina->height, retina->width, images.dimensions == 4 ? channels : 0), c->pixels));
    if (images.dimensions < 4 && channels > 1) return not_a_case(file, "has no channels", "input/images");
    TRY(read_data(file, "input/labels", H5T_NATIVE_UINT8, SHAPE(batch), c->labels));
    for (int64_t i = 0; i < batch; i++)
        if (c->labels[i] >= c->dims.classes) return not_a_case(file, "holds a label that is no class", "input/labels");
    TRY(read_doubles(file, "input/start_location", SHAPE(rows, 2), c->start));
    TRY(read_doubles(file, "input/noise", SHAPE(c->dims.glimpses, rows, 2), c->noise));
    for (int64_t i = 0; i < rows * 2; i++)
        if (!(c->start[i] >= -1 && c->start[i] <= 1)) return not_a_case(file, "leaves [-1, 1]", "input/start_location");
    return status_ok();
}

/* Every field of the layout from GROUP/NAME. */
static Status read_fields(const File *file, const PlainCase *c, const char *group, double *values) {
    for (int i = 0; i < c->parameters.layout.fields; i++) {
        const Field *field = &c->parameters.layout.field[i];
        char name[16 + LAYOUT_NAME];
        snprintf(name, sizeof name, "%s/%s", group, field->name);
        TRY(read_doubles(file, name, SHAPE(field->shape[0], field->dimensions == 2 ? field->shape[1] : 0),
                         values + field->offset));
    }
    return status_ok();
}

static Status read_outcome(const File *file, const PlainCase *c, PlainOutcome *out) {
    const Dims *dims = &c->dims;
    const int64_t rows = plain_rows(c), T = dims->glimpses;
    TRY(read_doubles(file, "output/glimpse", SHAPE(T, rows, dims_glimpse(dims)), out->glimpse));
    TRY(read_doubles(file, "output/location", SHAPE(T + 1, rows, 2), out->location));
    TRY(read_doubles(file, "output/hidden", SHAPE(T, rows, dims->hidden), out->hidden));
    TRY(read_doubles(file, "output/baseline", SHAPE(T, rows), out->baseline));
    TRY(read_doubles(file, "output/log_pi", SHAPE(T, rows), out->log_pi));
    TRY(read_doubles(file, "output/log_prob", SHAPE(T, rows, dims->classes), out->log_prob));
    TRY(read_doubles(file, "loss/reward", SHAPE(rows), out->reward));
    TRY(read_doubles(file, "loss/action", SHAPE(0), &out->terms.nll));
    TRY(read_doubles(file, "loss/baseline", SHAPE(0), &out->terms.baseline));
    TRY(read_doubles(file, "loss/reinforce", SHAPE(0), &out->terms.reinforce));
    TRY(read_doubles(file, "loss/total", SHAPE(0), &out->terms.total));
    return read_fields(file, c, "grads", out->gradient);
}

static Status read_case(const File *file, PlainCase *c, PlainOutcome *out) {
    TRY(read_input(file, c));
    TRY(read_fields(file, c, "params", c->values));
    return read_outcome(file, c, out);
}

Status case_file_read(const char *path, PlainCase *c, PlainOutcome *out) {
    H5Eset_auto(H5E_DEFAULT, NULL, NULL); /* one line of ours instead of HDF5's stack */
    *c = (PlainCase){0};
    *out = (PlainOutcome){0};
    const File file = {path, H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT)};
    if (file.id < 0) return status_error(RAM_DATA, "%s cannot be opened as HDF5", path);
    Status status = read_dims(&file, c);
    if (!status_failed(&status)) {
        plain_case_open(c);
        plain_outcome_open(out, c);
        status = read_case(&file, c, out);
    }
    H5Fclose(file.id);
    if (status_failed(&status)) {
        plain_case_close(c);
        plain_outcome_close(out);
    }
    return status;
}
