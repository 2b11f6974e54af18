#include "store/hdf.h"
#include "base/atomic_file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/partition.h"
#include "store/manifest.h"

#include <hdf5_hl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Links and attributes stay in their group's header, under its checksum, instead of in heaps and trees beside it. */
enum { CHUNK_BYTES = 1 << 20, COMPACT = 4096, GROWTH = 1 << 18 };

/* Of a field: more is in no checkpoint, but a file can claim any number. */
static const int64_t ELEMENTS_MOST = (int64_t)1 << 31;

/* The innermost reason on HDF5's error stack. */
static herr_t keep_innermost(unsigned depth, const H5E_error2_t *error, void *reason) {
    if (depth == 0) snprintf(reason, 100, "%s: %s", error->func_name, error->desc);
    return 0;
}

/* Records the first failure; `result` is any HDF5 return value. */
static bool check(HdfWriter *writer, int64_t result, const char *name) {
    if (result >= 0) return true;
    char reason[100] = "no reason given";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, reason);
    writer->failed = true;
    snprintf(writer->failure, sizeof writer->failure, "%s: %s", name, reason);
    return false;
}

/* HDF5 prints its error stack unless told not to; the store speaks for itself. */
static void silence(void) { H5Eset_auto2(H5E_DEFAULT, NULL, NULL); }

/* --- the memory that a file is built in: ours, so that a finished file need not be copied out of HDF5. (Of 1.10.8,
 * H5Fget_file_image leaves a wrong checksum in the superblock.) */

struct HdfMemory {
    unsigned char *data;
    size_t bytes;
    bool abandoned; /* by a writer that failed: free both when HDF5 closes the file, at the end of the process */
};

static void *grow_memory(void *data, size_t bytes, H5FD_file_image_op_t operation, void *context) {
    struct HdfMemory *memory = context;
    (void)operation;
    memory->data = realloc(data, bytes);
    if (!memory->data) fatal("out of memory: %zu bytes asked for", bytes);
    if (bytes > memory->bytes) memset(memory->data + memory->bytes, 0, bytes - memory->bytes);
    memory->bytes = bytes;
    return memory->data;
}

/* HDF5 closes the file. */
static herr_t leave_memory(void *data, H5FD_file_image_op_t operation, void *context) {
    struct HdfMemory *memory = context;
    (void)operation;
    if (!memory->abandoned) return 0;
    free(data);
    free(memory);
    return 0;
}

static void *share_context(void *context) { return context; }

static herr_t keep_context(void *context) {
    (void)context;
    return 0;
}

/* Length of a finished file: the end-of-file address of its superblock (File Format Specification, version 2 and 3). */
static size_t file_bytes(const struct HdfMemory *memory) {
    enum { VERSION = 8, END = 28 };
    size_t bytes = 0;
    require(memory->bytes > END + 8 && (memory->data[VERSION] == 2 || memory->data[VERSION] == 3));
    for (int i = 7; i >= 0; i--) bytes = bytes << 8 | memory->data[END + i];
    require(bytes <= memory->bytes);
    return bytes;
}

void hdf_begin(HdfWriter *writer) {
    silence();
    *writer = (HdfWriter){.file = -1, .memory = memory_new(1, sizeof *writer->memory)};
    writer->group_list = H5Pcreate(H5P_GROUP_CREATE);
    writer->row_list = H5Pcreate(H5P_DATASET_CREATE);
    H5FD_file_image_callbacks_t callbacks = {.image_realloc = grow_memory,
                                             .image_free = leave_memory,
                                             .udata_copy = share_context,
                                             .udata_free = keep_context,
                                             .udata = writer->memory};
    char name[32]; /* HDF5 takes two open in-memory files of one name for the same file */
    snprintf(name, sizeof name, "%p", (void *)writer->memory);
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), creation = H5Pcreate(H5P_FILE_CREATE);
    /* readable by HDF5 1.10 and everything newer, with checksums on all metadata */
    if (check(writer, H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110), "version bounds") &&
        check(writer, H5Pset_attr_phase_change(creation, COMPACT, 0), "root group") &&
        check(writer, H5Pset_obj_track_times(creation, false), "root group") && /* equal contents, equal files */
        check(writer, H5Pset_fapl_core(access, GROWTH, false), "driver") &&
        check(writer, H5Pset_file_image_callbacks(access, &callbacks), "driver") &&
        check(writer, H5Pset_attr_phase_change(writer->group_list, COMPACT, 0), "group list") &&
        check(writer, H5Pset_link_phase_change(writer->group_list, COMPACT, 0), "group list") &&
        check(writer, H5Pset_obj_track_times(writer->group_list, false), "group list") &&
        check(writer, H5Pset_obj_track_times(writer->row_list, false), "row list") &&
        check(writer, H5Pset_fletcher32(writer->row_list), "fletcher32")) {
        writer->file = H5Fcreate(name, H5F_ACC_TRUNC, creation, access);
        check(writer, writer->file, "file");
    }
    H5Pclose(access);
    H5Pclose(creation);
}

