#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/cuda_blas.h"
#include "backend/cuda/cuda_parts.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* NVIDIA's advice for cuBLAS on Hopper is 32 MiB. Copies from and to memory that is not pinned pass through the staging
 * memory, which is: what is larger, part by part. */
static const size_t WORKSPACE = (size_t)32 << 20, STAGING = (size_t)4 << 20;

/* All lanes of usual batches: each span has launches of its own. */
static const size_t SPAN_BYTES = (size_t)32 << 20;

enum { STAGING_ALIGN = 64, REDUCED_PRECISION = 8 /* first compute capability with tf32 and bf16 products */ };

void cuda_failed(const char *file, int line, const char *call, const char *reason) {
    log_fatal(file, line, "CUDA: %s (%s)", reason, call);
}

void cuda_asked(CudaBackend *cuda, const char *file, int line, const char *work, const char *reason) {
    if (!reason) return;
    if (!cuda->recording) cuda_failed(file, line, work, reason);
    if (!cuda->unrecordable[0]) snprintf(cuda->unrecordable, sizeof cuda->unrecordable, "%.64s: %.80s", work, reason);
}

static CudaBackend *cuda_of(Backend *backend) { return (CudaBackend *)backend; }

/* --- memory */

static void cuda_wait(Backend *backend) {
    require(!cuda_of(backend)->recording);
    CUDA_TRY(cudaStreamSynchronize(cuda_of(backend)->stream));
    cuda_of(backend)->staged = 0;
}

/* NULL: there is no room. */
static void *allocate(size_t bytes) {
    void *memory = NULL;
    const cudaError_t error = cudaMalloc(&memory, bytes ? bytes : 1);
    if (error == cudaErrorMemoryAllocation) {
        cudaGetLastError(); /* forget it */
        return NULL;
    }
    CUDA_TRY(error);
    return memory;
}

void *cuda_memory(size_t bytes) {
    void *memory = allocate(bytes);
    if (!memory)
        fatal("out of GPU memory in the middle of the work: %zu bytes asked for; a smaller train.batch or eval.batch "
              "needs less",
              bytes);
    return memory;
}

/* Once there was no room, all further memory is only counted, for the message. */
static void *cuda_allocate(Backend *backend, size_t bytes) {
    CudaBackend *cuda = cuda_of(backend);
    void *memory = cuda->lacking ? NULL : allocate(bytes);
    if (memory) return memory;
    if (!cuda->lacking) CUDA_TRY(cudaMemGetInfo(&cuda->free_then, &cuda->memory));
    cuda->lacking += bytes;
    return NULL;
}

static Status cuda_room(Backend *backend) {
    const CudaBackend *cuda = cuda_of(backend);
    const double mib = 1 << 20;
    if (!cuda->lacking) return status_ok();
    return status_error(RAM_USAGE,
                        "out of GPU memory: %.1f MiB more were asked for, %.1f of the GPU's %.1f MiB are free: lower "
                        "train.batch or eval.batch, start fewer ranks per GPU, or leave the GPU to this run alone",
                        (double)cuda->lacking / mib, (double)cuda->free_then / mib, (double)cuda->memory / mib);
}

static void cuda_release(Backend *backend, void *memory) {
    if (!memory) return;
    cuda_wait(backend); /* a kernel may still use it */
    CUDA_TRY(cudaFree(memory));
}

void cuda_upload(Backend *backend, void *device, const void *host, size_t bytes) {
    CudaBackend *cuda = cuda_of(backend);
    require(!cuda->recording);
    if (cuda->lacking) return;
    if (cuda_is_pinned(cuda, host, bytes)) {
        CUDA_TRY(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, cuda->stream));
        cuda_wait(backend);
        return;
    }
    for (size_t done = 0; done < bytes;) {
        const size_t part = bytes - done < STAGING ? bytes - done : STAGING;
        if (cuda->staged + part > STAGING) cuda_wait(backend);
        uint8_t *staging = cuda->staging + cuda->staged;
        memcpy(staging, (const uint8_t *)host + done, part);
        CUDA_TRY(cudaMemcpyAsync((uint8_t *)device + done, staging, part, cudaMemcpyHostToDevice, cuda->stream));
        cuda->staged += (part + STAGING_ALIGN - 1) / STAGING_ALIGN * STAGING_ALIGN;
        done += part;
    }
}

