/* The few calls of CUDA's runtime that mpi/comm_nccl.c makes, on memory of nccl_ranks.h: everything on a stream is done
 * at once, unless nccl_ranks_stick was called. */
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

cudaError_t cudaSetDevice(int device) { return device >= 0 && device < 16 ? cudaSuccess : cudaErrorInvalidDevice; }

cudaError_t cudaMalloc(void **memory, size_t bytes) {
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
    return stream ? cudaMemcpy(to, from, bytes, kind) : cudaErrorInvalidValue;
}

cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream) {
    if (!stream) return cudaErrorInvalidValue;
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
    return event && stream ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
    return !event ? cudaErrorInvalidValue : is_stuck(false) ? cudaErrorNotReady : cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    free(event);
    return cudaSuccess;
}

static int *the_capture(void) {
    static int capturing;
    return &capturing;
}

void nccl_ranks_capture(int begin) { *the_capture() = begin; }

int nccl_ranks_is_capturing(void) { return *the_capture(); }

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status) {
    *status = nccl_ranks_is_capturing() ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
    return stream ? cudaSuccess : cudaErrorInvalidValue;
}

const char *cudaGetErrorString(cudaError_t error) { return error == cudaErrorNotReady ? "not ready" : "an error"; }
