#define _GNU_SOURCE /* program_invocation_short_name */
#include "sample.h"
#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Any float at all, NaN payloads and denormals included: the store must not care. */
static float any_value(int64_t seed, int vector, size_t i) {
    uint32_t bits = (uint32_t)(seed * 2654435761u) ^ (uint32_t)(vector * 40503) ^ (uint32_t)(i * 2246822519u);
    float value;
    bits ^= bits >> 15;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void fill(Sample *sample, int64_t seed) {
    for (int v = 0; v < SAMPLE_VECTORS; v++)
        for (int f = 0; f < sample->layout.fields; f++) {
            const Field *field = &sample->layout.field[f];
            for (size_t i = 0; i < field->count; i++)
                sample->vector[v].values[field->offset + i] = any_value(seed, v, field->offset + i);
        }
    sample->epoch = seed * 1000003;
    sample->lr = 0.1 * (double)seed;
    snprintf(sample->host, sizeof sample->host, "Gerät %lld", (long long)seed);
}

Sample *sample_new(int64_t seed) {
    static const char *const groups[SAMPLE_VECTORS] = {"param", "adam/m", "adam/v"};
    Sample *sample = memory_new(1, sizeof *sample);
    layout_add(&sample->layout, "rnn.i2h.weight", 7, 5);
    layout_add(&sample->layout, "rnn.i2h.bias", 7, 0);
    layout_add(&sample->layout, "baseliner.fc.weight", 1, 9);
    layout_add(&sample->layout, "baseliner.fc.bias", 1, 0);
    layout_add(&sample->layout, "locator.fc.bias", 2, 0);
    layout_add(&sample->layout, "wide", 3, 1);
    for (int v = 0; v < SAMPLE_VECTORS; v++)
        sample->vector[v] = (StoreVector){groups[v], memory_new(sample->layout.total, sizeof(float))};
    sample->scalar[0] = (StoreScalar){.name = "state/epoch", .type = STORE_INT, .value = &sample->epoch};
    sample->scalar[1] = (StoreScalar){.name = "config/train.lr", .type = STORE_REAL, .value = &sample->lr};
    sample->scalar[2] = (StoreScalar){"provenance/host", STORE_TEXT, sample->host, sizeof sample->host, false};
    sample->scalar[3] = (StoreScalar){"empty", STORE_TEXT, sample->empty, sizeof sample->empty, false};
    sample->snapshot = (Snapshot){&sample->layout, SAMPLE_VECTORS, sample->vector, SAMPLE_SCALARS, sample->scalar};
    if (seed) fill(sample, seed);
    return sample;
}

void sample_free(Sample *sample) {
    for (int v = 0; v < SAMPLE_VECTORS; v++) free(sample->vector[v].values);
    free(sample);
}

bool sample_is(const Sample *sample, int64_t seed) {
    Sample *wanted = sample_new(seed);
    bool same = sample->epoch == wanted->epoch && memcmp(&sample->lr, &wanted->lr, sizeof wanted->lr) == 0 &&
                strcmp(sample->host, wanted->host) == 0 && strcmp(sample->empty, wanted->empty) == 0;
    for (int v = 0; v < SAMPLE_VECTORS; v++)
        same = same &&
               memcmp(sample->vector[v].values, wanted->vector[v].values, wanted->layout.total * sizeof(float)) == 0;
    sample_free(wanted);
    return same;
}

void sample_folder(Comm *comm, const char *name, char folder[FILE_PATH]) {
    /* of this program's own: others run at the same time, and a name is soon taken twice */
    snprintf(folder, FILE_PATH, "%s/tests/store/work/%s/%s-np%d", BINARY_DIR, program_invocation_short_name, name,
             comm_size(comm));
    Status status = status_ok();
    if (comm_rank(comm) == 0) {
        status = atomic_file_remove_tree(folder);
        if (!status_failed(&status)) status = atomic_file_make_folder(folder);
    }
    require(comm_agree(comm, status).code == RAM_OK);
}

Status sample_load(Comm *comm, const char *path, const Snapshot *snapshot) {
    Checkpoint *checkpoint;
    TRY(checkpoint_open(comm, path, &checkpoint));
    Status status = checkpoint_read_scalars(checkpoint, snapshot->scalars, snapshot->scalar);
    if (!status_failed(&status))
        status = checkpoint_read_vectors(comm, checkpoint, snapshot->layout, snapshot->vectors, snapshot->vector);
    checkpoint_close(checkpoint);
    return status;
}

size_t sample_file_bytes(const char *path) {
    struct stat facts;
    require(stat(path, &facts) == 0);
    return (size_t)facts.st_size;
}

void sample_flip_bit(const char *path, size_t byte, int bit) {
    unsigned char value;
    int file = open(path, O_RDWR);
    require(file >= 0 && pread(file, &value, 1, (off_t)byte) == 1);
    value ^= (unsigned char)(1 << bit);
    require(pwrite(file, &value, 1, (off_t)byte) == 1);
    close(file);
}

void sample_truncate(const char *path, size_t bytes) { require(truncate(path, (off_t)bytes) == 0); }
