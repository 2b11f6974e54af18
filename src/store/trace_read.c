#include "store/trace_read.h"
#include "base/memory.h"
#include "base/partition.h"
#include "store/hdf.h"
#include "store/manifest.h"
#include "store/trace_parts.h"

#include <math.h>
#include <stdlib.h>

static const int64_t MOST_BYTES = (int64_t)2 << 30;
enum { MOST_ROLLOUTS = 1 << 20, MOST_GLIMPSES = 1 << 12, MOST_CLASSES = 1 << 16 };

static Status check_shape(const char *path, const TraceShape *shape) {
    if (shape->samples < 1 || shape->samples > INT32_MAX || shape->rollouts < 1 || shape->rollouts > MOST_ROLLOUTS ||
        shape->glimpses < 1 || shape->glimpses > MOST_GLIMPSES || shape->classes < 1 || shape->classes > MOST_CLASSES)
        return status_error(RAM_DATA, "the dimensions of the trace %.400s are not those of any trace", path);
    if (shape->samples > MOST_BYTES / trace_parts_row_bytes(shape))
        return status_error(RAM_USAGE,
                            "the trace %.300s is larger than %lld GiB, too large for pictures: make one of fewer "
                            "images or roll-outs (ram_dist trace --limit N --rollouts M)",
                            path, (long long)(MOST_BYTES >> 30));
    return status_ok();
}

static bool are_below(const int32_t *values, int64_t count, int bound) {
    for (int64_t i = 0; i < count; i++)
        if (values[i] < 0 || values[i] >= bound) return false;
    return true;
}

static bool are_locations(const float *values, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if (fabsf(values[i]) > 1) return false;
    return true;
}

static Status check_values(const char *path, const TraceShape *shape, const TraceRows *rows) {
    const int64_t N = shape->samples, M = shape->rollouts;
    const char *wrong = NULL;
    if (!are_below(rows->label, N, shape->classes)) wrong = "a label";
    if (!are_below(rows->prediction, N * M, shape->classes)) wrong = "a prediction";
    if (!are_below(rows->index, N, INT32_MAX)) wrong = "an index";
    if (!are_locations(rows->location, N * M * (shape->glimpses + 1) * 2)) wrong = "a location";
    if (!wrong) return status_ok();
    return status_error(RAM_DATA, "%s in the trace %.400s is outside its range: make the trace anew", wrong, path);
}

static Status read_shard(const char *path, const Manifest *manifest, int i, const TraceContent *content) {
    const ManifestFile *file = &manifest->file[i];
    const TraceShape *shape = &content->facts.shape;
    HdfImage image = {.bytes = file->bytes};
    TRY(manifest_read_file(path, file, &image.data));
    hid_t shard;
    TRY(hdf_open(path, file->name, image, &shard));
    const char *wrong = trace_parts_read_shard(shard, shape, partition_begin(shape->samples, i, manifest->shards),
                                               partition_count(shape->samples, i, manifest->shards), &content->rows);
    H5Fclose(shard);
    if (!wrong) return status_ok();
    return status_error(RAM_DATA, "%s in %.300s/%s is not as index.h5 says: make the trace anew", wrong, path,
                        file->name);
}

static Status read_shards(const char *path, const TraceContent *content) {
    Manifest manifest;
    TRY(manifest_read(path, MANIFEST_TRACE, &manifest));
    Status status = status_ok();
    for (int i = 0; i < manifest.shards && !status_failed(&status); i++)
        status = read_shard(path, &manifest, i, content);
    manifest_free(&manifest);
    return status;
}

Status trace_read(const char *path, TraceContent *content) {
    *content = (TraceContent){0};
    Status status = inspect_trace(path, &content->facts);
    if (!status_failed(&status)) status = check_shape(path, &content->facts.shape);
    if (!status_failed(&status))
        status = memory_room((size_t)(content->facts.shape.samples * trace_parts_row_bytes(&content->facts.shape)),
                             "reading %s", path);
    if (!status_failed(&status)) {
        content->rows = trace_parts_rows_new(&content->facts.shape, content->facts.shape.samples);
        content->rows.rows = content->facts.shape.samples;
        status = read_shards(path, content);
    }
    if (!status_failed(&status)) status = check_values(path, &content->facts.shape, &content->rows);
    if (status_failed(&status)) trace_read_free(content);
    return status;
}

void trace_read_free(TraceContent *content) {
    free(content->facts.scalars.scalar);
    trace_parts_rows_free(&content->rows);
    *content = (TraceContent){0};
}
