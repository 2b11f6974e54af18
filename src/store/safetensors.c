#include "store/safetensors.h"
#include "base/atomic_file.h"
#include "base/log.h"
#include "base/memory.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Far above any RAM, whose header has some 2 KB. */
static const size_t HEADER_MOST = (size_t)16 << 20, FILE_MOST = (size_t)1 << 31;
enum { LENGTH = 8, QUOTED = 80 };
static const char METADATA[] = "__metadata__";

struct Safetensors {
    char name[256]; /* for messages */
    unsigned char *data;
    json_t *header;
    int count;
    Tensor *tensor;
};

static const struct {
    const char *name;
    size_t bytes;
} TYPES[] = {{"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8},  {"U64", 8},     {"I32", 4}, {"U32", 4},
             {"I16", 2}, {"U16", 2}, {"I8", 1},  {"U8", 1},   {"BOOL", 1}, {"F8_E4M3", 1}, {"C64", 8}, {"F8_E5M2", 1}};

static size_t type_bytes(const char *type) {
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++)
        if (strcmp(TYPES[i].name, type) == 0) return TYPES[i].bytes;
    return 0;
}

/* "FILE is no good safetensors file: tensor 'NAME' WHAT" */
static Status wrong(const Safetensors *file, const char *tensor, const char *what) {
    char quoted[QUOTED + 16] = "";
    if (tensor) snprintf(quoted, sizeof quoted, "tensor '%.*s' ", QUOTED, tensor);
    return status_error(RAM_DATA, "%s is not a good safetensors file: %s%s; get it anew", file->name, quoted, what);
}

/* A whole number from 0 to 2^53, as JSON can have. */
static bool take_size(const json_t *value, int64_t *size) {
    *size = json_is_integer(value) ? (int64_t)json_integer_value(value) : -1;
    return *size >= 0 && *size <= (int64_t)1 << 53;
}

static Status take_shape(const Safetensors *file, Tensor *tensor, const json_t *shape) {
    const size_t dimensions = json_array_size(shape);
    if (!json_is_array(shape) || dimensions > SAFETENSORS_DIMENSIONS)
        return wrong(file, tensor->name, "has no shape of at most 8 sizes");
    tensor->count = 1;
    tensor->dimensions = (int)dimensions;
    for (size_t i = 0; i < dimensions; i++) {
        if (!take_size(json_array_get(shape, i), &tensor->shape[i]) ||
            __builtin_mul_overflow(tensor->count, (size_t)tensor->shape[i], &tensor->count))
            return wrong(file, tensor->name, "has a shape that is not of sizes");
    }
    return status_ok();
}

/* `bytes` and `data` follow the header's offsets into a buffer of `size` bytes. */
static Status take_range(const Safetensors *file, Tensor *tensor, const json_t *offsets, const unsigned char *buffer,
                         size_t size) {
    int64_t begin, end;
    size_t needed;
    if (json_array_size(offsets) != 2 || !take_size(json_array_get(offsets, 0), &begin) ||
        !take_size(json_array_get(offsets, 1), &end) || begin > end)
        return wrong(file, tensor->name, "has no data_offsets of begin and end");
    if ((size_t)end > size) return wrong(file, tensor->name, "has data beyond the end of the file");
    if (__builtin_mul_overflow(tensor->count, type_bytes(tensor->type), &needed) || needed != (size_t)(end - begin))
        return wrong(file, tensor->name, "has data_offsets that do not fit its shape and type");
    tensor->bytes = needed;
    tensor->data = buffer + begin;
    return status_ok();
}

static Status take_tensor(const Safetensors *file, const char *name, json_t *entry, const unsigned char *buffer,
                          size_t size, Tensor *tensor) {
    tensor->name = name;
    if (json_object_size(entry) != 3) return wrong(file, name, "has not exactly dtype, shape and data_offsets");
    tensor->type = json_string_value(json_object_get(entry, "dtype"));
    if (!tensor->type || type_bytes(tensor->type) == 0) return wrong(file, name, "has an unknown dtype");
    TRY(take_shape(file, tensor, json_object_get(entry, "shape")));
    return take_range(file, tensor, json_object_get(entry, "data_offsets"), buffer, size);
}

static Status check_metadata(const Safetensors *file, json_t *metadata) {
    const char *key;
    json_t *value;
    if (!json_is_object(metadata)) return wrong(file, NULL, "__metadata__ is not an object");
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value)) return wrong(file, NULL, "__metadata__ holds something that is not a text");
    }
    return status_ok();
}

