/* Safetensors: the file format in which PyTorch users pass weights on: 8 bytes of little-endian header length, a JSON
 * header, and the tensors' bytes without gaps. Files come from anywhere, so nothing in one is believed before it was
 * checked. Must not know what the tensors mean. Nothing here is collective. */
#ifndef RAM_STORE_SAFETENSORS_H
#define RAM_STORE_SAFETENSORS_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

enum { SAFETENSORS_DIMENSIONS = 8 };

typedef struct {
    const char *name, *type; /* "F32", "BF16", ...; as the file has them */
    int dimensions;
    int64_t shape[SAFETENSORS_DIMENSIONS];
    size_t count, bytes;
    const unsigned char *data; /* little-endian, not aligned */
} Tensor;

typedef struct Safetensors Safetensors;

/* Reads and checks the whole file. safetensors_close() the result. RAM_DATA names the file and what is wrong. */
Status safetensors_open(const char *path, Safetensors **file);
/* The same of bytes in memory, which the result owns from then on, also on failure; `name` stands for them in messages.
 */
Status safetensors_parse(const char *name, void *data, size_t bytes, Safetensors **file);
void safetensors_close(Safetensors *file); /* NULL is allowed */

/* In the order of their data. */
int safetensors_count(const Safetensors *file);
const Tensor *safetensors_tensor(const Safetensors *file, int number);
/* Text of __metadata__ under `key`; NULL: there is none. */
const char *safetensors_metadata(const Safetensors *file, const char *key);

/* The tensor as float32: values (count). F32, F16 and BF16 are exact, F64 is rounded. RAM_DATA for another type, and
 * for values that are not finite in float32. */
Status safetensors_values(const Safetensors *file, const Tensor *tensor, float *values);

/* What is to be written: float32, row-major, borrowed. `dimensions` 1 or 2. */
typedef struct {
    const char *name;
    int dimensions;
    int64_t shape[2];
    const float *values;
} TensorSource;

/* Writes `path` in one step; `metadata`: `pairs` keys and values in turn. RAM_IO. */
Status safetensors_write(const char *path, int tensors, const TensorSource *tensor, int pairs,
                         const char *const *metadata);

#endif