/* Makes the groups above the last name of `name`. */
static void make_groups(HdfWriter *writer, const char *name) {
    char group[HDF_NAME];
    for (const char *slash = strchr(name + 1, '/'); slash && !writer->failed; slash = strchr(slash + 1, '/')) {
        snprintf(group, sizeof group, "%.*s", (int)(slash - name), name);
        htri_t exists = H5Lexists(writer->file, group, H5P_DEFAULT);
        if (!check(writer, exists, group) || exists) continue;
        hid_t made = H5Gcreate2(writer->file, group, H5P_DEFAULT, writer->group_list, H5P_DEFAULT);
        if (check(writer, made, group)) check(writer, H5Gclose(made), group);
    }
}

/* Type in the file; for texts of `bytes` with the end. H5Tclose() it. */
static hid_t file_type(StoreType type, size_t bytes) {
    if (type == STORE_INT) return H5Tcopy(H5T_STD_I64LE);
    if (type == STORE_REAL) return H5Tcopy(H5T_IEEE_F64LE);
    hid_t text = H5Tcopy(H5T_C_S1);
    H5Tset_size(text, bytes);
    H5Tset_cset(text, H5T_CSET_UTF8);
    return text;
}

/* Cuts "config/train.lr" into object "/config" and attribute "train.lr". */
static const char *split_name(const char *name, char object[HDF_NAME]) {
    const char *slash = strrchr(name, '/');
    int length = slash ? (int)(slash - name) : 0;
    require(strlen(name) + 2 < HDF_NAME && name[0] != '/');
    snprintf(object, HDF_NAME, "/%.*s", length, name);
    return slash ? slash + 1 : name;
}

