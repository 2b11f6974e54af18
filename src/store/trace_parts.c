#include "store/trace_parts.h"
#include "base/log.h"
#include "base/memory.h"
#include "store/manifest.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum { SAMPLE, ROLLOUT, GLIMPSE, FIXATION, XY, CLASS, AXES } Axis;

/* The dimension scales: coordinates of the axes. That of the samples has a row for each, and is cut like the rest. */
static const struct {
    const char *name;
    HdfElement element;
    int32_t first; /* value; each next is one more */
    const char *long_name;
} AXIS[AXES] = {
    [SAMPLE] = {"/trace/sample", HDF_INT, 0, "position of the image in its split"},
    [ROLLOUT] = {"/trace/rollout", HDF_INT, 0, "roll-out: independent glimpse sequence of one image"},
    [GLIMPSE] = {"/trace/glimpse", HDF_INT, 1, "glimpse t"},
    [FIXATION] = {"/trace/fixation", HDF_INT, 0, "fixation: 0 is the start, t follows glimpse t"},
    [XY] = {"/trace/xy", HDF_LETTER, 'x', "axis of the image"},
    [CLASS] = {"/trace/class", HDF_INT, 0, "class"},
};

static const char COORDINATES[] = "(x, y) in [-1, 1]^2 over the image: x to the right, y down, (-1, -1) top left, "
                                  "(0, 0) centre";

/* The data sets; the first axis of each is SAMPLE. */
static const struct {
    const char *name;
    HdfElement element;
    int dimensions;
    Axis axis[HDF_DIMENSIONS];
    size_t member; /* of TraceRows: the pointer to its rows */
    const char *long_name;
    const char *coordinate_system; /* of locations */
} SET[] = {
    {"/trace/location",
     HDF_FLOAT,
     4,
     {SAMPLE, ROLLOUT, FIXATION, XY},
     offsetof(TraceRows, location),
     "location l: glimpse t looks at fixation t - 1",
     COORDINATES},
    {"/trace/location_mean",
     HDF_FLOAT,
     4,
     {SAMPLE, ROLLOUT, GLIMPSE, XY},
     offsetof(TraceRows, mean),
     "mean mu_t of the location policy after glimpse t, from which fixation t is drawn",
     COORDINATES},
    {"/trace/log_pi",
     HDF_FLOAT,
     3,
     {SAMPLE, ROLLOUT, GLIMPSE},
     offsetof(TraceRows, log_pi),
     "natural logarithm of the policy's density at fixation t, before the clamp to the image",
     NULL},
    {"/trace/baseline",
     HDF_FLOAT,
     3,
     {SAMPLE, ROLLOUT, GLIMPSE},
     offsetof(TraceRows, baseline),
     "baseline b_t: the reward that the model expects after glimpse t; with train.credit gain, what it still gains",
     NULL},
    {"/trace/prob",
     HDF_FLOAT,
     4,
     {SAMPLE, ROLLOUT, GLIMPSE, CLASS},
     offsetof(TraceRows, prob),
     "probability of each class: the classifier applied after glimpse t",
     NULL},
    {"/trace/reward",
     HDF_FLOAT,
     2,
     {SAMPLE, ROLLOUT},
     offsetof(TraceRows, reward),
     "reward R: 1 where the prediction is the label, else 0",
     NULL},
    {"/trace/prediction",
     HDF_INT,
     2,
     {SAMPLE, ROLLOUT},
     offsetof(TraceRows, prediction),
     "class with the largest probability after the last glimpse",
     NULL},
    {"/trace/label", HDF_INT, 1, {SAMPLE}, offsetof(TraceRows, label), "class that the data set gives", NULL},
    {"/trace/index",
     HDF_INT,
     1,
     {SAMPLE},
     offsetof(TraceRows, index),
     "place of the image in its IDX file, from 0",
     NULL},
    {"/trace/sample", HDF_INT, 1, {SAMPLE}, offsetof(TraceRows, sample), NULL, NULL}, /* spoken for as an axis */
};
enum { SETS = sizeof SET / sizeof *SET };

static int64_t axis_size(const TraceShape *shape, Axis axis) {
    switch (axis) {
    case SAMPLE:
        return shape->samples;
    case ROLLOUT:
        return shape->rollouts;
    case GLIMPSE:
        return shape->glimpses;
    case FIXATION:
        return shape->glimpses + 1;
    case XY:
        return 2;
    case CLASS:
        return shape->classes;
    default:
        fatal("axis %d", axis);
    }
}

/* `rows` rows of the data set. */
static HdfArray set_array(const TraceShape *shape, int set, int64_t rows) {
    HdfArray array = {SET[set].name, SET[set].element, SET[set].dimensions, {rows}};
    for (int i = 1; i < array.dimensions; i++) array.size[i] = axis_size(shape, SET[set].axis[i]);
    return array;
}

/* Elements of one row; every element has four bytes. */
static int64_t row_elements(const TraceShape *shape, int set) {
    const HdfArray row = set_array(shape, set, 1);
    int64_t elements = 1;
    for (int i = 1; i < row.dimensions; i++) elements *= row.size[i];
    return elements;
}