void cuda_download(Backend *backend, void *host, const void *device, size_t bytes) {
    CudaBackend *cuda = cuda_of(backend);
    if (cuda_is_pinned(cuda, host, bytes)) {
        CUDA_TRY(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, cuda->stream));
        cuda_wait(backend);
        return;
    }
    for (size_t done = 0; done < bytes;) {
        const size_t part = bytes - done < STAGING ? bytes - done : STAGING;
        if (cuda->staged + part > STAGING) cuda_wait(backend);
        uint8_t *staging = cuda->staging + cuda->staged;
        CUDA_TRY(cudaMemcpyAsync(staging, (const uint8_t *)device + done, part, cudaMemcpyDeviceToHost, cuda->stream));
        cuda_wait(backend);
        memcpy((uint8_t *)host + done, staging, part);
        done += part;
    }
}

static void *cuda_present(Backend *backend, const void *host, size_t bytes) {
    void *copy = cuda_allocate(backend, bytes);
    cuda_upload(backend, copy, host, bytes);
    return copy;
}

void *cuda_scratch(CudaBackend *cuda, size_t bytes) {
    if (cuda->scratch_bytes < bytes) {
        require(!cuda->recording && cuda->outgrown_count < SCRATCHES);
        if (cuda->scratch) cuda->outgrown[cuda->outgrown_count++] = cuda->scratch;
        cuda->scratch_bytes = bytes < 2 * cuda->scratch_bytes ? 2 * cuda->scratch_bytes : bytes;
        cuda->scratch = cuda_memory(cuda->scratch_bytes);
    }
    return cuda->scratch;
}

/* --- spans: one worker, the thread that calls */

void cuda_run(Backend *backend, Span lanes, int lanes_most, SpanWork work, void *context) {
    Span span;
    for (int lane = 0; backend_span(backend, &lanes, lanes_most, 0, lane, &span);
         lane = span.first_lane + span.lane_count)
        work(context, 0, &span);
}

static void cuda_run_threads(Backend *backend, ThreadWork work, void *context) {
    CudaBackend *cuda = cuda_of(backend);
    if (!cuda->pool) {
        const Status status = cpu_pool_new(backend->threads, &cuda->pool);
        if (status_failed(&status)) fatal("%s", status.message);
    }
    cpu_pool_run(cuda->pool, work, context);
}

/* --- the whole */

static void cuda_free(Backend *backend) {
    CudaBackend *cuda = cuda_of(backend);
    cuda_wait(backend);
    cpu_pool_free(cuda->pool);
    cuda_blas_close(cuda->blas);
    cuda_release(backend, cuda->workspace);
    cuda_release(backend, cuda->scratch);
    for (int i = 0; i < cuda->outgrown_count; i++) cuda_release(backend, cuda->outgrown[i]);
    cuda_tables_free(cuda);
    CUDA_TRY(cudaFreeHost(cuda->staging));
    CUDA_TRY(cudaStreamDestroy(cuda->stream));
    free(cuda);
}

static const Kernels CUDA_KERNELS = {
    .name = "cuda",
    .free = cuda_free,
    .allocate = cuda_allocate,
    .room = cuda_room,
    .release = cuda_release,
    .allocate_host = cuda_allocate_host,
    .release_host = cuda_release_host,
    .upload = cuda_upload,
    .download = cuda_download,
    .present = cuda_present,
    .withdraw = cuda_release,
    .run = cuda_run,
    .run_threads = cuda_run_threads,
    .run_recorded = cuda_run_recorded,
    .forget = cuda_forget,
    .wait = cuda_wait,
    .range = cuda_range,
    .choose = cuda_choose,
    .draw = cuda_draw,
    .retina = cuda_retina,
    .linear = cuda_linear,
    .lstm = cuda_lstm,
    .locate = cuda_locate,
    .log_softmax = cuda_log_softmax,
    .reward = cuda_reward,
    .add_probability = cuda_add_probability,
    .reinforce = cuda_reinforce,
    .classification = cuda_classification,
    .linear_backward_data = cuda_linear_backward_data,
    .relu_backward = cuda_relu_backward,
    .lstm_backward = cuda_lstm_backward,
    .linear_backward_weight = cuda_linear_backward_weight,
    .linear_backward_bias = cuda_linear_backward_bias,
    .transpose = cuda_transpose,
    .add = cuda_add,
    .tree_sum = cuda_tree_sum,
    .sum_squares = cuda_sum_squares,
    .adam = cuda_adam,
    .sgd = cuda_sgd,
    .average = cuda_average,
    .repeat_row = cuda_repeat_row,
    .sum_rows = cuda_sum_rows,
    .widen = cuda_widen,
};