static void put_attribute(HdfWriter *writer, const char *object, const char *name, StoreType type, const void *value) {
    if (writer->failed) return;
    hid_t stored = file_type(type, type == STORE_TEXT ? strlen(value) + 1 : 0);
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute =
        H5Acreate_by_name(writer->file, object, name, stored, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    hid_t memory = type == STORE_INT ? H5T_NATIVE_INT64 : type == STORE_REAL ? H5T_NATIVE_DOUBLE : stored;
    if (check(writer, attribute, name) && check(writer, H5Awrite(attribute, memory, value), name))
        check(writer, H5Aclose(attribute), name);
    H5Sclose(space);
    H5Tclose(stored);
}

static void put_value(HdfWriter *writer, const char *name, StoreType type, const void *value) {
    char object[HDF_NAME], below[HDF_NAME + 2];
    const char *attribute = split_name(name, object);
    snprintf(below, sizeof below, "%s/.", object);
    if (object[1]) make_groups(writer, below);
    put_attribute(writer, object, attribute, type, value);
}

void hdf_put_scalar(HdfWriter *writer, const StoreScalar *scalar) {
    put_value(writer, scalar->name, scalar->type, scalar->value);
}

void hdf_put_int(HdfWriter *writer, const char *name, int64_t value) { put_value(writer, name, STORE_INT, &value); }

void hdf_put_text(HdfWriter *writer, const char *name, const char *text) { put_value(writer, name, STORE_TEXT, text); }

void hdf_put_fact(HdfWriter *writer, const char *name, const char *text) {
    char place[HDF_NAME];
    snprintf(place, sizeof place, "metadata/%s", name);
    hdf_put_text(writer, place, text);
}

static hid_t element_type(HdfElement element, bool in_file) {
    if (element == HDF_FLOAT) return H5Tcopy(in_file ? H5T_IEEE_F32LE : H5T_NATIVE_FLOAT);
    if (element == HDF_INT) return H5Tcopy(in_file ? H5T_STD_I32LE : H5T_NATIVE_INT32);
    if (element == HDF_BYTE) return H5Tcopy(in_file ? H5T_STD_U8LE : H5T_NATIVE_UINT8);
    hid_t letter = H5Tcopy(H5T_C_S1);
    H5Tset_strpad(letter, H5T_STR_NULLPAD); /* without an end there is room for one */
    return letter;
}

static int64_t row_bytes(const HdfArray *array) {
    int64_t bytes = array->element == HDF_LETTER || array->element == HDF_BYTE ? 1 : 4;
    for (int i = 1; i < array->dimensions; i++) bytes *= array->size[i];
    return bytes;
}

/* The space of `rows` rows of the array. */
static hid_t make_space(const HdfArray *array, int64_t rows) {
    hsize_t size[HDF_DIMENSIONS] = {(hsize_t)rows};
    for (int i = 1; i < array->dimensions; i++) size[i] = (hsize_t)array->size[i];
    return H5Screate_simple(array->dimensions, size, NULL);
}

static bool set_chunk(HdfWriter *writer, const HdfArray *array) {
    hsize_t chunk[HDF_DIMENSIONS];
    const int64_t bytes = row_bytes(array), most = bytes < CHUNK_BYTES ? CHUNK_BYTES / bytes : 1;
    const int64_t chunks = (array->size[0] + most - 1) / most;
    for (int i = 1; i < array->dimensions; i++) chunk[i] = (hsize_t)array->size[i];
    chunk[0] = (hsize_t)((array->size[0] + chunks - 1) / chunks); /* all about as long: every chunk takes whole space */
    return check(writer, H5Pset_chunk(writer->row_list, array->dimensions, chunk), array->name);
}

void hdf_put_array(HdfWriter *writer, const HdfArray *array, const void *values) {
    const char *name = array->name;
    make_groups(writer, name);
    if (writer->failed || !set_chunk(writer, array)) return;
    hid_t stored = element_type(array->element, true), memory = element_type(array->element, false);
    hid_t space = make_space(array, array->size[0]);
    hid_t set = H5Dcreate2(writer->file, name, stored, space, H5P_DEFAULT, writer->row_list, H5P_DEFAULT);
    if (check(writer, set, name) && check(writer, H5Dwrite(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), name))
        check(writer, H5Dclose(set), name);
    H5Sclose(space);
    H5Tclose(stored);
    H5Tclose(memory);
}

void hdf_put_rows(HdfWriter *writer, const HdfArray *part, const void *values, int64_t first_row) {
    hdf_put_array(writer, part, values);
    put_attribute(writer, part->name, "first_row", STORE_INT, &first_row);
}

/* Says that row `first` and the `count` - 1 after it are all rows of the same name in the file `source`. */
static bool map_rows(HdfWriter *writer, const HdfArray *whole, hid_t list, hid_t space, const char *source,
                     int64_t first, int64_t count) {
    hsize_t start[HDF_DIMENSIONS] = {(hsize_t)first}, size[HDF_DIMENSIONS] = {(hsize_t)count};
    for (int i = 1; i < whole->dimensions; i++) size[i] = (hsize_t)whole->size[i];
    hid_t part = make_space(whole, count);
    const bool mapped =
        check(writer, H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL), whole->name) &&
        check(writer, H5Pset_virtual(list, space, source, whole->name, part), whole->name);
    H5Sclose(part);
    return mapped;
}

