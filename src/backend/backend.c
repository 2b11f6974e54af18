#include "backend/backend.h"
#include "backend/checked.h"
#include "backend/cpu/cpu.h"
#include "backend/cuda/cuda_backend.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdlib.h>

#ifdef RAM_CUDA
Status backend_probe(int gpu) { return cuda_backend_probe(gpu); }

static Status open_cuda(const BackendOptions *options, Backend **backend) { return cuda_backend_new(options, backend); }
#else
static Status not_compiled(void) {
    return status_error(RAM_UNAVAILABLE,
                        "device cuda: it is not compiled into this program; use --device cpu or --device auto");
}

Status backend_probe(int gpu) {
    (void)gpu;
    return not_compiled();
}

static Status open_cuda(const BackendOptions *options, Backend **backend) {
    (void)options, (void)backend;
    return not_compiled();
}
#endif

Status backend_open(const BackendOptions *options, Backend **backend) {
    *backend = NULL;
    require(options->device != DEVICE_AUTO);
    if (options->device == DEVICE_CUDA) return open_cuda(options, backend);
    TRY(cpu_backend_new(options->threads, options->precision, backend));
    if (options->device == DEVICE_CPU_CHECK) *backend = checked_new(*backend);
    return status_ok();
}

void backend_close(Backend *backend) {
    if (backend) backend->kernels->free(backend);
}

void backend_range(Backend *backend, const char *name) {
    if (backend->kernels->range) backend->kernels->range(backend, name);
}

void backend_range_end(Backend *backend) { backend_range(backend, NULL); }

int span_stacked_rows(const Span *span, int glimpses) {
    require(span->lane_count == 1);
    return glimpses * (int)span_rows(span);
}

bool backend_span(const Backend *backend, const Span *lanes, int lanes_most, int worker, int first, Span *span) {
    const int count = lanes->lane_count, workers = backend->workers;
    const int begin = lanes->first_lane + (int)partition_begin(count, worker, workers);
    const int end = lanes->first_lane + (int)partition_begin(count, worker + 1, workers);
    if (first < begin) first = begin;
    if (first >= end) return false;
    const LaneNode node = lane_tree_node(lanes->lanes, first, end, lanes_most);
    *span = *lanes;
    span->first_lane = node.first;
    span->lane_count = node.count;
    return true;
}

int backend_spans(const Backend *backend, const Span *lanes, int lanes_most, LaneNode *node) {
    int spans = 0;
    Span span;
    for (int worker = 0; worker < backend->workers; worker++)
        for (int lane = 0; backend_span(backend, lanes, lanes_most, worker, lane, &span);
             lane = span.first_lane + span.lane_count)
            node[spans++] = (LaneNode){span.first_lane, span.lane_count};
    return spans;
}

void backend_run_recorded(Backend *backend, BackendRecord **record, Span lanes, RecordedWork work, RecordAgreed agreed,
                          void *context) {
    if (backend->kernels->run_recorded)
        backend->kernels->run_recorded(backend, record, lanes, work, agreed, context);
    else
        work(context);
}

void backend_forget(Backend *backend, BackendRecord *record) {
    if (record) backend->kernels->forget(backend, record);
}

void *backend_host_new(Backend *backend, size_t bytes) {
    return backend->kernels->allocate_host ? backend->kernels->allocate_host(backend, bytes) : memory_new(bytes, 1);
}

void backend_host_free(Backend *backend, void *memory) {
    if (backend->kernels->release_host)
        backend->kernels->release_host(backend, memory);
    else
        free(memory);
}

Status backend_room(Backend *backend) { return backend->kernels->room ? backend->kernels->room(backend) : status_ok(); }

DevFloats backend_floats(Backend *backend, int64_t count) {
    return (DevFloats){backend->kernels->allocate(backend, (size_t)count * sizeof(float))};
}

DevFloats backend_zeros(Backend *backend, int64_t count) {
    const DevFloats values = backend_floats(backend, count);
    if (!values.address || backend->host_memory) return values; /* the host's is allocated as zeros */
    float *zeros = memory_new((size_t)count, sizeof *zeros);
    backend->kernels->upload(backend, values.address, zeros, (size_t)count * sizeof *zeros);
    free(zeros);
    return values;
}
