#include "base/log.h"
#include "base/memory.h"
#include "base/partition.h"
#include "store/checkpoint.h"
#include "store/checkpoint_parts.h"
#include "store/step_folder.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void checkpoint_close(Checkpoint *checkpoint) {
    if (!checkpoint) return;
    for (int i = 0; checkpoint->shard && i < checkpoint->manifest.shards; i++)
        if (checkpoint->shard[i] > 0) H5Fclose(checkpoint->shard[i]);
    if (checkpoint->index > 0) H5Fclose(checkpoint->index);
    free(checkpoint->shard);
    manifest_free(&checkpoint->manifest);
    free(checkpoint);
}

int64_t checkpoint_step(const Checkpoint *checkpoint) { return checkpoint->step; }
int checkpoint_shards(const Checkpoint *checkpoint) { return checkpoint->manifest.shards; }

void checkpoint_hash(const Checkpoint *checkpoint, char hash[HASH_TEXT]) { manifest_hash(&checkpoint->manifest, hash); }

static Status read_step(Checkpoint *checkpoint) {
    const StoreScalar step = {.name = "step", .type = STORE_INT, .value = &checkpoint->step};
    return checkpoint_read_scalars(checkpoint, 1, &step);
}

/* Rank 0: the whole index, verified. */
static Status read_index(const Checkpoint *checkpoint, void **data) {
    return manifest_read_file(checkpoint->path, &checkpoint->manifest.file[checkpoint->manifest.shards], data);
}

static Status verify(Checkpoint *checkpoint) {
    const Manifest *manifest = &checkpoint->manifest;
    HdfImage image;
    TRY(manifest_read(checkpoint->path, MANIFEST_CHECKPOINT, &checkpoint->manifest));
    for (int i = 0; i < manifest->shards; i++) {
        void *data;
        TRY(manifest_read_file(checkpoint->path, &manifest->file[i], &data));
        free(data);
    }
    image.bytes = manifest->file[manifest->shards].bytes;
    TRY(read_index(checkpoint, &image.data));
    TRY(hdf_open(checkpoint->path, MANIFEST_INDEX, image, &checkpoint->index));
    TRY(read_step(checkpoint));
    return step_folder_check(checkpoint->path, checkpoint->step);
}

Status checkpoint_verify(const char *path) {
    Checkpoint *checkpoint = memory_new(1, sizeof *checkpoint);
    snprintf(checkpoint->path, sizeof checkpoint->path, "%s", path);
    const Status status = verify(checkpoint);
    checkpoint_close(checkpoint);
    return status;
}

/* Reads, verifies and opens the shards of this rank: every size-th. */
static Status open_shards(Comm *comm, Checkpoint *checkpoint) {
    for (int i = comm_rank(comm); i < checkpoint->manifest.shards; i += comm_size(comm)) {
        const ManifestFile *file = &checkpoint->manifest.file[i];
        HdfImage image = {.bytes = file->bytes};
        TRY(manifest_read_file(checkpoint->path, file, &image.data));
        TRY(hdf_open(checkpoint->path, file->name, image, &checkpoint->shard[i]));
    }
    return status_ok();
}

static Status share_manifest(Comm *comm, const char *path, Manifest *manifest) {
    bool leads = comm_rank(comm) == 0;
    TRY(comm_agree(comm, leads ? manifest_read(path, MANIFEST_CHECKPOINT, manifest) : status_ok()));
    comm_broadcast(comm, &manifest->shards, sizeof manifest->shards, 0);
    size_t files = (size_t)manifest->shards + 1;
    if (!leads) manifest->file = memory_new(files, sizeof *manifest->file);
    comm_broadcast(comm, manifest->file, files * sizeof *manifest->file, 0);
    return status_ok();
}