/* Says where each shard's rows are, and what a missing file's are. */
static bool map_shards(HdfWriter *writer, const HdfArray *whole, hid_t list, hid_t space, int shards) {
    herr_t filled = whole->element == HDF_FLOAT ? H5Pset_fill_value(list, H5T_NATIVE_FLOAT, &(float){NAN})
                                                : H5Pset_fill_value(list, H5T_NATIVE_INT32, &(int32_t){-1});
    if (!check(writer, filled, whole->name)) return false;
    if (!check(writer, H5Pset_obj_track_times(list, false), whole->name)) return false;
    for (int i = 0; i < shards; i++) {
        int64_t first = partition_begin(whole->size[0], i, shards);
        int64_t count = partition_count(whole->size[0], i, shards);
        char shard[MANIFEST_NAME];
        if (count == 0) continue;
        manifest_shard_name(shard, i, shards);
        if (!map_rows(writer, whole, list, space, shard, first, count)) return false;
    }
    return check(writer, H5Sselect_all(space), whole->name);
}

void hdf_put_virtual(HdfWriter *writer, const HdfArray *whole, int shards) {
    const char *name = whole->name;
    require(whole->element == HDF_FLOAT || whole->element == HDF_INT);
    make_groups(writer, name);
    if (writer->failed) return;
    hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = make_space(whole, whole->size[0]);
    hid_t stored = element_type(whole->element, true);
    if (map_shards(writer, whole, list, space, shards)) {
        hid_t set = H5Dcreate2(writer->file, name, stored, space, H5P_DEFAULT, list, H5P_DEFAULT);
        if (check(writer, set, name)) check(writer, H5Dclose(set), name);
    }
    H5Sclose(space);
    H5Pclose(list);
    H5Tclose(stored);
}

/* DIMENSION_LIST, in which HDF5 keeps an axis' scales, is of variable length by its specification. Labels of axes would
 * be as well, and say nothing that the scales' names do not: there are none. */
void hdf_attach_scale(HdfWriter *writer, const char *name, int axis, const char *scale) {
    if (writer->failed) return;
    const char *slash = strrchr(scale, '/');
    hid_t scaled = H5Dopen2(writer->file, name, H5P_DEFAULT), scaling = H5Dopen2(writer->file, scale, H5P_DEFAULT);
    if (!check(writer, scaled, name) || !check(writer, scaling, scale)) return;
    if (H5DSis_scale(scaling) <= 0 && !check(writer, H5DSset_scale(scaling, slash ? slash + 1 : scale), scale)) return;
    if (!check(writer, H5DSattach_scale(scaled, scaling, (unsigned)axis), name)) return;
    check(writer, H5Dclose(scaling), scale);
    check(writer, H5Dclose(scaled), name);
}

Status hdf_finish(HdfWriter *writer, HdfImage *image) {
    H5Pclose(writer->group_list);
    H5Pclose(writer->row_list);
    if (!writer->failed) check(writer, H5Fclose(writer->file), "closing");
    if (writer->failed) {
        writer->memory->abandoned = true;
        return status_error(RAM_IO,
                            "cannot build an HDF5 file in memory (%s); is this the HDF5 that ram_dist was built with?",
                            writer->failure);
    }
    *image = (HdfImage){.data = writer->memory->data, .bytes = file_bytes(writer->memory)};
    free(writer->memory);
    return status_ok();
}

Status hdf_save(HdfWriter *writer, const char *path) {
    HdfImage image;
    TRY(hdf_finish(writer, &image));
    const Status status = atomic_file_write(path, image.data, image.bytes);
    free(image.data);
    return status;
}

/* --- reading: HDF5 works on the image itself, where by itself it would hold two copies more. (H5LTopen_file_image does
 * the same, and of 1.10.8 it loses 72 bytes with every file.) */

typedef struct {
    HdfImage image; /* no data: freed */
    bool open;      /* from then on this is freed with the file */
} HdfSource;

static void *lend_image(size_t bytes, H5FD_file_image_op_t operation, void *context) {
    HdfSource *source = context;
    (void)operation;
    return bytes == source->image.bytes ? source->image.data : NULL;
}

static void *copy_nothing(void *to, const void *from, size_t bytes, H5FD_file_image_op_t operation, void *context) {
    (void)bytes, (void)operation, (void)context;
    return to == from ? to : NULL;
}

static herr_t take_back(void *data, H5FD_file_image_op_t operation, void *context) {
    HdfSource *source = context;
    if (operation != H5FD_FILE_IMAGE_OP_FILE_CLOSE) return 0;
    free(data);
    source->image.data = NULL;
    if (source->open) free(source);
    return 0;
}

