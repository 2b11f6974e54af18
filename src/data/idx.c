#include "data/idx.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/* IDX magic: 0, 0, type (8: unsigned byte), number of dimensions. */
enum { MAGIC_UBYTE = 0x0800, MOST_DIMENSIONS = 4, INPUT_BYTES = 1 << 18, DEFLATE_MOST_RATIO = 1032 };

/* A file's bytes in order, unpacked where it is gzip. zlib's gzread is no substitute: it ignores what follows the
 * compressed data. */
typedef struct {
    const char *path;
    int file;
    int64_t file_bytes;
    bool packed;
    bool ended; /* packed: the last gzip member is complete */
    z_stream inflater;
    uint8_t *input; /* (INPUT_BYTES), packed only */
} Source;

/* Reads up to `bytes` from the file as it is. *got is less only at the end of the file. */
static Status read_file(const Source *source, void *out, size_t bytes, size_t *got) {
    *got = 0;
    while (*got < bytes) {
        ssize_t n = read(source->file, (char *)out + *got, bytes - *got);
        if (n == 0) break;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return status_error(RAM_IO, "cannot read %s: %s", source->path, strerror(errno));
        *got += (size_t)n;
    }
    return status_ok();
}

static void source_close(Source *source) {
    if (source->packed) inflateEnd(&source->inflater);
    free(source->input);
    if (source->file >= 0) close(source->file);
}

static Status source_start(Source *source) {
    struct stat about;
    if (fstat(source->file, &about) != 0)
        return status_error(RAM_IO, "cannot read %s: %s", source->path, strerror(errno));
    if (!S_ISREG(about.st_mode))
        return status_error(RAM_DATA, "%s is not a regular file: give the IDX file itself", source->path);
    source->file_bytes = about.st_size;
    uint8_t first[2] = {0};
    size_t got;
    TRY(read_file(source, first, sizeof first, &got));
    if (lseek(source->file, 0, SEEK_SET) != 0)
        return status_error(RAM_IO, "cannot read %s: %s", source->path, strerror(errno));
    if (first[0] != 0x1f || first[1] != 0x8b) return status_ok();
    source->input = memory_new(INPUT_BYTES, 1);
    if (inflateInit2(&source->inflater, MAX_WBITS + 16) != Z_OK)
        return status_error(RAM_INTERNAL, "zlib cannot start to unpack %s", source->path);
    source->packed = true;
    return status_ok();
}