int64_t trace_parts_row_bytes(const TraceShape *shape) {
    int64_t elements = 0;
    for (int set = 0; set < SETS; set++) elements += row_elements(shape, set);
    return elements * (int64_t)sizeof(float);
}

static void *set_values(const TraceRows *rows, int set) {
    void *values;
    memcpy(&values, (const char *)rows + SET[set].member, sizeof values);
    return values;
}

TraceRows trace_parts_rows_new(const TraceShape *shape, int64_t rows) {
    TraceRows made = {0};
    for (int set = 0; set < SETS; set++) {
        void *values = memory_new((size_t)(rows * row_elements(shape, set)), sizeof(float));
        memcpy((char *)&made + SET[set].member, &values, sizeof values);
    }
    return made;
}

void trace_parts_rows_free(TraceRows *rows) {
    for (int set = 0; set < SETS; set++) free(set_values(rows, set));
    *rows = (TraceRows){0};
}

const char *trace_parts_read_shard(hid_t shard, const TraceShape *shape, int64_t first, int64_t count,
                                   const TraceRows *rows) {
    for (int set = 0; set < SETS; set++) {
        const HdfArray part = set_array(shape, set, count);
        char *values = set_values(rows, set);
        if (hdf_get_array(shard, &part, values + first * row_elements(shape, set) * (int64_t)sizeof(float)) != HDF_READ)
            return SET[set].name;
    }
    return NULL;
}

/* --- a file */

static void put_text(HdfWriter *writer, const char *object, const char *attribute, const char *text) {
    char name[HDF_NAME];
    snprintf(name, sizeof name, "%s/%s", object + 1, attribute);
    hdf_put_text(writer, name, text);
}

/* What every file of a set says about itself; `shard` -1: the index. */
static void put_facts(HdfWriter *writer, const TraceFile *file, int shard) {
    hdf_put_text(writer, "about",
                 "Trace of a Recurrent Attention Model by ram_dist. index.h5 presents all shards as whole data "
                 "sets with named axes: /trace holds, for each image and roll-out, where each glimpse looked "
                 "and what the model thought; attributes of /trace, /config and /provenance say of which "
                 "model and data, how it was configured and where it came from.");
    hdf_put_int(writer, "format_version", 1);
    if (shard >= 0) hdf_put_int(writer, "shard", shard);
    hdf_put_int(writer, "shards", file->shards);
    for (int i = 0; i < file->scalars; i++) hdf_put_scalar(writer, &file->scalar[i]);
}

Status trace_parts_build_shard(const TraceFile *file, int shard, const TraceRows *rows, HdfImage *image) {
    HdfWriter writer;
    hdf_begin(&writer);
    put_facts(&writer, file, shard);
    for (int set = 0; set < SETS; set++) {
        const HdfArray part = set_array(file->shape, set, rows->rows);
        hdf_put_rows(&writer, &part, set_values(rows, set), rows->first);
    }
    return hdf_finish(&writer, image);
}

static void put_axis(HdfWriter *writer, const TraceShape *shape, Axis axis) {
    const int64_t size = axis_size(shape, axis);
    const HdfArray array = {AXIS[axis].name, AXIS[axis].element, 1, {size}};
    int32_t *number = memory_new((size_t)size, sizeof *number);
    char letter[2] = {(char)AXIS[axis].first, (char)(AXIS[axis].first + 1)};
    for (int64_t i = 0; i < size; i++) number[i] = AXIS[axis].first + (int32_t)i;
    hdf_put_array(writer, &array, array.element == HDF_LETTER ? (const void *)letter : number);
    free(number);
}

Status trace_parts_build_index(const TraceFile *file, HdfImage *image) {
    HdfWriter writer;
    hdf_begin(&writer);
    put_facts(&writer, file, -1);
    for (int set = 0; set < SETS; set++) {
        const HdfArray whole = set_array(file->shape, set, file->shape->samples);
        hdf_put_virtual(&writer, &whole, file->shards);
        put_text(&writer, whole.name, "units", "1");
        if (SET[set].long_name) put_text(&writer, whole.name, "long_name", SET[set].long_name);
        if (SET[set].coordinate_system) put_text(&writer, whole.name, "coordinate_system", SET[set].coordinate_system);
    }
    for (Axis axis = 0; axis < AXES; axis++) {
        if (axis != SAMPLE) put_axis(&writer, file->shape, axis);
        if (axis != SAMPLE && AXIS[axis].element != HDF_LETTER) put_text(&writer, AXIS[axis].name, "units", "1");
        /* netCDF's way to say that letters are texts: without it xarray takes them for bytes */
        if (AXIS[axis].element == HDF_LETTER) put_text(&writer, AXIS[axis].name, "_Encoding", "utf-8");
        put_text(&writer, AXIS[axis].name, "long_name", AXIS[axis].long_name);
    }
    for (int set = 0; set < SETS; set++)
        for (int i = 0; i < SET[set].dimensions; i++)
            if (strcmp(SET[set].name, AXIS[SET[set].axis[i]].name) != 0) /* a scale has none itself */
                hdf_attach_scale(&writer, SET[set].name, i, AXIS[SET[set].axis[i]].name);
    return hdf_finish(&writer, image);
}
