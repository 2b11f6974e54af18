#include "store/manifest.h"
#include "base/atomic_file.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const FIRST_LINE[] = {
    [MANIFEST_CHECKPOINT] = "ram_dist checkpoint format 1\n", [MANIFEST_TRACE] = "ram_dist trace format 1\n"};
static const char LAST_WORD[] = "manifest ";
#define REMEDY "restore the whole folder from a copy, or do without it"

enum {
    LINE = MANIFEST_NAME + 24 + HASH_TEXT,
    LAST_LINE = sizeof LAST_WORD - 1 + HASH_TEXT, /* the hash's end makes room for the newline */
};

void manifest_shard_name(char name[MANIFEST_NAME], int shard, int shards) {
    snprintf(name, MANIFEST_NAME, "shard-%05d-of-%05d.h5", shard, shards);
}

ManifestFile manifest_describe(const char *name, const void *data, size_t bytes) {
    ManifestFile file = {.bytes = bytes};
    require(strlen(name) < sizeof file.name);
    strcpy(file.name, name);
    hash_memory(data, bytes, file.hash);
    return file;
}

Status manifest_write_file(const char *folder, const char *name, void *data, size_t bytes, ManifestFile *file) {
    char path[FILE_PATH];
    *file = manifest_describe(name, data, bytes);
    Status status = atomic_file_join(path, folder, name);
    if (!status_failed(&status)) status = atomic_file_create(path, data, bytes);
    free(data);
    return status;
}

/* The lines above the last, with room for it; free() them. */
static char *compose_lines(const Manifest *manifest, size_t *bytes) {
    const char *first_line = FIRST_LINE[manifest->kind];
    char *text = memory_new(strlen(first_line) + (size_t)(manifest->shards + 1) * LINE + LAST_LINE + 1, 1);
    size_t length = (size_t)sprintf(text, "%s", first_line);
    for (int i = 0; i <= manifest->shards; i++) {
        const ManifestFile *file = &manifest->file[i];
        length +=
            (size_t)sprintf(text + length, "%s %llu %s\n", file->name, (unsigned long long)file->bytes, file->hash);
    }
    *bytes = length;
    return text;
}

void manifest_hash(const Manifest *manifest, char hash[HASH_TEXT]) {
    size_t bytes;
    char *text = compose_lines(manifest, &bytes);
    hash_memory(text, bytes, hash);
    free(text);
}

/* The whole text; free() it. One function makes it for writing and for comparing, so what is read back is exactly what
 * could have been written. */
static char *compose(const Manifest *manifest, size_t *bytes) {
    char hash[HASH_TEXT], *text = compose_lines(manifest, bytes);
    hash_memory(text, *bytes, hash);
    *bytes += (size_t)sprintf(text + *bytes, "%s%s\n", LAST_WORD, hash);
    return text;
}

Status manifest_write(const char *folder, const Manifest *manifest) {
    char path[FILE_PATH];
    TRY(atomic_file_join(path, folder, "MANIFEST"));
    size_t bytes;
    char *text = compose(manifest, &bytes);
    Status status = atomic_file_create(path, text, bytes);
    free(text);
    return status;
}

/* Fills `manifest` from the file lines; false at the first one that cannot be. */
static bool parse(const char *text, Manifest *manifest) {
    int lines = 0, shards;
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++) lines++;
    shards = lines - 3; /* the first line, index.h5 and the last line */
    if (shards < 1 || shards > MANIFEST_SHARDS) return false;
    manifest->shards = shards;
    manifest->file = memory_new((size_t)shards + 1, sizeof *manifest->file);
    const char *at = text;
    for (int i = 0; i <= shards; i++) {
        at = strchr(at, '\n') + 1;
        ManifestFile *file = &manifest->file[i];
        char expected[MANIFEST_NAME] = MANIFEST_INDEX;
        unsigned long long bytes;
        if (i < shards) manifest_shard_name(expected, i, shards);
        if (sscanf(at, "%63s %19llu %32s", file->name, &bytes, file->hash) != 3) return false;
        if (strcmp(file->name, expected) != 0) return false;
        file->bytes = bytes;
    }
    return true;
}