/* Opens without waiting, so that a FIFO by that name is refused instead of hanging the rank. */
static Status source_open(Source *source, const char *path) {
    *source = (Source){.path = path, .file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (source->file < 0) return status_error(RAM_IO, "cannot open %s: %s", path, strerror(errno));
    Status status = source_start(source);
    if (status_failed(&status)) source_close(source);
    return status;
}

static Status damaged_gzip(const Source *source, const char *why) {
    return status_error(RAM_DATA, "%s is damaged: %s: fetch it again", source->path, why);
}

/* Makes sure that compressed input is at hand; sets source->ended at the end of a file whose last member is complete.
 */
static Status refill(Source *source, bool member_ended) {
    if (source->inflater.avail_in > 0) return status_ok();
    size_t got;
    TRY(read_file(source, source->input, INPUT_BYTES, &got));
    source->inflater.next_in = source->input;
    source->inflater.avail_in = (uInt)got;
    if (got == 0 && !member_ended) return damaged_gzip(source, "its gzip data is cut short");
    source->ended = got == 0;
    return status_ok();
}

static Status read_packed(Source *source, uint8_t *out, size_t bytes, size_t *got) {
    z_stream *inflater = &source->inflater;
    *got = 0;
    while (*got < bytes && !source->ended) {
        TRY(refill(source, false));
        size_t room = bytes - *got < INT32_MAX ? bytes - *got : INT32_MAX;
        inflater->next_out = out + *got;
        inflater->avail_out = (uInt)room;
        int result = inflate(inflater, Z_NO_FLUSH);
        *got += room - inflater->avail_out;
        if (result == Z_STREAM_END) { /* the file ends, or another member follows */
            TRY(refill(source, true));
            if (!source->ended && *inflater->next_in != 0x1f)
                return damaged_gzip(source, "other bytes follow its gzip data");
            if (!source->ended) inflateReset(inflater);
        } else if (result != Z_OK) {
            return damaged_gzip(source, inflater->msg ? inflater->msg : "it is not valid gzip");
        }
    }
    return status_ok();
}

static Status source_read(Source *source, void *out, size_t bytes, size_t *got) {
    return source->packed ? read_packed(source, out, bytes, got) : read_file(source, out, bytes, got);
}

typedef struct {
    int dimensions;
    int64_t size[MOST_DIMENSIONS];
    size_t items; /* bytes after the header */
} Header;

/* Reads magic and sizes; the number of dimensions must lie in least..most. */
static Status read_header(Source *source, int least, int most, Header *header) {
    uint8_t bytes[4 + 4 * MOST_DIMENSIONS];
    size_t got;
    TRY(source_read(source, bytes, 4, &got));
    if (got < 4) return status_error(RAM_DATA, "%s is too short for an IDX file: fetch it again", source->path);
    header->dimensions = bytes[3];
    if (bytes[0] != 0 || bytes[1] != 0 || bytes[2] != MAGIC_UBYTE >> 8 || bytes[3] < least || bytes[3] > most)
        return status_error(RAM_DATA, "%s starts with %02x %02x %02x %02x, but IDX %s start with 00 00 08 %02x%s: %s",
                            source->path, bytes[0], bytes[1], bytes[2], bytes[3], least == 1 ? "labels" : "images",
                            least, least < most ? " or 04" : "", "is it another file under this name?");
    size_t rest = 4 * (size_t)header->dimensions;
    TRY(source_read(source, bytes + 4, rest, &got));
    if (got < rest) return status_error(RAM_DATA, "%s is cut short within its header: fetch it again", source->path);
    header->items = 1;
    for (int d = 0; d < header->dimensions; d++) {
        const uint8_t *size = bytes + 4 + 4 * d;
        header->size[d] = (int64_t)size[0] << 24 | size[1] << 16 | size[2] << 8 | size[3];
        if (header->size[d] == 0 && d == 0)
            return status_error(RAM_DATA, "%s holds 0 items: fetch it again", source->path);
        if (header->size[d] == 0)
            return status_error(RAM_DATA, "%s: dimension %d is 0: fetch it again", source->path, d + 1);
        if (__builtin_mul_overflow(header->items, (size_t)header->size[d], &header->items))
            return status_error(RAM_DATA, "%s: its header claims an impossible size: fetch it again", source->path);
    }
    return status_ok();
}

/* Reads the header's items into *items (owned by the caller), which must end where the file ends. What a header claims
 * is compared with the file's size before memory is asked for. */
static Status read_items(Source *source, const Header *header, uint8_t **items) {
    size_t header_bytes = 4 + 4 * (size_t)header->dimensions;
    size_t most = source->packed ? (size_t)source->file_bytes * DEFLATE_MOST_RATIO : (size_t)source->file_bytes;
    if (header->items > most || header->items + header_bytes > most)
        return status_error(RAM_DATA, "%s is cut short: its header promises %zu bytes, the file has room for %zu: %s",
                            source->path, header->items, most < header_bytes ? 0 : most - header_bytes,
                            "fetch it again");
    void *memory;
    size_t got, extra = 0;
    TRY(memory_new_for(header->items, &memory, "reading %s", source->path));
    Status status = source_read(source, memory, header->items, &got);
    if (!status_failed(&status) && got < header->items)
        status = status_error(RAM_DATA, "%s is cut short: its header promises %zu bytes, it has %zu: fetch it again",
                              source->path, header->items, got);
    uint8_t byte;
    if (!status_failed(&status)) status = source_read(source, &byte, 1, &extra);
    if (!status_failed(&status) && extra > 0)
        status = status_error(RAM_DATA, "%s goes on after the %zu bytes that its header promises: fetch it again",
                              source->path, header->items);
    if (status_failed(&status))
        free(memory);
    else
        *items = memory;
    return status;
}

static Status read_images(Source *source, Images *images) {
    Header header;
    TRY(read_header(source, 3, 4, &header));
    int64_t channels = header.dimensions == 4 ? header.size[3] : 1;
    if (header.size[0] > INT32_MAX || header.size[1] > IDX_MOST_SIDE || header.size[2] > IDX_MOST_SIDE ||
        channels > CHANNELS_MOST)
        return status_error(RAM_DATA,
                            "%s: its header claims %lld images of %lld x %lld pixels and %lld channel%s, but at most "
                            "%d of %d x %d and %d are read: is it another file under this name?",
                            source->path, (long long)header.size[0], (long long)header.size[1],
                            (long long)header.size[2], (long long)channels, channels == 1 ? "" : "s", INT32_MAX,
                            IDX_MOST_SIDE, IDX_MOST_SIDE, CHANNELS_MOST);
    TRY(read_items(source, &header, &images->pixels));
    images->count = header.size[0];
    images->height = (int)header.size[1];
    images->width = (int)header.size[2];
    images->channels = (int)channels;
    return status_ok();
}

static Status read_labels(Source *source, Images *images) {
    Header header;
    TRY(read_header(source, 1, 1, &header));
    if (header.size[0] != images->count)
        return status_error(RAM_DATA, "%s holds %lld labels, but its images file holds %lld images: fetch both again",
                            source->path, (long long)header.size[0], (long long)images->count);
    return read_items(source, &header, &images->labels);
}

static Status read_path(const char *path, Images *images, Status (*reader)(Source *, Images *)) {
    Source source;
    TRY(source_open(&source, path));
    Status status = reader(&source, images);
    source_close(&source);
    return status;
}

Status idx_read_images(const char *path, Images *images) { return read_path(path, images, read_images); }

Status idx_read_labels(const char *path, Images *images) { return read_path(path, images, read_labels); }
