#include "mpi/devices.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- the choice */

bool devices_same(const Gpu *a, const Gpu *b) { return memcmp(a->uuid, b->uuid, sizeof a->uuid) == 0; }

/* Ranks that have taken `gpu` so far. */
static int takers(int ranks, const DeviceView *view, const int *taken, const Gpu *gpu) {
    int count = 0;
    for (int rank = 0; rank < ranks; rank++)
        count += taken[rank] != DEVICE_NONE && devices_same(&view[rank].seen.gpu[taken[rank]], gpu);
    return count;
}

void devices_choose(int ranks, const DeviceView *view, int *gpu) {
    for (int rank = 0; rank < ranks; rank++) gpu[rank] = DEVICE_NONE;
    for (int choice = 1; choice <= GPUS_MOST; choice++) {
        for (int rank = 0; rank < ranks; rank++) {
            const GpuList *seen = &view[rank].seen;
            if (seen->count != choice) continue;
            int best = 0, fewest = ranks + 1;
            for (int i = 0; i < seen->count; i++) {
                const int others = takers(ranks, view, gpu, &seen->gpu[i]);
                if (others < fewest) best = i;
                if (others < fewest) fewest = others;
            }
            gpu[rank] = best;
        }
    }
}

/* --- of a run */

Devices *devices_new(Comm *comm, const GpuList *seen) {
    DeviceView mine;
    memset(&mine, 0, sizeof mine);
    mine.host = comm_host(comm);
    mine.seen = *seen;
    require(seen->count >= 0 && seen->count <= GPUS_MOST);
    if (gethostname(mine.name, sizeof mine.name - 1) != 0) snprintf(mine.name, sizeof mine.name, "?");
    Devices *devices = memory_new(1, sizeof *devices);
    devices->ranks = comm_size(comm);
    devices->view = memory_new((size_t)devices->ranks, sizeof *devices->view);
    devices->gpu = memory_new((size_t)devices->ranks, sizeof *devices->gpu);
    comm_gather(comm, &mine, sizeof mine, devices->view);
    devices_choose(devices->ranks, devices->view, devices->gpu);
    return devices;
}

void devices_free(Devices *devices) {
    if (!devices) return;
    free(devices->view);
    free(devices->gpu);
    free(devices);
}

const Gpu *devices_gpu(const Devices *devices, int rank) {
    require(devices->gpu[rank] != DEVICE_NONE);
    return &devices->view[rank].seen.gpu[devices->gpu[rank]];
}

bool devices_any(const Devices *devices) {
    for (int rank = 0; rank < devices->ranks; rank++)
        if (devices->gpu[rank] != DEVICE_NONE) return true;
    return false;
}

int devices_without(const Devices *devices) {
    for (int rank = 0; rank < devices->ranks; rank++)
        if (devices->gpu[rank] == DEVICE_NONE) return rank;
    return DEVICE_NONE;
}

int devices_shared(const Devices *devices, int *ranks) {
    int gpus = 0;
    *ranks = 0;
    for (int rank = 0; rank < devices->ranks; rank++) {
        if (devices->gpu[rank] == DEVICE_NONE) continue;
        const Gpu *gpu = devices_gpu(devices, rank);
        if (takers(devices->ranks, devices->view, devices->gpu, gpu) < 2) continue;
        (*ranks)++;
        /* counted at its first rank */
        gpus += takers(rank, devices->view, devices->gpu, gpu) == 0;
    }
    return gpus;
}

void devices_uuid_text(const Gpu *gpu, char text[DEVICE_UUID_TEXT]) {
    int length = snprintf(text, DEVICE_UUID_TEXT, "GPU");
    for (int i = 0; i < 16; i++)
        length += snprintf(text + length, (size_t)(DEVICE_UUID_TEXT - length), "%s%02x",
                           i == 0 || i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", gpu->uuid[i]);
}

void devices_tell(const Devices *devices) {
    for (int rank = 0; rank < devices->ranks; rank++) {
        char uuid[DEVICE_UUID_TEXT];
        devices_uuid_text(devices_gpu(devices, rank), uuid);
        log_info("rank %d on %s: %s, %s", rank, devices->view[rank].name, devices_gpu(devices, rank)->name, uuid);
    }
    int ranks, gpus = devices_shared(devices, &ranks);
    if (gpus > 0)
        log_info("%d ranks share %d GPU%s: there are more ranks than GPUs that they see", ranks, gpus,
                 gpus == 1 ? "" : "s");
}
