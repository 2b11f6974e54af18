/* Devices: which GPU each rank takes. Owns the choice and the table of it. Must not know CUDA: a rank hands in what it
 * sees, as CUDA_VISIBLE_DEVICES or the scheduler left it. devices_new is collective. */
#ifndef RAM_MPI_DEVICES_H
#define RAM_MPI_DEVICES_H

#include "base/gpu.h"
#include "mpi/comm.h"

#include <stdbool.h>

/* What one rank sees, from where. */
typedef struct {
    int host;      /* equal for ranks of one host */
    char name[64]; /* of the host */
    GpuList seen;
} DeviceView;

enum { DEVICE_NONE = -1 };

/* gpu (ranks): the place in its rank's list, DEVICE_NONE where that is empty. A rank that sees one GPU takes it; the
 * others spread over what they see: those with the least choice choose first, each the GPU that the fewest have taken.
 * So N ranks that all see N GPUs take one each, in rank order. */
void devices_choose(int ranks, const DeviceView *view, int *gpu);

typedef struct {
    int ranks;
    DeviceView *view; /* (ranks) */
    int *gpu;         /* (ranks), see devices_choose */
} Devices;

/* Every rank learns what all see and take. Owned by the caller. @collective */
Devices *devices_new(Comm *comm, const GpuList *seen);
void devices_free(Devices *devices); /* NULL is allowed */

/* The GPU of a rank that has one. Borrowed. */
const Gpu *devices_gpu(const Devices *devices, int rank);

bool devices_any(const Devices *devices); /* whether a rank has one */

/* The lowest rank that sees no GPU, or DEVICE_NONE. */
int devices_without(const Devices *devices);

/* How many GPUs are taken by several ranks, and in *ranks by how many in all. */
int devices_shared(const Devices *devices, int *ranks);

/* Tells rank > host > GPU, for ranks that all have one. */
void devices_tell(const Devices *devices);

/* Whether both are one GPU, in whatever container of its machine. */
bool devices_same(const Gpu *a, const Gpu *b);

/* "GPU-5f1ed2a4-0b1c-..." as nvidia-smi -L writes it. */
enum { DEVICE_UUID_TEXT = 41 };
void devices_uuid_text(const Gpu *gpu, char text[DEVICE_UUID_TEXT]);

#endif