/* Whether the last line is the hash of those above. */
static bool ends_with_hash(const char *text, size_t bytes) {
    char hash[HASH_TEXT], line[LAST_LINE + 1];
    if (strlen(text) != bytes || bytes <= LAST_LINE) return false;
    hash_memory(text, bytes - LAST_LINE, hash);
    snprintf(line, sizeof line, "%s%s\n", LAST_WORD, hash);
    return text[bytes - LAST_LINE - 1] == '\n' && strcmp(text + bytes - LAST_LINE, line) == 0;
}

static Status check_text(const char *path, const char *text, size_t bytes, Manifest *manifest) {
    if (!ends_with_hash(text, bytes))
        return status_error(RAM_DATA, "%.400s is damaged: it does not end with its own hash; " REMEDY, path);
    const ManifestKind other = manifest->kind == MANIFEST_TRACE ? MANIFEST_CHECKPOINT : MANIFEST_TRACE;
    if (strncmp(text, FIRST_LINE[other], strlen(FIRST_LINE[other])) == 0)
        return status_error(RAM_DATA, "%.400s is of a %s, not of a %s: give another path", path,
                            other == MANIFEST_TRACE ? "trace" : "checkpoint",
                            other == MANIFEST_TRACE ? "checkpoint" : "trace");
    if (strncmp(text, FIRST_LINE[manifest->kind], strlen(FIRST_LINE[manifest->kind])) != 0)
        return status_error(RAM_DATA,
                            "%.300s is of another format ('%.*s', not '%.*s'); give another path, or use the ram_dist "
                            "that wrote it",
                            path, (int)strcspn(text, "\n"), text, (int)strlen(FIRST_LINE[manifest->kind]) - 1,
                            FIRST_LINE[manifest->kind]);
    size_t composed_bytes;
    bool same = parse(text, manifest);
    if (same) {
        char *composed = compose(manifest, &composed_bytes);
        same = composed_bytes == bytes && memcmp(composed, text, bytes) == 0;
        free(composed);
    }
    if (same) return status_ok();
    manifest_free(manifest);
    return status_error(RAM_DATA, "%.400s does not list a whole set of files", path);
}

static Status read_text(const char *folder, char path[FILE_PATH], void **text, size_t *bytes) {
    TRY(atomic_file_join(path, folder, "MANIFEST"));
    return atomic_file_read(path, (size_t)MANIFEST_SHARDS * LINE, text, bytes);
}

bool manifest_exists(const char *folder) { return atomic_file_is_in(folder, "MANIFEST"); }

bool manifest_claims(const char *folder, ManifestKind kind) {
    char path[FILE_PATH];
    void *text;
    size_t bytes;
    const Status status = read_text(folder, path, &text, &bytes);
    if (status_failed(&status)) return false;
    const bool claims = strncmp(text, FIRST_LINE[kind], strlen(FIRST_LINE[kind])) == 0;
    free(text);
    return claims;
}

Status manifest_read(const char *folder, ManifestKind kind, Manifest *manifest) {
    char path[FILE_PATH];
    void *text;
    size_t bytes;
    *manifest = (Manifest){.kind = kind};
    TRY(read_text(folder, path, &text, &bytes));
    Status status = check_text(path, text, bytes, manifest);
    free(text);
    return status;
}

void manifest_free(Manifest *manifest) {
    free(manifest->file);
    *manifest = (Manifest){0};
}

Status manifest_read_file(const char *folder, const ManifestFile *file, void **data) {
    char path[FILE_PATH];
    TRY(atomic_file_join(path, folder, file->name));
    size_t bytes;
    TRY(atomic_file_read(path, file->bytes, data, &bytes));
    ManifestFile found = manifest_describe(file->name, *data, bytes);
    if (found.bytes == file->bytes && strcmp(found.hash, file->hash) == 0) return status_ok();
    free(*data);
    return status_error(RAM_DATA, "%.400s is damaged: it is not what MANIFEST says was written; " REMEDY, path);
}

Status manifest_verify(const char *folder, ManifestKind kind) {
    Manifest manifest;
    TRY(manifest_read(folder, kind, &manifest));
    Status status = status_ok();
    for (int i = 0; i <= manifest.shards && !status_failed(&status); i++) {
        void *data;
        status = manifest_read_file(folder, &manifest.file[i], &data);
        if (!status_failed(&status)) free(data);
    }
    manifest_free(&manifest);
    return status;
}