static Status unavailable(cudaError_t error) {
    cudaGetLastError(); /* forget it */
    return status_error(RAM_UNAVAILABLE, "device cuda: %s; use --device cpu or --device auto",
                        cudaGetErrorString(error));
}

/* Makes the GPU the calling thread's and describes it. */
static Status choose(int gpu, struct cudaDeviceProp *properties) {
    int count = 0;
    cudaError_t error = cudaGetDeviceCount(&count);
    if (error == cudaSuccess && count == 0) error = cudaErrorNoDevice;
    if (error != cudaSuccess) return unavailable(error);
    if (gpu >= count)
        return status_error(RAM_UNAVAILABLE, "device cuda: GPU %d is asked for, but this process sees %d", gpu, count);
    error = cudaSetDevice(gpu);
    if (error == cudaSuccess) error = cudaGetDeviceProperties(properties, gpu);
    if (error != cudaSuccess) return unavailable(error);
    error = cuda_find_code();
    if (error == cudaErrorNoKernelImageForDevice || error == cudaErrorInvalidDeviceFunction)
        return status_error(
            RAM_UNAVAILABLE,
            "device cuda: this program has no code for %.100s (compute capability %d.%d): build it with "
            "-DCMAKE_CUDA_ARCHITECTURES=%d%d, or use --device cpu",
            properties->name, properties->major, properties->minor, properties->major, properties->minor);
    return error == cudaSuccess ? status_ok() : unavailable(error);
}

static Status check_precision(Precision precision, const struct cudaDeviceProp *properties) {
    if (precision == PRECISION_FP32 || properties->major >= REDUCED_PRECISION) return status_ok();
    return status_error(RAM_USAGE,
                        "train.precision is %s, but %.100s (compute capability %d.%d) has such products only from %d.0 "
                        "on: set train.precision=fp32",
                        precision == PRECISION_TF32 ? "tf32" : "bf16", properties->name, properties->major,
                        properties->minor, REDUCED_PRECISION);
}

Status cuda_backend_probe(int gpu) {
    struct cudaDeviceProp properties;
    CudaBlas *blas;
    TRY(choose(gpu, &properties));
    TRY(cuda_blas_open(PRECISION_FP32, &blas));
    cuda_blas_close(blas);
    return status_ok();
}

Status cuda_backend_new(const BackendOptions *options, Backend **backend) {
    static const char *const NAME[] = {[PRECISION_FP32] = "fp32", [PRECISION_TF32] = "tf32", [PRECISION_BF16] = "bf16"};
    struct cudaDeviceProp properties;
    TRY(choose(options->gpu, &properties));
    TRY(check_precision(options->precision, &properties));
    CudaBlas *blas;
    TRY(cuda_blas_open(options->precision, &blas));
    CudaBackend *cuda = memory_new(1, sizeof *cuda);
    void *staging = NULL;
    CUDA_TRY(cudaStreamCreateWithFlags(&cuda->stream, cudaStreamNonBlocking));
    CUDA_TRY(cudaMallocHost(&staging, STAGING));
    cuda->staging = staging;
    cuda->blas = blas;
    cuda->workspace = cuda_allocate(&cuda->base, WORKSPACE);
    if (!cuda->workspace) {
        const Status full = cuda_room(&cuda->base);
        cuda_free(&cuda->base);
        return full;
    }
    cuda_blas_use(blas, cuda->stream, cuda->workspace, WORKSPACE);
    cuda->base = (Backend){.kernels = &CUDA_KERNELS,
                           .workers = 1,
                           .threads = options->threads,
                           .span_bytes = SPAN_BYTES,
                           .library = cuda->library,
                           .note = cuda->note,
                           .stream = cuda->stream};
    snprintf(cuda->library, sizeof cuda->library, "cuBLAS %d", cuda_blas_version(blas));
    /* all that a product's bits depend on: cuBLAS chooses by the number of multiprocessors, too */
    snprintf(cuda->note, sizeof cuda->note, "%.80s, sm_%d%d, %d SMs, %s", properties.name, properties.major,
             properties.minor, properties.multiProcessorCount, NAME[options->precision]);
    *backend = &cuda->base;
    return status_ok();
}