Status hdf_open(const char *folder, const char *name, HdfImage image, hid_t *file) {
    silence();
    HdfSource *source = memory_new(1, sizeof *source);
    source->image = image;
    H5FD_file_image_callbacks_t callbacks = {.image_malloc = lend_image,
                                             .image_memcpy = copy_nothing,
                                             .image_free = take_back,
                                             .udata_copy = share_context,
                                             .udata_free = keep_context,
                                             .udata = source};
    char unique[32]; /* HDF5 takes two open in-memory files of one name for the same file */
    snprintf(unique, sizeof unique, "%p", (void *)source);
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    *file = -1;
    if (H5Pset_fapl_core(access, 1 << 16, false) >= 0 && H5Pset_file_image_callbacks(access, &callbacks) >= 0 &&
        H5Pset_file_image(access, image.data, image.bytes) >= 0)
        *file = H5Fopen(unique, H5F_ACC_RDONLY, access);
    H5Pclose(access);
    if (*file >= 0) {
        source->open = true;
        return status_ok();
    }
    free(source->image.data);
    free(source);
    return status_error(RAM_DATA, "%.400s/%s is whole, but HDF5 cannot open it; was it made by a newer ram_dist?",
                        folder, name);
}

/* Like H5Lexists, also where a group on the way is missing. */
static bool path_exists(hid_t file, const char *name) {
    char part[HDF_NAME];
    for (const char *slash = strchr(name + 1, '/');; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", slash ? (int)(slash - name) : (int)strlen(name), name);
        if (H5Lexists(file, part, H5P_DEFAULT) <= 0) return false;
        if (!slash) return true;
    }
}

/* Whether a stored attribute is what the scalar asks for. */
static bool type_fits(hid_t stored, const StoreScalar *scalar) {
    H5T_class_t class = H5Tget_class(stored);
    size_t bytes = H5Tget_size(stored);
    if (scalar->type == STORE_INT) return class == H5T_INTEGER && bytes == sizeof(int64_t);
    if (scalar->type == STORE_REAL) return class == H5T_FLOAT && bytes == sizeof(double);
    return class == H5T_STRING && H5Tis_variable_str(stored) == 0 && bytes <= scalar->bytes;
}

HdfOutcome hdf_get_scalar(hid_t file, const StoreScalar *scalar) {
    char object[HDF_NAME];
    const char *name = split_name(scalar->name, object);
    if (object[1] && !path_exists(file, object)) return HDF_ABSENT;
    htri_t exists = H5Aexists_by_name(file, object, name, H5P_DEFAULT);
    if (exists <= 0) return exists == 0 ? HDF_ABSENT : HDF_WRONG;
    hid_t attribute = H5Aopen_by_name(file, object, name, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0) return HDF_WRONG;
    hid_t stored = H5Aget_type(attribute), space = H5Aget_space(attribute);
    HdfOutcome outcome = HDF_WRONG;
    if (type_fits(stored, scalar) && H5Sget_simple_extent_npoints(space) == 1) {
        hid_t memory = file_type(scalar->type, H5Tget_size(stored));
        if (H5Aread(attribute, memory, scalar->value) >= 0) outcome = HDF_READ;
        if (scalar->type == STORE_TEXT) ((char *)scalar->value)[H5Tget_size(stored) - 1] = 0;
        H5Tclose(memory);
    }
    H5Sclose(space);
    H5Tclose(stored);
    H5Aclose(attribute);
    return outcome;
}

HdfOutcome hdf_get_sizes(hid_t file, const char *name, int *dimensions, int64_t size[HDF_DIMENSIONS]) {
    if (!path_exists(file, name)) return HDF_ABSENT;
    hid_t set = H5Dopen2(file, name, H5P_DEFAULT);
    if (set < 0) return HDF_WRONG;
    hid_t stored = H5Dget_type(set), space = H5Dget_space(set);
    HdfOutcome outcome = HDF_WRONG;
    hsize_t found[HDF_DIMENSIONS];
    *dimensions = H5Sget_simple_extent_ndims(space);
    if (H5Tequal(stored, H5T_IEEE_F32LE) > 0 && *dimensions >= 1 && *dimensions <= HDF_DIMENSIONS) {
        H5Sget_simple_extent_dims(space, found, NULL);
        for (int i = 0; i < *dimensions; i++) size[i] = (int64_t)found[i];
        outcome = HDF_READ;
    }
    H5Sclose(space);
    H5Tclose(stored);
    H5Dclose(set);
    return outcome;
}

