#include "store/trace.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/partition.h"
#include "store/manifest.h"
#include "store/trace_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A rank's memory for rows is about three times this: the rows, the file of them in memory, and its bytes. */
enum { SEGMENT_BYTES = 32 << 20, NAME_LENGTH = 200 };

/* A save under way. */
typedef struct {
    Comm *comm;
    char path[FILE_PATH], temporary[FILE_PATH];
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

static bool exists(const char *path) {
    struct stat facts;
    return lstat(path, &facts) == 0;
}

static Status check_name(const char *name) {
    if (*name && *name != '.' && !strchr(name, '/') && strlen(name) <= NAME_LENGTH) return status_ok();
    return status_error(RAM_USAGE,
                        "'%.64s' cannot be a trace's name: give up to %d characters without '/' that do not begin "
                        "with '.'",
                        name, NAME_LENGTH);
}

static Status refuse_existing(const char *path) {
    if (!exists(path)) return status_ok();
    return status_error(RAM_USAGE, "%.400s exists: add --force to replace it, or --name NAME for another", path);
}

/* Rank 0: a folder to write into, nothing left of earlier attempts. */
static Status prepare(const Save *save, const char *folder, bool replace) {
    if (!replace) TRY(refuse_existing(save->path));
    TRY(atomic_file_make_folder(folder));
    TRY(atomic_file_remove_tree(save->temporary));
    return atomic_file_make_temporary(save->temporary);
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
    return manifest_write_file(save->temporary, name, image.data, image.bytes, file);
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
static Status commit(const Save *save, bool replace, const Manifest *manifest) {
    HdfImage image;
    TRY(trace_parts_build_index(&save->file, &image));
    TRY(manifest_write_file(save->temporary, MANIFEST_INDEX, image.data, image.bytes,
                            &manifest->file[manifest->shards]));
    TRY(manifest_write(save->temporary, manifest));
    if (replace) return atomic_file_replace_folder(save->temporary, save->path);
    TRY(refuse_existing(save->path));
    return atomic_file_commit_folder(save->temporary, save->path);
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
static Status write_set(const Save *save, const char *folder, bool replace) {
    Comm *comm = save->comm;
    const bool leads = comm_rank(comm) == 0;
    const int64_t most = (save->file.shards + comm_size(comm) - 1) / comm_size(comm);
    TRY(comm_agree(comm, leads ? prepare(save, folder, replace) : status_ok()));
    ManifestFile *mine = memory_new((size_t)most, sizeof *mine);
    Status status = comm_agree(comm, write_shards(save, mine));
    if (!status_failed(&status)) {
        Manifest manifest = gather_manifest(comm, save->file.shards, mine, most);
        status = comm_agree(comm, leads ? commit(save, replace, &manifest) : status_ok());
        manifest_free(&manifest);
    }
    free(mine);
    return status;
}

Status trace_save(Comm *comm, const char *folder, const char *name, bool replace, const TraceShape *shape, int scalars,
                  const StoreScalar *scalar, TraceFill fill, void *context) {
    const int64_t shards = trace_shards(shape, comm_size(comm));
    char hidden[NAME_LENGTH + 8];
    Save save = {.comm = comm, .fill = fill, .context = context};
    require(shape->samples > 0 && shape->samples <= INT32_MAX && shape->rollouts > 0);
    TRY(check_name(name));
    if (shards > MANIFEST_SHARDS)
        return status_error(RAM_USAGE, "the trace %.64s would need %lld files; trace fewer images or fewer roll-outs",
                            name, (long long)shards);
    snprintf(hidden, sizeof hidden, ".tmp-%s", name);
    TRY(atomic_file_join(save.path, folder, name));
    TRY(atomic_file_join(save.temporary, folder, hidden));
    save.file = (TraceFile){.shape = shape, .shards = (int)shards, .scalars = scalars, .scalar = scalar};
    save.first = partition_begin(shards, comm_rank(comm), comm_size(comm));
    save.count = partition_count(shards, comm_rank(comm), comm_size(comm));
    Status status = write_set(&save, folder, replace);
    /* what is left is no use to anyone and takes space that may just have run out; the first error is the one to tell
     */
    if (status_failed(&status) && comm_rank(comm) == 0) atomic_file_remove_tree(save.temporary);
    return status;
}

Status trace_verify(const char *path) { return manifest_verify(path, MANIFEST_TRACE); }
