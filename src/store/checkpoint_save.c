#include "base/log.h"
#include "base/memory.h"
#include "base/partition.h"
#include "store/checkpoint.h"
#include "store/hdf.h"
#include "store/manifest.h"
#include "store/step_folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* What every file of a set says about itself; `shard` -1: the index. */
static void put_facts(HdfWriter *writer, int64_t step, int shard, int shards, const Snapshot *snapshot) {
    hdf_put_text(writer, "about",
                 "Checkpoint of a Recurrent Attention Model by ram_dist. index.h5 presents all shards as "
                 "whole data sets: /param are "
                 "the parameters ([out, in]), /adam/m and the like the state of the optimiser; attributes of "
                 "/state, /config and "
                 "/provenance say how far the training was, how it was configured and where it came from.");
    hdf_put_int(writer, "format_version", 1);
    hdf_put_int(writer, "step", step);
    if (shard >= 0) hdf_put_int(writer, "shard", shard);
    hdf_put_int(writer, "shards", shards);
    for (int i = 0; i < snapshot->scalars; i++) hdf_put_scalar(writer, &snapshot->scalar[i]);
}

/* "/adam/m/rnn.i2h.weight" */
static void object_name(char name[HDF_NAME], const StoreVector *vector, const Field *field) {
    int length = snprintf(name, HDF_NAME, "/%s/%s", vector->group, field->name);
    require(length < HDF_NAME);
}

/* `rows` rows of the field as a data set. */
static HdfArray field_array(const char *name, const Field *field, int64_t rows) {
    return (HdfArray){
        .name = name, .element = HDF_FLOAT, .dimensions = field->dimensions, .size = {rows, field->shape[1]}};
}

static Status build_shard(int64_t step, int shard, int shards, const Snapshot *snapshot, HdfImage *image) {
    HdfWriter writer;
    char name[HDF_NAME];
    hdf_begin(&writer);
    put_facts(&writer, step, shard, shards, snapshot);
    for (int v = 0; v < snapshot->vectors; v++)
        for (int f = 0; f < snapshot->layout->fields; f++) {
            const Field *field = &snapshot->layout->field[f];
            int64_t first = partition_begin(field->shape[0], shard, shards);
            int64_t rows = partition_count(field->shape[0], shard, shards);
            if (rows == 0) continue;
            object_name(name, &snapshot->vector[v], field);
            const float *values = snapshot->vector[v].values + field->offset + first * field->shape[1];
            const HdfArray part = field_array(name, field, rows);
            hdf_put_rows(&writer, &part, values, first);
        }
    return hdf_finish(&writer, image);
}

static Status build_index(int64_t step, int shards, const Snapshot *snapshot, HdfImage *image) {
    HdfWriter writer;
    char name[HDF_NAME];
    hdf_begin(&writer);
    put_facts(&writer, step, -1, shards, snapshot);
    for (int v = 0; v < snapshot->vectors; v++)
        for (int f = 0; f < snapshot->layout->fields; f++) {
            const Field *field = &snapshot->layout->field[f];
            object_name(name, &snapshot->vector[v], field);
            const HdfArray whole = field_array(name, field, field->shape[0]);
            hdf_put_virtual(&writer, &whole, shards);
        }
    return hdf_finish(&writer, image);
}

/* Rank 0: a folder to write into, nothing left of earlier attempts at this step. What else is left takes space, but is
 * no reason to save nothing: pruning tells of it. */
static Status prepare(const char *folder, const char *temporary) {
    char parent[FILE_PATH]; /* of a run folder that was moved away no other is made in its place */
    TRY(atomic_file_parent(folder, parent));
    if (!atomic_file_is_folder(parent)) return atomic_file_error("write into", parent, ENOENT);
    TRY(atomic_file_make_folder(folder));
    step_folder_sweep(folder);
    TRY(atomic_file_remove_tree(temporary));
    return atomic_file_make_temporary(temporary);
}

static Status write_shard(Comm *comm, const char *temporary, int64_t step, const Snapshot *snapshot,
                          ManifestFile *file) {
    char name[MANIFEST_NAME];
    HdfImage image;
    manifest_shard_name(name, comm_rank(comm), comm_size(comm));
    TRY(build_shard(step, comm_rank(comm), comm_size(comm), snapshot, &image));
    return manifest_write_file(temporary, name, image.data, image.bytes, file);
}

/* Rank 0: index and MANIFEST, then the names that make it all valid. */
static Status commit(const char *folder, const char *temporary, int64_t step, const Snapshot *snapshot,
                     Manifest *manifest) {
    char name[STEP_NAME], path[FILE_PATH];
    step_folder_name(name, step);
    TRY(atomic_file_join(path, folder, name));
    HdfImage image;
    TRY(build_index(step, manifest->shards, snapshot, &image));
    TRY(manifest_write_file(temporary, MANIFEST_INDEX, image.data, image.bytes, &manifest->file[manifest->shards]));
    TRY(manifest_write(temporary, manifest));
    TRY(step_folder_set_aside(folder, step));
    TRY(atomic_file_commit_folder(temporary, path));
    /* not synced, and no reason to call the save failed: `latest` is for people, readers go by the names of the sets */
    const Status pointed = step_folder_point(folder, "latest", name);
    if (status_failed(&pointed)) log_warning("%s is saved, but: %s", name, pointed.message);
    return status_ok();
}

/* All ranks: the shards, then rank 0 commits. */
static Status write_set(Comm *comm, const char *folder, const char *temporary, int64_t step, const Snapshot *snapshot) {
    bool leads = comm_rank(comm) == 0;
    int shards = comm_size(comm);
    if (shards > MANIFEST_SHARDS) fatal("%d ranks are more than a checkpoint has shards", shards);
    TRY(comm_agree(comm, leads ? prepare(folder, temporary) : status_ok()));
    ManifestFile mine = {0};
    TRY(comm_agree(comm, write_shard(comm, temporary, step, snapshot, &mine)));
    Manifest manifest = {
        .kind = MANIFEST_CHECKPOINT, .shards = shards, .file = memory_new((size_t)shards + 1, sizeof *manifest.file)};
    comm_gather(comm, &mine, sizeof mine, manifest.file);
    Status status = comm_agree(comm, leads ? commit(folder, temporary, step, snapshot, &manifest) : status_ok());
    manifest_free(&manifest);
    return status;
}

Status checkpoint_save(Comm *comm, const char *folder, int64_t step, const Snapshot *snapshot) {
    char name[STEP_NAME], hidden[STEP_NAME + 8], temporary[FILE_PATH];
    step_folder_name(name, step);
    snprintf(hidden, sizeof hidden, ".tmp-%s", name);
    TRY(atomic_file_join(temporary, folder, hidden));
    Status status = write_set(comm, folder, temporary, step, snapshot);
    /* what is left is no use to anyone and takes space that may just have run out; the first error is the one to tell
     */
    if (status_failed(&status) && comm_rank(comm) == 0) atomic_file_remove_tree(temporary);
    return status;
}