/* Whether the data set is as `array` says. */
static bool array_fits(hid_t set, const HdfArray *array) {
    hid_t stored = H5Dget_type(set), expected = element_type(array->element, true), space = H5Dget_space(set);
    hsize_t found[HDF_DIMENSIONS];
    bool fits = H5Tequal(stored, expected) > 0 && H5Sget_simple_extent_ndims(space) == array->dimensions &&
                H5Sget_simple_extent_dims(space, found, NULL) >= 0;
    for (int i = 0; i < array->dimensions && fits; i++) fits = (int64_t)found[i] == array->size[i];
    H5Sclose(space);
    H5Tclose(expected);
    H5Tclose(stored);
    return fits;
}

HdfOutcome hdf_get_array(hid_t file, const HdfArray *array, void *values) {
    if (!path_exists(file, array->name)) return HDF_ABSENT;
    hid_t set = H5Dopen2(file, array->name, H5P_DEFAULT), memory = element_type(array->element, false);
    const bool read =
        set >= 0 && array_fits(set, array) && H5Dread(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;
    H5Tclose(memory);
    if (set >= 0) H5Dclose(set);
    return read ? HDF_READ : HDF_WRONG;
}

HdfOutcome hdf_get_shape(hid_t file, const char *name, int64_t *rows, int64_t *columns) {
    int dimensions;
    int64_t size[HDF_DIMENSIONS];
    const HdfOutcome outcome = hdf_get_sizes(file, name, &dimensions, size);
    if (outcome != HDF_READ) return outcome;
    *rows = size[0];
    *columns = dimensions == 2 ? size[1] : 0;
    if (dimensions > 2 || *rows > ELEMENTS_MOST || (*columns && *rows > ELEMENTS_MOST / *columns)) return HDF_WRONG;
    return HDF_READ;
}

bool hdf_get_rows(hid_t file, const char *name, float *values) {
    hid_t set = H5Dopen2(file, name, H5P_DEFAULT);
    if (set < 0) return false;
    bool read = H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;
    H5Dclose(set);
    return read;
}

typedef struct {
    void (*visit)(const char *name, bool is_group, void *context);
    void *context;
} Visit;

static herr_t visit_link(hid_t group, const char *name, const H5L_info_t *info, void *context) {
    (void)info;
    const Visit *visit = context;
    H5O_info_t object;
    if (H5Oget_info_by_name2(group, name, &object, H5O_INFO_BASIC, H5P_DEFAULT) < 0) return -1;
    visit->visit(name, object.type == H5O_TYPE_GROUP, visit->context);
    return 0;
}

bool hdf_visit_group(hid_t file, const char *group, void (*visit)(const char *name, bool is_group, void *context),
                     void *context) {
    if (group[1] && !path_exists(file, group)) return false;
    hid_t opened = H5Gopen2(file, group, H5P_DEFAULT);
    if (opened < 0) return false;
    Visit each = {visit, context};
    bool done = H5Literate(opened, H5_INDEX_NAME, H5_ITER_INC, NULL, visit_link, &each) >= 0;
    H5Gclose(opened);
    return done;
}

typedef struct {
    void (*visit)(const char *name, void *context);
    void *context;
} AttributeVisit;

static herr_t visit_attribute(hid_t object, const char *name, const H5A_info_t *info, void *context) {
    (void)object, (void)info;
    const AttributeVisit *visit = context;
    visit->visit(name, visit->context);
    return 0;
}

bool hdf_visit_attributes(hid_t file, const char *object, void (*visit)(const char *name, void *context),
                          void *context) {
    AttributeVisit each = {visit, context};
    return H5Aiterate_by_name(file, object, H5_INDEX_NAME, H5_ITER_INC, NULL, visit_attribute, &each, H5P_DEFAULT) >= 0;
}
