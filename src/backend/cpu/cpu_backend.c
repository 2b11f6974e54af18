#include "backend/cpu/cpu.h"
#include "backend/cpu/cpu_bf16.h"
#include "base/free_memory.h"
#include "base/log.h"
#include "base/memory.h"

#include <libxsmm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a core's caches still hold of a span when its gradients are summed: of 1 to 32 MiB the quickest, by a tenth of a
 * step against 32. */
static const size_t SPAN_BYTES = (size_t)4 << 20;

static void cpu_free(Backend *backend) {
    CpuBackend *cpu = (CpuBackend *)backend;
    cpu_pool_free(cpu->pool);
    for (int worker = 0; worker < backend->workers; worker++) free(cpu->scratch[worker].memory);
    free(cpu->scratch);
    free(cpu); /* LIBXSMM ends with the process: another backend may be open */
}

/* Zeros. Once there was no room, all further memory is only counted, for the message. */
static void *cpu_allocate(Backend *backend, size_t bytes) {
    CpuBackend *cpu = (CpuBackend *)backend;
    void *memory = cpu->lacking ? NULL : memory_new_if_free(bytes);
    if (memory) return memory;
    if (!cpu->lacking) cpu->free_then = free_memory();
    cpu->lacking += bytes;
    return NULL;
}

static Status cpu_room(Backend *backend) {
    const CpuBackend *cpu = (CpuBackend *)backend;
    const double mib = 1 << 20;
    if (!cpu->lacking) return status_ok();
    return status_error(
        RAM_USAGE,
        "out of memory: at least %.1f MiB more are needed, where %.1f MiB are free and %d are to stay so: lower "
        "train.batch, eval.batch or the model's sizes, or start fewer ranks per host",
        (double)cpu->lacking / mib, (double)cpu->free_then / mib, MEMORY_RESERVE_MIB);
}

static void cpu_release(Backend *backend, void *memory) {
    (void)backend;
    free(memory);
}

static void cpu_copy(Backend *backend, void *to, const void *from, size_t bytes) {
    (void)backend;
    if (bytes) memcpy(to, from, bytes);
}

static void cpu_upload(Backend *backend, void *to, const void *from, size_t bytes) {
    if (!((CpuBackend *)backend)->lacking) cpu_copy(backend, to, from, bytes);
}

static void *cpu_present(Backend *backend, const void *host, size_t bytes) {
    (void)backend;
    (void)bytes;
    return (void *)(uintptr_t)host; /* kernels only read it */
}

static void cpu_withdraw(Backend *backend, void *presented) {
    (void)backend;
    (void)presented;
}

typedef struct {
    const Backend *backend;
    Span lanes;
    int lanes_most;
    SpanWork work;
    void *context;
} SpanRun;

static void run_spans(void *context, int worker) {
    const SpanRun *run = context;
    Span span;
    for (int lane = 0; backend_span(run->backend, &run->lanes, run->lanes_most, worker, lane, &span);
         lane = span.first_lane + span.lane_count)
        run->work(run->context, worker, &span);
}

static void cpu_run(Backend *backend, Span lanes, int lanes_most, SpanWork work, void *context) {
    SpanRun run = {backend, lanes, lanes_most, work, context};
    cpu_pool_run(cpu_pool_of(backend), run_spans, &run);
}

static void cpu_run_threads(Backend *backend, ThreadWork work, void *context) {
    cpu_pool_run(cpu_pool_of(backend), work, context);
}

static void cpu_wait(Backend *backend) { (void)backend; /* kernels return when they are done */ }

static const Kernels CPU_KERNELS = {
    .name = "cpu",
    .free = cpu_free,
    .allocate = cpu_allocate,
    .room = cpu_room,
    .release = cpu_release,
    .upload = cpu_upload,
    .download = cpu_copy,
    .present = cpu_present,
    .withdraw = cpu_withdraw,
    .run = cpu_run,
    .run_threads = cpu_run_threads,
    .wait = cpu_wait,
    .choose = cpu_choose,
    .draw = cpu_draw,
    .retina = cpu_retina,
    .linear = cpu_linear,
    .lstm = cpu_lstm,
    .locate = cpu_locate,
    .log_softmax = cpu_log_softmax,
    .reward = cpu_reward,
    .add_probability = cpu_add_probability,
    .reinforce = cpu_reinforce,
    .classification = cpu_classification,
    .linear_backward_data = cpu_linear_backward_data,
    .linear_backward_weight = cpu_linear_backward_weight,
    .linear_backward_bias = cpu_linear_backward_bias,
    .relu_backward = cpu_relu_backward,
    .lstm_backward = cpu_lstm_backward,
    .transpose = cpu_transpose,
    .add = cpu_add,
    .tree_sum = cpu_tree_sum,
    .sum_squares = cpu_sum_squares,
    .adam = cpu_adam,
    .sgd = cpu_sgd,
    .average = cpu_average,
    .repeat_row = cpu_repeat_row,
    .sum_rows = cpu_sum_rows,
    .widen = cpu_widen,
};

void *cpu_scratch(Backend *backend, size_t bytes) {
    CpuBackend *cpu = (CpuBackend *)backend;
    const int worker = cpu_pool_worker();
    if (cpu->scratch[worker].bytes < bytes) {
        free(cpu->scratch[worker].memory);
        cpu->scratch[worker].memory = memory_new(bytes, 1);
        cpu->scratch[worker].bytes = bytes;
    }
    return cpu->scratch[worker].memory;
}

Status cpu_backend_new(int threads, Precision precision, Backend **backend) {
    if (precision == PRECISION_TF32)
        return status_error(RAM_UNAVAILABLE, "train.precision is tf32, which only GPUs have: use --device cuda, or set "
                                             "train.precision=fp32");
    libxsmm_init();
    if (precision == PRECISION_BF16) {
        const Status status = cpu_bf16_check();
        if (status_failed(&status)) return status;
    }
    CpuPool *pool;
    TRY(cpu_pool_new(threads, &pool));
    CpuBackend *cpu = memory_new(1, sizeof *cpu);
    cpu->pool = pool;
    cpu->scratch = memory_new((size_t)threads, sizeof *cpu->scratch);
    cpu->kernels = CPU_KERNELS;
    cpu->base = (Backend){.kernels = &cpu->kernels,
                          .workers = threads,
                          .threads = threads,
                          .span_bytes = SPAN_BYTES,
                          .host_memory = true};
    cpu->base.library = "LIBXSMM " LIBXSMM_VERSION;
    cpu->base.note = cpu->note;
    const char *bf16 = precision == PRECISION_BF16 ? cpu_bf16_install(&cpu->base, &cpu->kernels) : NULL;
    snprintf(cpu->note, sizeof cpu->note, "%s%s%s", libxsmm_get_target_arch(), bf16 ? ", " : "", bf16 ? bf16 : "");
    *backend = &cpu->base;
    return status_ok();
}
