/* MANIFEST: the text file that makes a folder of HDF5 files a committed set: name, size and XXH3-128 of each, and a
 * last line with the hash of the lines above. Written last, read first. Must not know what the files hold. Nothing here
 * is collective. */
#ifndef RAM_STORE_MANIFEST_H
#define RAM_STORE_MANIFEST_H

#include "base/hash.h"
#include "base/status.h"

#include <stdint.h>

enum { MANIFEST_NAME = 64, MANIFEST_SHARDS = 65536 /* at most; names have five digits */ };

typedef struct {
    char name[MANIFEST_NAME];
    uint64_t bytes;
    char hash[HASH_TEXT];
} ManifestFile;

/* Which program's reader a set is for: a word of the first line. */
typedef enum { MANIFEST_CHECKPOINT, MANIFEST_TRACE } ManifestKind;

typedef struct {
    ManifestKind kind;
    int shards;
    ManifestFile *file; /* [shards + 1]: shard 0 ... shards - 1, then index.h5 */
} Manifest;

/* "shard-00000-of-00004.h5" */
void manifest_shard_name(char name[MANIFEST_NAME], int shard, int shards);
#define MANIFEST_INDEX "index.h5"

/* What MANIFEST says of a file with this content. */
ManifestFile manifest_describe(const char *name, const void *data, size_t bytes);

/* Writes a file of the set and describes it; frees `data`. RAM_IO. */
Status manifest_write_file(const char *folder, const char *name, void *data, size_t bytes, ManifestFile *file);

/* RAM_IO. */
Status manifest_write(const char *folder, const Manifest *manifest);

/* Refuses anything but exactly what manifest_write() wrote, of this kind. manifest_free() the result. RAM_DATA;
 * RAM_IO and RAM_USAGE as atomic_file_read. */
Status manifest_read(const char *folder, ManifestKind kind, Manifest *manifest);
void manifest_free(Manifest *manifest);

/* Whether `folder` has a MANIFEST, of whatever kind and content. */
bool manifest_exists(const char *folder);

/* Whether MANIFEST in `folder` begins as one of this kind does; whether all of it is right is another question. */
bool manifest_claims(const char *folder, ManifestKind kind);

/* The hash in the last line: it stands for all bytes of the set. */
void manifest_hash(const Manifest *manifest, char hash[HASH_TEXT]);

/* Reads a file and compares it with its line. free() *data. Errors as manifest_read. */
Status manifest_read_file(const char *folder, const ManifestFile *file, void **data);

/* Reads the whole set once and compares all of it with its MANIFEST. Errors as manifest_read. */
Status manifest_verify(const char *folder, ManifestKind kind);

#endif