static int by_data(const void *a, const void *b) {
    const Tensor *x = a, *y = b;
    if (x->data != y->data) return x->data < y->data ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes; /* empty ones share an address with the next */
}

/* Every byte of the buffer belongs to one tensor. */
static Status check_ranges(const Safetensors *file, const unsigned char *buffer, size_t size) {
    const unsigned char *end = buffer;
    for (int i = 0; i < file->count; i++) {
        const Tensor *tensor = &file->tensor[i];
        if (tensor->data < end) return wrong(file, tensor->name, "shares bytes with another one");
        if (tensor->data > end) return wrong(file, tensor->name, "has a gap before its data");
        end += tensor->bytes;
    }
    return end == buffer + size ? status_ok() : wrong(file, NULL, "bytes at its end belong to no tensor");
}

/* RAM_DATA where the first bytes, LENGTH at least, are those of another kind of file that holds weights. */
static Status check_kind(const Safetensors *file) {
    static const char CONVERTER[] = "python3 data/convert_checkpoint.py IN OUT.safetensors converts it";
    static const struct {
        const char *start, *what, *advice;
    } KINDS[] = {
        {"PK\3\4", "a zip archive, as PyTorch saves", CONVERTER},
        {"\x80", "a pickle, as PyTorch and Paddle save", CONVERTER},
        {"\x89HDF", "an HDF5 file", "ram_dist export --format safetensors writes the weights of a run or checkpoint"},
    };
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++)
        if (memcmp(file->data, KINDS[i].start, strlen(KINDS[i].start)) == 0)
            return status_error(RAM_DATA, "%s is not a safetensors file but %s: %s", file->name, KINDS[i].what,
                                KINDS[i].advice);
    return status_ok();
}

static Status read_header(Safetensors *file, size_t bytes) {
    size_t length = 0;
    json_error_t error;
    if (bytes < LENGTH) return wrong(file, NULL, "it is shorter than a header's length");
    for (int i = LENGTH - 1; i >= 0; i--) length = length << 8 | file->data[i];
    if (length > HEADER_MOST) TRY(check_kind(file)); /* a good header of 640 bytes begins as a pickle does */
    if (length > bytes - LENGTH || length > HEADER_MOST)
        return wrong(file, NULL, "the header is said to be longer than the file or than 16 MiB");
    const unsigned char *buffer = file->data + LENGTH + length;
    const size_t size = bytes - LENGTH - length;
    file->header = json_loadb((const char *)file->data + LENGTH, length, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(file->header)) {
        char what[JSON_ERROR_TEXT_LENGTH + 64];
        snprintf(what, sizeof what, "its header is not a JSON object (%s)",
                 file->header ? "another value" : error.text);
        return wrong(file, NULL, what);
    }
    file->tensor = memory_new(json_object_size(file->header) + 1, sizeof *file->tensor);
    const char *name;
    json_t *entry;
    json_object_foreach(file->header, name, entry) {
        if (strcmp(name, METADATA) == 0)
            TRY(check_metadata(file, entry));
        else
            TRY(take_tensor(file, name, entry, buffer, size, &file->tensor[file->count++]));
    }
    qsort(file->tensor, (size_t)file->count, sizeof *file->tensor, by_data);
    return check_ranges(file, buffer, size);
}

Status safetensors_parse(const char *name, void *data, size_t bytes, Safetensors **file) {
    Safetensors *opened = memory_new(1, sizeof *opened);
    snprintf(opened->name, sizeof opened->name, "%s", name);
    opened->data = data;
    const Status status = read_header(opened, bytes);
    *file = status_failed(&status) ? NULL : opened;
    if (status_failed(&status)) safetensors_close(opened);
    return status;
}

Status safetensors_open(const char *path, Safetensors **file) {
    void *data;
    size_t bytes;
    *file = NULL;
    TRY(atomic_file_read(path, FILE_MOST, &data, &bytes));
    return safetensors_parse(path, data, bytes, file);
}

void safetensors_close(Safetensors *file) {
    if (!file) return;
    json_decref(file->header);
    free(file->tensor);
    free(file->data);
    free(file);
}

int safetensors_count(const Safetensors *file) { return file->count; }

const Tensor *safetensors_tensor(const Safetensors *file, int number) {
    require(number >= 0 && number < file->count);
    return &file->tensor[number];
}

const char *safetensors_metadata(const Safetensors *file, const char *key) {
    return json_string_value(json_object_get(json_object_get(file->header, METADATA), key));
}

