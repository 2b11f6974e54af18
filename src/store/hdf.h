/* HDF5 files in memory: built in memory of our own and read from a verified image, so that the disk is only ever
 * touched by base/atomic_file and libhdf5 never meets a damaged byte or a failing write. Owns how the store uses HDF5:
 * bounds, checksums, string and number types. Must not know what a checkpoint is. Nothing here is collective. */
#ifndef RAM_STORE_HDF_H
#define RAM_STORE_HDF_H

#include "base/status.h"
#include "store/scalar.h"

#include <hdf5.h>

enum { HDF_NAME = 128 /* longest object path: "/adam/m/rnn.i2h.weight" */, HDF_DIMENSIONS = 4 };

/* A file being written. After its first failure no further HDF5 call is made for it: every call is then a no-op, and
 * hdf_finish() tells. The file and its objects then stay open, since closing them would write; what belongs to no file
 * (spaces, types, property lists) is closed. */
typedef struct {
    hid_t file;
    hid_t group_list, row_list; /* property lists that all objects share */
    struct HdfMemory *memory;   /* where HDF5 builds the file */
    bool failed;
    char failure[200]; /* object and HDF5's own reason */
} HdfWriter;

/* The bytes of a whole file. free() data. */
typedef struct {
    void *data;
    size_t bytes;
} HdfImage;

typedef enum {
    HDF_FLOAT,
    HDF_INT /* int32_t */,
    HDF_BYTE /* uint8_t */,
    HDF_LETTER /* char: a text of one */
} HdfElement;

/* A data set: its rows are the first dimension, the one that is cut over files. */
typedef struct {
    const char *name;
    HdfElement element;
    int dimensions;
    int64_t size[HDF_DIMENSIONS];
} HdfArray;

void hdf_begin(HdfWriter *writer);
void hdf_put_scalar(HdfWriter *writer, const StoreScalar *scalar);
void hdf_put_int(HdfWriter *writer, const char *name, int64_t value);
void hdf_put_text(HdfWriter *writer, const char *name, const char *text);
/* A data set that is whole in this file, with checksum. */
void hdf_put_array(HdfWriter *writer, const HdfArray *array, const void *values);
/* The rows from `first_row` on of a data set that is cut over files: `part` is what lies in this one. */
void hdf_put_rows(HdfWriter *writer, const HdfArray *part, const void *values, int64_t first_row);
/* A data set that presents the rows of the same name in the `shards` files beside this one that MANIFEST names, cut as
 * base/partition says; NaN or -1 where a file is missing. */
void hdf_put_virtual(HdfWriter *writer, const HdfArray *whole, int shards);
/* Makes the data set `scale` of this file the dimension scale of dimension `axis` of `name`, under its last name. */
void hdf_attach_scale(HdfWriter *writer, const char *name, int axis, const char *scale);
/* A text in the group /metadata, where files for other programs keep their facts. */
void hdf_put_fact(HdfWriter *writer, const char *name, const char *text);
/* Closes the file and takes its bytes; frees all but them. */
Status hdf_finish(HdfWriter *writer, HdfImage *image);
/* Closes the file and writes it to `path` in one step. RAM_IO. */
Status hdf_save(HdfWriter *writer, const char *path);

/* Opens the image of the whole file folder/name read-only; H5Fclose() it. Takes the image's data, which are freed with
 * the file, or at once where HDF5 refuses it: RAM_DATA. */
Status hdf_open(const char *folder, const char *name, HdfImage image, hid_t *file);

typedef enum { HDF_READ, HDF_ABSENT, HDF_WRONG } HdfOutcome;
/* HDF_WRONG: of another type, or longer than the buffer. */
HdfOutcome hdf_get_scalar(hid_t file, const StoreScalar *scalar);
/* Number of dimensions and their sizes of a float data set. */
HdfOutcome hdf_get_sizes(hid_t file, const char *name, int *dimensions, int64_t size[HDF_DIMENSIONS]);
/* The same of a matrix or a vector (columns 0). */
HdfOutcome hdf_get_shape(hid_t file, const char *name, int64_t *rows, int64_t *columns);
/* All of a data set that must be as `array` says, element and sizes. */
HdfOutcome hdf_get_array(hid_t file, const HdfArray *array, void *values);
/* All of a data set whose shape was asked before. */
bool hdf_get_rows(hid_t file, const char *name, float *values);

/* Calls `visit` for each link of `group` by name; false when the group is absent or unreadable. */
bool hdf_visit_group(hid_t file, const char *group, void (*visit)(const char *name, bool is_group, void *context),
                     void *context);

/* Calls `visit` for each attribute of `object` by name. */
bool hdf_visit_attributes(hid_t file, const char *object, void (*visit)(const char *name, void *context),
                          void *context);

#endif
