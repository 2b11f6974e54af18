/* The few calls of CUDA's runtime that mpi/comm_nccl.c makes, on memory of nccl_ranks.h: everything on a stream is done
 * at once, unless nccl_ranks_stick was called, but an event is first not ready. That is remembered, as CUDA does, and
 * then every call that gives a stream something to do fails, as the check of a kernel's launch would. With
 * FAKE_CUDA_FULL there is no memory. */
#include "nccl_ranks.h"

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool is_stuck(bool stick) {
    static bool stuck;
    stuck = stuck || stick;
    return stuck;
}

void nccl_ranks_stick(void) { is_stuck(true); }

static bool is_broken(bool break_it) {
    static bool broken;
    broken = broken || break_it;
    return broken;
}

void nccl_ranks_break(void) { is_broken(true); }

/* What cudaGetLastError is to answer, and whether the event has been asked for. */
static struct {
    cudaError_t last;
    bool asked;
} the_memory;

int nccl_ranks_is_blamed(void) { return the_memory.last != cudaSuccess; }

static bool is_usable(cudaStream_t stream) { return stream && the_memory.last == cudaSuccess; }

static _Thread_local bool the_choice;

cudaError_t cudaSetDevice(int device) {
    the_choice = device >= 0 && device < 16;
    return the_choice ? cudaSuccess : cudaErrorInvalidDevice;
}

int nccl_ranks_gpu_is_chosen(void) { return the_choice; }

cudaError_t cudaMalloc(void **memory, size_t bytes) {
    if (getenv("FAKE_CUDA_FULL")) return the_memory.last = cudaErrorMemoryAllocation;
    void *host = malloc(bytes);
    *memory = nccl_ranks_device(host);
    return host ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaFree(void *memory) {
    free(nccl_ranks_host(memory));
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind) {
    const bool up = kind == cudaMemcpyHostToDevice;
    if (nccl_ranks_on_device(to) != up || nccl_ranks_on_device(from) == up) return cudaErrorInvalidValue;
    memcpy(up ? nccl_ranks_host(to) : to, up ? from : nccl_ranks_host(from), bytes);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream) {
    return is_usable(stream) ? cudaMemcpy(to, from, bytes, kind) : cudaErrorInvalidValue;
}

cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream) {
    if (!is_usable(stream)) return cudaErrorInvalidValue;
    memset(nccl_ranks_host(memory), value, bytes);
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) {
    *stream = malloc(1);
    return flags == cudaStreamNonBlocking ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    free(stream);
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags) {
    *event = malloc(1);
    return flags == cudaEventDisableTiming ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    the_memory.asked = false;
    return event && is_usable(stream) ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
    if (!event) return cudaErrorInvalidValue;
    if (is_broken(false)) return the_memory.last = cudaErrorECCUncorrectable;
    if (the_memory.asked && !is_stuck(false)) return cudaSuccess;
    the_memory.asked = true;
    return the_memory.last = cudaErrorNotReady;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    free(event);
    return cudaSuccess;
}

/* The one sum that a graph holds. */
static struct {
    int capturing;
    int given_up;
    float *floats;
    size_t count;
} the_graph;

int nccl_ranks_is_capturing(void) { return the_graph.capturing; }

void nccl_ranks_capture(float *floats, size_t count) {
    the_graph.floats = floats;
    the_graph.count = count;
}

void nccl_ranks_give_up_capture(int begin) { the_graph.given_up = begin; }
int nccl_ranks_capture_is_given_up(void) { return the_graph.given_up; }

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode) {
    if (!is_usable(stream) || mode != cudaStreamCaptureModeRelaxed || the_graph.capturing) return cudaErrorInvalidValue;
    the_graph.capturing = 1;
    the_graph.floats = NULL;
    return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status) {
    *status = the_graph.given_up    ? cudaStreamCaptureStatusInvalidated
              : the_graph.capturing ? cudaStreamCaptureStatusActive
                                    : cudaStreamCaptureStatusNone;
    return stream ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    if (!stream || !the_graph.capturing) return cudaErrorInvalidValue;
    the_graph.capturing = 0;
    *graph = the_graph.floats ? (cudaGraph_t)&the_graph : NULL;
    return *graph ? cudaSuccess : cudaErrorStreamCaptureInvalidated;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *playable, cudaGraph_t graph, unsigned long long flags) {
    *playable = (cudaGraphExec_t)graph;
    return graph && flags == 0 ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t playable, cudaStream_t stream) {
    if (!playable || !is_usable(stream)) return cudaErrorInvalidValue;
    nccl_ranks_sum(the_graph.floats, the_graph.count);
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return graph ? cudaSuccess : cudaErrorInvalidValue; }

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t playable) { return playable ? cudaSuccess : cudaErrorInvalidValue; }

cudaError_t cudaGetLastError(void) {
    const cudaError_t last = the_memory.last;
    the_memory.last = cudaSuccess;
    return last;
}

const char *cudaGetErrorString(cudaError_t error) { return error == cudaErrorNotReady ? "not ready" : "an error"; }
