/* As much of CUDA's runtime as the CUDA backend uses, on the CPU: "device" memory is the host's, a kernel runs when it
 * is launched, or when a graph is that has captured it, block after block, its threads taking turns at every barrier.
 * So the kernels' own text is tested on machines without a GPU, and without a toolkit. It says nothing of speed, races
 * between blocks, or the GPU's arithmetic. The variable EMULATED_MEMORY is the GPU's memory in bytes; with
 * EMULATED_LAUNCHES standard error tells how many launches a graph has; EMULATED_REFUSAL=R:N is emulate_refusal(N) on
 * rank R. Must not know the backend. Nothing here is collective. */
#ifndef RAM_TESTS_EMULATION_CUDA_RUNTIME_API_H
#define RAM_TESTS_EMULATION_CUDA_RUNTIME_API_H

#include <stdbool.h>
#include <stddef.h>

typedef enum {
    cudaSuccess,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidDeviceFunction = 98,
    cudaErrorNoDevice = 100,
    cudaErrorNoKernelImageForDevice = 209,
    cudaErrorStreamCaptureInvalidated = 901,
} cudaError_t;
typedef enum { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2 } cudaMemcpyKind;
typedef struct EmulatedStream *cudaStream_t;
typedef struct EmulatedGraph *cudaGraph_t, *cudaGraphExec_t;
typedef enum { cudaStreamCaptureModeRelaxed = 2 } cudaStreamCaptureMode;
typedef struct {
    int unused;
} cudaFuncAttributes;

struct cudaDeviceProp {
    char name[64];
    struct {
        char bytes[16];
    } uuid;
    int major, minor, multiProcessorCount;
};

enum { cudaStreamNonBlocking = 1, CUDART_VERSION = 13000 };

#ifdef __cplusplus
extern "C" {
#endif

const char *cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError(void);
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);
cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *executable, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable);
cudaError_t cudaMalloc(void **memory, size_t bytes); /* small arrays: NaN */
cudaError_t cudaMemGetInfo(size_t *left, size_t *total);
cudaError_t cudaFree(void *memory);
cudaError_t cudaMallocHost(void **memory, size_t bytes);
cudaError_t cudaFreeHost(void *memory);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream);

/* Runs `work` on its argument now; under capture, whenever the graph is launched, on a copy of it. */
void emulate_call(void (*work)(const void *argument), const void *argument, size_t bytes);

bool emulate_is_capturing(void);
bool emulate_is_stream(cudaStream_t stream);
bool emulate_is_device(const void *memory, size_t bytes); /* all of it lies in one array of the device */

/* From now on capture goes as where a driver does not take the `launches`-th launch (from 1; 0: the capture's end, -1:
 * it takes all). */
void emulate_refusal(int launches);

#ifdef __cplusplus
}
#include <functional>

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned across = 1, unsigned down = 1, unsigned deep = 1) : x(across), y(down), z(deep) {}
};

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __launch_bounds__(threads)

extern dim3 threadIdx, blockIdx, blockDim, gridDim;
void __syncthreads(void);
static inline int __ffs(int bits) { return __builtin_ffs(bits); }

template <typename Kernel> static inline cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *, Kernel) {
    return cudaSuccess;
}

/* Runs `thread` for every thread of the launch, now or as emulate_call says. */
void emulate(dim3 blocks, dim3 threads, std::function<void()> thread);

/* Arguments are taken when the launch is asked for. */
template <typename... Parameters, typename... Arguments>
static inline void emulate_launch(dim3 blocks, dim3 threads, void (*kernel)(Parameters...), Arguments... arguments) {
    emulate(blocks, threads, [=]() { kernel(arguments...); });
}
#define CUDA_LAUNCH(kernel, blocks, threads, cuda, ...)                                                                \
    do {                                                                                                               \
        emulate_launch(blocks, threads, kernel, __VA_ARGS__);                                                          \
        CUDA_ASKED(cuda, #kernel, cuda_reason(cudaGetLastError()));                                                    \
    } while (0)
#endif

#endif