/* --- values */

static uint64_t little_endian(const unsigned char *bytes, size_t count) {
    uint64_t value = 0;
    for (size_t i = count; i-- > 0;) value = value << 8 | bytes[i];
    return value;
}

static float float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* IEEE 754 binary16, exactly. */
static float float_of_half(uint32_t half) {
    const uint32_t sign = (half & 0x8000) << 16, exponent = half >> 10 & 0x1f, fraction = half & 0x3ff;
    if (exponent == 0x1f) return float_of_bits(sign | 0x7f800000 | fraction << 13);
    if (exponent > 0) return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
    const float small = ldexpf((float)fraction, -24);
    return sign ? -small : small;
}

static float value_of(const char *type, const unsigned char *bytes) {
    if (strcmp(type, "F32") == 0) return float_of_bits((uint32_t)little_endian(bytes, 4));
    if (strcmp(type, "BF16") == 0) return float_of_bits((uint32_t)little_endian(bytes, 2) << 16);
    if (strcmp(type, "F16") == 0) return float_of_half((uint32_t)little_endian(bytes, 2));
    const uint64_t bits = little_endian(bytes, 8);
    double value;
    memcpy(&value, &bits, sizeof value);
    return (float)value;
}

Status safetensors_values(const Safetensors *file, const Tensor *tensor, float *values) {
    static const char *const real[] = {"F32", "F16", "BF16", "F64"};
    bool known = false;
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) known |= strcmp(tensor->type, real[i]) == 0;
    if (!known)
        return status_error(RAM_DATA, "tensor '%.*s' of %s has type %s: weights are F32, F16, BF16 or F64", QUOTED,
                            tensor->name, file->name, tensor->type);
    const size_t width = type_bytes(tensor->type);
    for (size_t i = 0; i < tensor->count; i++) {
        values[i] = value_of(tensor->type, tensor->data + i * width);
        if (!isfinite(values[i]))
            return status_error(RAM_DATA,
                                "tensor '%.*s' of %s holds NaN, infinity or a number beyond float32 (element %zu)",
                                QUOTED, tensor->name, file->name, i);
    }
    return status_ok();
}

/* --- writing */

static json_t *header_of(int tensors, const TensorSource *tensor, int pairs, const char *const *metadata) {
    json_t *header = json_object(), *about = json_object();
    for (int i = 0; i < pairs; i++) json_object_set_new(about, metadata[2 * i], json_string(metadata[2 * i + 1]));
    json_object_set_new(header, METADATA, about);
    json_int_t offset = 0;
    for (int i = 0; i < tensors; i++) {
        const json_int_t rows = tensor[i].shape[0], columns = tensor[i].dimensions == 2 ? tensor[i].shape[1] : 1;
        json_t *shape = json_array();
        for (int d = 0; d < tensor[i].dimensions; d++) json_array_append_new(shape, json_integer(tensor[i].shape[d]));
        const json_int_t end = offset + rows * columns * (json_int_t)sizeof(float);
        json_object_set_new(
            header, tensor[i].name,
            json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape", shape, "data_offsets", offset, end));
        offset = end;
    }
    return header;
}

static void put_little_endian(FILE *to, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) fputc((int)(value >> 8 * i & 0xff), to);
}

Status safetensors_write(const char *path, int tensors, const TensorSource *tensor, int pairs,
                         const char *const *metadata) {
    char *data = NULL;
    size_t bytes = 0;
    json_t *header = header_of(tensors, tensor, pairs, metadata);
    char *text = json_dumps(header, JSON_COMPACT);
    FILE *memory = memory_stream_open(&data, &bytes);
    if (!text) fatal("out of memory while writing %s", path);
    const size_t length = strlen(text),
                 padded = (length + 7) / 8 * 8; /* the data begins on 8 bytes, as the format wants */
    put_little_endian(memory, padded, LENGTH);
    fprintf(memory, "%-*s", (int)padded, text);
    for (int i = 0; i < tensors; i++) {
        const int64_t count = tensor[i].shape[0] * (tensor[i].dimensions == 2 ? tensor[i].shape[1] : 1);
        for (int64_t j = 0; j < count; j++) {
            uint32_t bits;
            memcpy(&bits, &tensor[i].values[j], sizeof bits);
            put_little_endian(memory, bits, sizeof bits);
        }
    }
    memory_stream_close(memory);
    const Status status = atomic_file_write(path, data, bytes);
    free(data);
    free(text);
    json_decref(header);
    return status;
}