/* Rank 0 reads and verifies index.h5; every rank opens a copy. */
static Status share_index(Comm *comm, Checkpoint *checkpoint) {
    const ManifestFile *file = &checkpoint->manifest.file[checkpoint->manifest.shards];
    HdfImage image = {.bytes = file->bytes};
    bool leads = comm_rank(comm) == 0;
    TRY(comm_agree(comm, leads ? read_index(checkpoint, &image.data) : status_ok()));
    if (!leads) image.data = memory_new(file->bytes, 1);
    comm_broadcast(comm, image.data, file->bytes, 0);
    return comm_agree(comm, hdf_open(checkpoint->path, file->name, image, &checkpoint->index));
}

static Status open_parts(Comm *comm, Checkpoint *checkpoint) {
    TRY(share_manifest(comm, checkpoint->path, &checkpoint->manifest));
    checkpoint->shard = memory_new((size_t)checkpoint->manifest.shards, sizeof *checkpoint->shard);
    TRY(comm_agree(comm, open_shards(comm, checkpoint)));
    TRY(share_index(comm, checkpoint));
    TRY(read_step(checkpoint));
    return comm_agree(comm, comm_rank(comm) == 0 ? step_folder_check(checkpoint->path, checkpoint->step) : status_ok());
}

Status checkpoint_open(Comm *comm, const char *path, Checkpoint **checkpoint) {
    Checkpoint *opened = memory_new(1, sizeof *opened);
    snprintf(opened->path, sizeof opened->path, "%s", path);
    *checkpoint = NULL;
    Status status = open_parts(comm, opened);
    if (status_failed(&status))
        checkpoint_close(opened);
    else
        *checkpoint = opened;
    return status;
}

Status checkpoint_read_scalars(const Checkpoint *checkpoint, int scalars, const StoreScalar *scalar) {
    for (int i = 0; i < scalars; i++) {
        HdfOutcome outcome = hdf_get_scalar(checkpoint->index, &scalar[i]);
        if (outcome == HDF_READ || (outcome == HDF_ABSENT && scalar[i].optional)) continue;
        return status_error(RAM_DATA, "the checkpoint %.300s %s `%s`; it was saved by another version of ram_dist",
                            checkpoint->path,
                            outcome == HDF_ABSENT ? "does not hold" : "holds another kind of value as", scalar[i].name);
    }
    return status_ok();
}

static void ignore_link(const char *name, bool is_group, void *context) { (void)name, (void)is_group, (void)context; }

bool checkpoint_has_vector(const Checkpoint *checkpoint, const char *group) {
    char name[HDF_NAME];
    snprintf(name, sizeof name, "/%s", group);
    return hdf_visit_group(checkpoint->index, name, ignore_link, NULL);
}

typedef struct {
    const Layout *layout;
    char extra[HDF_NAME]; /* a data set that is no field of the layout */
} ExtraField;

static void note_extra(const char *name, bool is_group, void *context) {
    ExtraField *search = context;
    if (!is_group && layout_find(search->layout, name) < 0) snprintf(search->extra, HDF_NAME, "%s", name);
}

static const char *print_shape(char text[48], int64_t rows, int64_t columns) {
    if (columns)
        snprintf(text, 48, "(%" PRId64 ", %" PRId64 ")", rows, columns);
    else
        snprintf(text, 48, "(%" PRId64 ")", rows);
    return text;
}

