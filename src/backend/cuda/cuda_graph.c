/* Work that comes again and again as a CUDA graph: a training step of RAM is some hundred small kernels, each of which
 * would cost more to launch than to run. */
#include "backend/cuda/cuda_parts.h"
#include "base/memory.h"

#include <stdlib.h>

/* One of a list: a step has whole batches and a short last one. */
struct BackendRecord {
    Span lanes;
    bool warm;             /* has run as it is: libraries are loaded, and the scratch memory has its size */
    cudaGraphExec_t graph; /* NULL: not recorded */
    BackendRecord *next;
};

static bool same_lanes(const Span *a, const Span *b) {
    return a->batch == b->batch && a->lanes == b->lanes && a->first_lane == b->first_lane &&
           a->lane_count == b->lane_count && a->samples == b->samples;
}

static BackendRecord *find(BackendRecord **list, const Span *lanes) {
    for (BackendRecord *record = *list; record; record = record->next)
        if (same_lanes(&record->lanes, lanes)) return record;
    BackendRecord *record = memory_new(1, sizeof *record);
    *record = (BackendRecord){.lanes = *lanes, .next = *list};
    *list = record;
    return record;
}

/* Relaxed: other threads (MPI's, NCCL's) may call CUDA meanwhile. */
static void record_graph(CudaBackend *cuda, BackendRecord *record, RecordedWork work, void *context) {
    cudaGraph_t graph;
    cuda->recording = true;
    CUDA_TRY(cudaStreamBeginCapture(cuda->stream, cudaStreamCaptureModeRelaxed));
    work(context);
    CUDA_TRY(cudaStreamEndCapture(cuda->stream, &graph));
    cuda->recording = false;
    CUDA_TRY(cudaGraphInstantiateWithFlags(&record->graph, graph, 0));
    CUDA_TRY(cudaGraphDestroy(graph));
}

/* When it is recorded depends on the batches alone, so that all ranks record a sum of theirs together. */
void cuda_run_recorded(Backend *backend, BackendRecord **list, Span lanes, RecordedWork work, void *context) {
    CudaBackend *cuda = (CudaBackend *)backend;
    BackendRecord *record = find(list, &lanes);
    if (!record->warm) {
        work(context);
        record->warm = true;
        return;
    }
    if (!record->graph) record_graph(cuda, record, work, context);
    CUDA_TRY(cudaGraphLaunch(record->graph, cuda->stream));
}

void cuda_forget(Backend *backend, BackendRecord *record) {
    backend->kernels->wait(backend); /* a graph may still run */
    while (record) {
        BackendRecord *next = record->next;
        if (record->graph) CUDA_TRY(cudaGraphExecDestroy(record->graph));
        free(record);
        record = next;
    }
}
