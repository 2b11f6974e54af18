/* Work that comes again and again as a CUDA graph: a training step of RAM is some hundred small kernels, each of which
 * would cost more to launch than to run. */
#include "backend/cuda/cuda_parts.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

/* One of a list: a step has whole batches and a short last one. */
struct BackendRecord {
    Span lanes;
    bool warm;             /* has run as it is: libraries are loaded, and the scratch memory has its size */
    bool tried;            /* to be recorded */
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
    cudaGraph_t graph = NULL;
    CUDA_TRY(cudaStreamBeginCapture(cuda->stream, cudaStreamCaptureModeRelaxed));
    cuda->recording = true;
    work(context);
    CUDA_ASKED(cuda, "end of capture", cuda_reason(cudaStreamEndCapture(cuda->stream, &graph)));
    if (!cuda->unrecordable[0])
        CUDA_ASKED(cuda, "instantiation", cuda_reason(cudaGraphInstantiateWithFlags(&record->graph, graph, 0)));
    cuda->recording = false;
    if (graph) CUDA_TRY(cudaGraphDestroy(graph));
    if (!cuda->unrecordable[0]) return;
    record->graph = NULL;
    cudaGetLastError(); /* it was of the capture, and will be told */
}

/* Once for each record. What cannot be recorded is told once, and done without a record from then on: a driver's
 * refusal costs time, not the training. */
static void try_to_record(CudaBackend *cuda, BackendRecord *record, RecordedWork work, RecordAgreed agreed,
                          void *context) {
    const bool told = cuda->unrecordable[0];
    record->tried = true;
    if (!told) record_graph(cuda, record, work, context);
    Status made = cuda->unrecordable[0] ? status_error(RAM_UNAVAILABLE, "%s", cuda->unrecordable) : status_ok();
    if (agreed) made = agreed(context, made);
    if (!status_failed(&made)) return;
    if (record->graph) CUDA_TRY(cudaGraphExecDestroy(record->graph));
    record->graph = NULL;
    if (told) return;
    snprintf(cuda->unrecordable, sizeof cuda->unrecordable, "%.190s", made.message);
    log_warning("no CUDA graph can be made of this work (%s): its kernels are launched one by one, which takes longer",
                cuda->unrecordable);
}

/* When it is recorded depends on the batches alone, so that all ranks record a sum of theirs together. */
void cuda_run_recorded(Backend *backend, BackendRecord **list, Span lanes, RecordedWork work, RecordAgreed agreed,
                       void *context) {
    CudaBackend *cuda = (CudaBackend *)backend;
    BackendRecord *record = find(list, &lanes);
    if (record->warm && !record->tried) try_to_record(cuda, record, work, agreed, context);
    if (record->graph)
        CUDA_TRY(cudaGraphLaunch(record->graph, cuda->stream));
    else
        work(context);
    record->warm = true;
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
