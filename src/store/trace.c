#include "store/trace.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/partition.h"
#include "store/manifest.h"
#include "store/trace_folder.h"
#include "store/trace_parts.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A rank's memory for rows is about three times this: the rows, the file of them in memory, and its bytes. */
enum { SEGMENT_BYTES = 32 << 20 };

/* A save under way. */
typedef struct {
    Comm *comm;
    TraceFolder folder;
    TraceFile file;       /* what all files of the set share */
    int64_t first, count; /* this rank's shards */
    TraceFill fill;
    void *context;
} Save;

int64_t trace_shards(const TraceShape *shape, int ranks) {
    const int64_t row = trace_parts_row_bytes(shape), segment = row < SEGMENT_BYTES ? SEGMENT_BYTES / row : 1;
    const int64_t rows = (shape->samples + ranks - 1) / ranks; /* of a rank, at most */
    const int64_t shards = ranks * ((rows + segment - 1) / segment);
    return shards < shape->samples ? shards : shape->samples;
}

static Status write_shard(const Save *save, int64_t shard, TraceRows *rows, ManifestFile *file) {
    const TraceShape *shape = save->file.shape;
    char name[MANIFEST_NAME];
    HdfImage image;
    rows->first = partition_begin(shape->samples, shard, save->file.shards);
    rows->rows = partition_count(shape->samples, shard, save->file.shards);
    for (int64_t i = 0; i < rows->rows; i++) rows->sample[i] = (int32_t)(rows->first + i);
    save->fill(save->context, rows);
    manifest_shard_name(name, (int)shard, save->file.shards);
    TRY(trace_parts_build_shard(&save->file, (int)shard, rows, &image));
    return manifest_write_file(save->folder.temporary, name, image.data, image.bytes, file);
}

/* This rank's shards, one after the other in the same memory; the first failure ends it. */
static Status write_shards(const Save *save, ManifestFile *file) {
    if (save->count == 0) return status_ok();
    const int64_t samples = save->file.shape->samples, shards = save->file.shards;
    TraceRows rows = trace_parts_rows_new(save->file.shape, (samples + shards - 1) / shards);
    Status status = status_ok();
    for (int64_t i = 0; i < save->count && !status_failed(&status); i++)
        status = write_shard(save, save->first + i, &rows, &file[i]);
    trace_parts_rows_free(&rows);
    return status;
}

/* Rank 0: index and MANIFEST, then the name that makes it all valid. */
static Status commit(const Save *save, const Manifest *manifest) {
    HdfImage image;
    TRY(trace_parts_build_index(&save->file, &image));
    TRY(manifest_write_file(save->folder.temporary, MANIFEST_INDEX, image.data, image.bytes,
                            &manifest->file[manifest->shards]));
    TRY(manifest_write(save->folder.temporary, manifest));
    return trace_folder_commit(&save->folder);
}

/* The lines of all ranks' shards in order. @collective */
static Manifest gather_manifest(Comm *comm, int shards, const ManifestFile *mine, int64_t most) {
    const int ranks = comm_size(comm);
    Manifest manifest = {.kind = MANIFEST_TRACE, .shards = shards};
    manifest.file = memory_new((size_t)shards + 1, sizeof *manifest.file);
    ManifestFile *all = memory_new((size_t)(ranks * most), sizeof *all);
    comm_gather(comm, mine, (size_t)most * sizeof *mine, all);
    for (int rank = 0; rank < ranks; rank++)
        memcpy(manifest.file + partition_begin(shards, rank, ranks), all + rank * most,
               (size_t)partition_count(shards, rank, ranks) * sizeof *all);
    free(all);
    return manifest;
}

/* All ranks: the shards, then rank 0 commits. */
static Status write_set(Save *save, const char *folder) {
    Comm *comm = save->comm;
    const bool leads = comm_rank(comm) == 0;
    const int64_t most = (save->file.shards + comm_size(comm) - 1) / comm_size(comm);
    TRY(comm_agree(comm, leads ? trace_folder_begin(&save->folder, folder) : status_ok()));
    ManifestFile *mine = memory_new((size_t)most, sizeof *mine);
    Status status = comm_agree(comm, write_shards(save, mine));
    if (!status_failed(&status)) {
        Manifest manifest = gather_manifest(comm, save->file.shards, mine, most);
        status = comm_agree(comm, leads ? commit(save, &manifest) : status_ok());
        manifest_free(&manifest);
    }
    free(mine);
    return status;
}

Status trace_save(Comm *comm, const char *folder, const char *name, bool replace, const TraceShape *shape, int scalars,
                  const StoreScalar *scalar, TraceFill fill, void *context) {
    const int64_t shards = trace_shards(shape, comm_size(comm));
    Save save = {.comm = comm, .fill = fill, .context = context};
    require(shape->samples > 0 && shape->samples <= INT32_MAX && shape->rollouts > 0);
    TRY(trace_folder_name(&save.folder, folder, name, replace));
    if (shards > MANIFEST_SHARDS)
        return status_error(RAM_USAGE, "the trace %.64s would need %lld files; trace fewer images or fewer roll-outs",
                            name, (long long)shards);
    save.file = (TraceFile){.shape = shape, .shards = (int)shards, .scalars = scalars, .scalar = scalar};
    save.first = partition_begin(shards, comm_rank(comm), comm_size(comm));
    save.count = partition_count(shards, comm_rank(comm), comm_size(comm));
    Status status = write_set(&save, folder);
    trace_folder_end(&save.folder);
    return status;
}

void trace_epoch_name(char name[TRACE_EPOCH_NAME], int64_t epoch) {
    snprintf(name, TRACE_EPOCH_NAME, "epoch-%04lld", (long long)epoch);
}

bool trace_is_epoch_name(const char *name, int64_t *epoch) {
    char expected[TRACE_EPOCH_NAME];
    if (sscanf(name, "epoch-%18" SCNd64, epoch) != 1) return false;
    trace_epoch_name(expected, *epoch);
    return strcmp(name, expected) == 0;
}

static Status set_aside_later(const char *folder, int64_t epoch) {
    DIR *directory = opendir(folder);
    if (!directory) return status_error(RAM_IO, "cannot look into %.400s: %s", folder, strerror(errno));
    Status status = status_ok();
    struct dirent *entry;
    int64_t found;
    while (!status_failed(&status) && (entry = readdir(directory)) != NULL)
        if (trace_is_epoch_name(entry->d_name, &found) && found > epoch)
            status = trace_folder_set_aside(folder, entry->d_name);
    closedir(directory);
    return status;
}

Status trace_take_up(Comm *comm, const char *folder, int64_t epoch) {
    return comm_agree(comm, comm_rank(comm) == 0 ? set_aside_later(folder, epoch) : status_ok());
}

Status trace_verify(const char *path) { return manifest_verify(path, MANIFEST_TRACE); }
