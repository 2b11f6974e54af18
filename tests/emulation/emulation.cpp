/* The runtime of cuda_runtime_api.h, and ranges for profilers that are not there. */
#include "cuda_runtime_api.h"
#include <nvtx3/nvToolsExt.h>

#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <ucontext.h>
#include <vector>

/* --- a launch: a fiber for each thread of a block */

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace {

constexpr unsigned THREADS_MOST = 1024;
constexpr size_t STACK = 32 << 10;

/* swapcontext() would ask the kernel for the signal mask at every barrier; it only serves to begin a fiber. */
struct Fiber {
    ucontext_t begin;
    jmp_buf place; /* where it goes on */
    char *stack;
    bool begun;
    bool running; /* its thread has not finished */
};

struct Launch {
    jmp_buf scheduler;
    Fiber fiber[THREADS_MOST];
    Fiber *current;
    const std::function<void()> *thread;
};
Launch launch;

void yield() {
    if (_setjmp(launch.current->place) == 0) _longjmp(launch.scheduler, 1);
}

/* Threads of one block after the other, each when it is resumed. */
void fiber_main() {
    for (;;) {
        (*launch.thread)();
        launch.current->running = false;
        yield();
    }
}

void prepare(Fiber *fiber) {
    if (fiber->stack) return;
    fiber->stack = static_cast<char *>(std::malloc(STACK));
    if (!fiber->stack) std::abort();
    getcontext(&fiber->begin);
    fiber->begin.uc_stack.ss_sp = fiber->stack;
    fiber->begin.uc_stack.ss_size = STACK;
    fiber->begin.uc_link = nullptr;
    makecontext(&fiber->begin, fiber_main, 0);
}

void resume(unsigned i, dim3 threads) {
    launch.current = &launch.fiber[i];
    threadIdx = dim3(i % threads.x, i / threads.x);
    if (_setjmp(launch.scheduler) != 0) return; /* back from the fiber */
    if (launch.current->begun) _longjmp(launch.current->place, 1);
    launch.current->begun = true;
    setcontext(&launch.current->begin);
}

/* Each thread to its next barrier or its end, until all have ended. */
void take_turns(unsigned count, dim3 threads) {
    for (bool any = true; any;) {
        any = false;
        for (unsigned i = 0; i < count; i++) {
            if (launch.fiber[i].running) resume(i, threads);
            any = any || launch.fiber[i].running;
        }
    }
}

/* A kernel whose first thread meets no barrier has none for the others either: they need no fibers. */
void run_block(unsigned count, dim3 threads) {
    prepare(&launch.fiber[0]);
    launch.fiber[0].running = true;
    resume(0, threads);
    const bool barriers = launch.fiber[0].running;
    if (!barriers) launch.current = nullptr;
    for (unsigned i = 1; i < count; i++) {
        if (barriers) {
            prepare(&launch.fiber[i]);
            launch.fiber[i].running = true;
        } else {
            threadIdx = dim3(i % threads.x, i / threads.x);
            (*launch.thread)();
        }
    }
    if (!barriers) return;
    for (unsigned i = 1; i < count; i++) resume(i, threads);
    take_turns(count, threads);
}

} // namespace

void __syncthreads() {
    const dim3 self = threadIdx;
    if (!launch.current) std::abort();
    yield();
    threadIdx = self;
}

/* --- capture: what is asked for is kept in place of done */

struct EmulatedGraph {
    std::vector<std::function<void()>> work;
};
static EmulatedGraph *captured;
static const int ASK = -2;
static int refusal = ASK; /* the launch that is refused; -1: none; ASK: as the environment says */
static int left;          /* launches until then */
static bool refused, last_refused;

static void ask(std::function<void()> work) {
    if (captured)
        captured->work.push_back(work);
    else
        work();
}

void emulate(dim3 blocks, dim3 threads, std::function<void()> thread) {
    const unsigned count = threads.x * threads.y;
    if (blocks.x == 0 || blocks.y == 0 || blocks.z == 0 || count == 0 || count > THREADS_MOST || threads.z != 1)
        std::abort();
    if (captured && --left == 0) refused = last_refused = true;
    ask([=]() {
        launch.thread = &thread;
        blockDim = threads;
        gridDim = blocks;
        for (unsigned z = 0; z < blocks.z; z++)
            for (unsigned y = 0; y < blocks.y; y++)
                for (unsigned x = 0; x < blocks.x; x++) {
                    blockIdx = dim3(x, y, z);
                    run_block(count, threads);
                }
    });
}

void emulate_call(void (*work)(const void *argument), const void *argument, size_t bytes) {
    const char *from = static_cast<const char *>(argument);
    const std::vector<char> copy(from, from + bytes);
    ask([=]() { work(copy.data()); });
}

void emulate_refusal(int launches) { refusal = launches; }