/* Whether the set's index has exactly the layout's fields under the vector's group. */
static Status check_fields(const Checkpoint *checkpoint, const Layout *layout, const char *group) {
    char name[HDF_NAME], here[48], wanted[48];
    for (int f = 0; f < layout->fields; f++) {
        const Field *field = &layout->field[f];
        int64_t rows = 0, columns = 0, field_columns = field->dimensions == 2 ? field->shape[1] : 0;
        snprintf(name, sizeof name, "/%s/%s", group, field->name);
        HdfOutcome outcome = hdf_get_shape(checkpoint->index, name, &rows, &columns);
        if (outcome != HDF_READ)
            return status_error(RAM_DATA, "the checkpoint %.300s has no %s; it is of another model or optimiser",
                                checkpoint->path, name);
        if (rows != field->shape[0] || columns != field_columns)
            return status_error(RAM_DATA,
                                "%s is %s in the checkpoint %.300s and %s in this model; configure the same model",
                                name, print_shape(here, rows, columns), checkpoint->path,
                                print_shape(wanted, field->shape[0], field_columns));
    }
    ExtraField search = {.layout = layout};
    snprintf(name, sizeof name, "/%s", group);
    if (!hdf_visit_group(checkpoint->index, name, note_extra, &search) || search.extra[0])
        return status_error(RAM_DATA,
                            "the checkpoint %.300s has %s/%s, which this model has not; configure the same model",
                            checkpoint->path, name, search.extra);
    return status_ok();
}

Status checkpoint_read_shard_rows(const Checkpoint *checkpoint, int shard, const char *name, int64_t rows,
                                  int64_t columns, float *values) {
    int64_t rows_here = 0, columns_here = 0;
    if (partition_count(rows, shard, checkpoint->manifest.shards) == 0) return status_ok();
    HdfOutcome outcome = hdf_get_shape(checkpoint->shard[shard], name, &rows_here, &columns_here);
    if (outcome == HDF_READ && rows_here == partition_count(rows, shard, checkpoint->manifest.shards) &&
        columns_here == columns && hdf_get_rows(checkpoint->shard[shard], name, values))
        return status_ok();
    return status_error(RAM_DATA, "%.300s/%s does not hold its rows of %s", checkpoint->path,
                        checkpoint->manifest.file[shard].name, name);
}

/* The rows of one field in one shard, as elements of a vector. */
typedef struct {
    size_t offset, count;
} Segment;

static Segment field_segment(const Field *field, int shard, int shards) {
    int64_t first = partition_begin(field->shape[0], shard, shards),
            rows = partition_count(field->shape[0], shard, shards);
    return (Segment){field->offset + (size_t)(first * field->shape[1]), (size_t)(rows * field->shape[1])};
}

static Status read_own_rows(Comm *comm, const Checkpoint *checkpoint, const Layout *layout, const StoreVector *vector) {
    char name[HDF_NAME];
    int shards = checkpoint->manifest.shards;
    TRY(check_fields(checkpoint, layout, vector->group));
    memset(vector->values, 0, layout->total * sizeof *vector->values);
    for (int shard = comm_rank(comm); shard < shards; shard += comm_size(comm))
        for (int f = 0; f < layout->fields; f++) {
            const Field *field = &layout->field[f];
            snprintf(name, sizeof name, "/%s/%s", vector->group, field->name);
            TRY(checkpoint_read_shard_rows(checkpoint, shard, name, field->shape[0],
                                           field->dimensions == 2 ? field->shape[1] : 0,
                                           vector->values + field_segment(field, shard, shards).offset));
        }
    return status_ok();
}

/* Every rank gives the others the rows it read. */
static void share_rows(Comm *comm, int shards, const Layout *layout, const StoreVector *vector) {
    for (int shard = 0; shard < shards && comm_size(comm) > 1; shard++)
        for (int f = 0; f < layout->fields; f++) {
            Segment segment = field_segment(&layout->field[f], shard, shards);
            if (segment.count)
                comm_broadcast(comm, vector->values + segment.offset, segment.count * sizeof *vector->values,
                               shard % comm_size(comm));
        }
}

Status checkpoint_read_vectors(Comm *comm, const Checkpoint *checkpoint, const Layout *layout, int vectors,
                               const StoreVector *vector) {
    Status mine = status_ok();
    for (int v = 0; v < vectors && !status_failed(&mine); v++)
        mine = read_own_rows(comm, checkpoint, layout, &vector[v]);
    TRY(comm_agree(comm, mine));
    for (int v = 0; v < vectors; v++) share_rows(comm, checkpoint->manifest.shards, layout, &vector[v]);
    return status_ok();
}
