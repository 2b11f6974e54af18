/* checkpoint_cost FOLDER [SAVES]: what a checkpoint of the default model costs, in milliseconds: saves (fsync
 * included), prunes to three, and loads. Run it under mpirun for more ranks. FOLDER should lie on the disk that is
 * meant. */
#include "base/log.h"
#include "base/memory.h"
#include "store/checkpoint.h"
#include "store/provenance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CONFIG_KEYS = 60 };

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
}

static int ascending(const void *a, const void *b) {
    double difference = *(const double *)a - *(const double *)b;
    return (difference > 0) - (difference < 0);
}

static void report(const char *what, double *milliseconds, int count) {
    qsort(milliseconds, (size_t)count, sizeof *milliseconds, ascending);
    log_info("%s: median %.1f ms, least %.1f, most %.1f", what, milliseconds[count / 2], milliseconds[0],
             milliseconds[count - 1]);
}

/* DESIGN 2's defaults. */
static void add_default_model(Layout *layout) {
    static const struct {
        const char *name;
        int64_t out, in;
    } part[] = {{"sensor.fc1", 128, 64},   {"sensor.fc2", 128, 2},    {"sensor.fc3", 256, 128},
                {"sensor.fc4", 256, 128},  {"rnn.i2h", 256, 256},     {"rnn.h2h", 256, 256},
                {"locator.fc", 128, 256},  {"locator.fc_lt", 2, 128}, {"baseliner.fc", 1, 256},
                {"classifier.fc", 10, 256}};
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++) {
        char name[LAYOUT_NAME];
        snprintf(name, sizeof name, "%s.weight", part[i].name);
        layout_add(layout, name, part[i].out, part[i].in);
        snprintf(name, sizeof name, "%s.bias", part[i].name);
        layout_add(layout, name, part[i].out, 0);
    }
}

static void measure(Comm *comm, const char *folder, int saves, const Snapshot *snapshot) {
    double *save = memory_new((size_t)saves, sizeof *save), *prune = memory_new((size_t)saves, sizeof *prune);
    char path[FILE_PATH];
    Checkpoint *checkpoint = NULL;
    Status status = status_ok();
    for (int i = 0; i < saves && !status_failed(&status); i++) {
        comm_barrier(comm);
        double start = now();
        status = checkpoint_save(comm, folder, i + 1, snapshot);
        save[i] = now() - start;
        if (!status_failed(&status)) status = checkpoint_prune(comm, folder, 3, 0);
        prune[i] = now() - start - save[i];
    }
    double start = now();
    if (!status_failed(&status)) status = checkpoint_find(comm, folder, "latest", path);
    double found = now();
    if (!status_failed(&status)) status = checkpoint_open(comm, path, &checkpoint);
    if (!status_failed(&status))
        status = checkpoint_read_vectors(comm, checkpoint, snapshot->layout, snapshot->vectors, snapshot->vector);
    checkpoint_close(checkpoint);
    double loaded = now();
    if (status_failed(&status)) {
        log_error(&status);
    } else {
        report("save", save, saves);
        report("prune", prune, saves);
        log_info("find %.1f ms, load %.1f ms", found - start, loaded - found);
    }
    free(save);
    free(prune);
}

int main(int count, char **word) {
    if (count < 2) {
        fprintf(stderr, "usage: checkpoint_cost FOLDER [SAVES]\n");
        return RAM_USAGE;
    }
    int saves = count > 2 ? atoi(word[2]) : 20;
    Comm *comm = comm_mpi_new(0, 0);
    log_open(comm_rank(comm), comm_size(comm), false, NULL);
    Layout layout = {0};
    add_default_model(&layout);
    StoreVector vector[] = {{"param", memory_new(layout.total, sizeof(float))},
                            {"adam/m", memory_new(layout.total, sizeof(float))},
                            {"adam/v", memory_new(layout.total, sizeof(float))}};
    for (int v = 0; v < 3; v++)
        for (size_t i = 0; i < layout.total; i++) vector[v].values[i] = (float)(i * 7 + (size_t)v) * 1e-3f;
    StoreScalar scalar[CONFIG_KEYS + PROVENANCE_FACTS] = {0};
    static char name[CONFIG_KEYS][32];
    double value = 0.1;
    for (int i = 0; i < CONFIG_KEYS; i++) {
        snprintf(name[i], sizeof name[i], "config/section.key%d", i);
        scalar[i] = (StoreScalar){.name = name[i], .type = STORE_REAL, .value = &value};
    }
    Provenance *provenance = memory_new(1, sizeof *provenance);
    provenance_collect(provenance, comm_size(comm), count, word);
    provenance_scalars(provenance, scalar + CONFIG_KEYS);
    Snapshot snapshot = {&layout, 3, vector, CONFIG_KEYS + PROVENANCE_FACTS, scalar};
    log_info("%zu parameters in %d fields, 3 vectors, %d ranks", layout_elements(&layout), layout.fields,
             comm_size(comm));
    if (saves > 0) measure(comm, word[1], saves, &snapshot);
    for (int v = 0; v < 3; v++) free(vector[v].values);
    free(provenance);
    comm_free(comm);
    return 0;
}