/* Of this rank in EMULATED_REFUSAL; -1: none. */
static int refusal_of_environment() {
    const char *text = std::getenv("EMULATED_REFUSAL"), *own = std::getenv("OMPI_COMM_WORLD_RANK");
    int rank, launch;
    if (!text || std::sscanf(text, "%d:%d", &rank, &launch) != 2) return -1;
    return rank == (own ? std::atoi(own) : 0) ? launch : -1;
}

bool emulate_is_capturing() { return captured != nullptr; }

cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode) {
    if (captured) std::abort();
    captured = new EmulatedGraph;
    if (refusal == ASK) refusal = refusal_of_environment();
    left = refusal;
    refused = refusal == 0;
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t *graph) {
    if (refused) {
        delete captured;
        captured = nullptr;
    }
    if (captured && std::getenv("EMULATED_LAUNCHES")) std::fprintf(stderr, "launches: %zu\n", captured->work.size());
    *graph = captured;
    captured = nullptr;
    return refused ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
}
cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *executable, cudaGraph_t graph, unsigned long long) {
    *executable = new EmulatedGraph(*graph);
    return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t) {
    for (const std::function<void()> &work : executable->work) ask(work);
    return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
    delete executable;
    return cudaSuccess;
}

/* --- the runtime */

static const size_t FILLED = 1 << 22; /* bytes from which on new memory is left as it is */
static const size_t ALIGNED = 256;    /* bytes, as CUDA's arrays are */

const char *cudaGetErrorString(cudaError_t error) { return error == cudaSuccess ? "no error" : "an emulated error"; }
cudaError_t cudaGetLastError() {
    const bool error = last_refused;
    last_refused = false;
    return error ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int *count) {
    *count = 1;
    return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int *version) {
    *version = CUDART_VERSION;
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int) {
    *properties = cudaDeviceProp();
    std::strcpy(properties->name, "emulated GPU");
    /* with NCCL each rank has a GPU of its own */
    const char *rank = std::getenv("OMPI_COMM_WORLD_RANK");
    if (std::getenv("EMULATED_NCCL") && rank) properties->uuid.bytes[0] = (char)std::atoi(rank);
    properties->major = 8;
    properties->minor = 0;
    properties->multiProcessorCount = 1;
    return cudaSuccess;
}
static char only_stream; /* all streams are in order */
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned) {
    *stream = reinterpret_cast<cudaStream_t>(&only_stream);
    return cudaSuccess;
}
bool emulate_is_stream(cudaStream_t stream) { return stream == reinterpret_cast<cudaStream_t>(&only_stream); }
cudaError_t cudaStreamSynchronize(cudaStream_t) {
    if (captured) std::abort(); /* as CUDA forbids it */
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaMallocHost(void **memory, size_t bytes) {
    if (posix_memalign(memory, ALIGNED, bytes) != 0) return cudaErrorMemoryAllocation;
    if (bytes < FILLED) std::memset(*memory, 0xff, bytes);
    return cudaSuccess;
}
cudaError_t cudaFreeHost(void *memory) {
    if (captured) std::abort();
    std::free(memory);
    return cudaSuccess;
}
static std::map<void *, size_t> allocated;
cudaError_t cudaMemGetInfo(size_t *left, size_t *total) {
    const char *limit = std::getenv("EMULATED_MEMORY");
    *left = *total = limit ? std::strtoull(limit, nullptr, 10) : SIZE_MAX;
    for (const auto &memory : allocated) *left -= memory.second;
    return cudaSuccess;
}
cudaError_t cudaMalloc(void **memory, size_t bytes) {
    size_t left, total;
    cudaMemGetInfo(&left, &total);
    const cudaError_t error = bytes > left ? cudaErrorMemoryAllocation : cudaMallocHost(memory, bytes);
    if (error == cudaSuccess) allocated[*memory] = bytes;
    return error;
}
cudaError_t cudaFree(void *memory) {
    allocated.erase(memory);
    return cudaFreeHost(memory);
}
bool emulate_is_device(const void *memory, size_t bytes) {
    auto after = allocated.upper_bound(const_cast<void *>(memory));
    if (after == allocated.begin()) return false;
    const auto &array = *--after;
    const size_t begin = (uintptr_t)memory - (uintptr_t)array.first;
    return begin <= array.second && bytes <= array.second - begin;
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind, cudaStream_t) {
    ask([=]() { std::memcpy(to, from, bytes); });
    return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t) {
    ask([=]() { std::memset(memory, value, bytes); });
    return cudaSuccess;
}

/* --- NVTX */

static int ranges; /* open ones */

int nvtxRangePushA(const char *) {
    if (ranges == 7) std::abort(); /* they are never so deep */
    return ranges++;
}
int nvtxRangePop() {
    if (ranges == 0) std::abort();
    return --ranges;
}
