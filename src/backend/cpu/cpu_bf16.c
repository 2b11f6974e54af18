/* Linear layers with bf16 operands. LIBXSMM has one such product with float32 results: C (m x n) = A (m x k) B (k x n),
 * column-major, B plain, A in VNNI format (the two elements of a pair along k side by side). Read row-major (see
 * cpu_linear.c), with k completed to an even number by zeros (to a multiple of 32 for AMX, whose a is in tiles):
 *   y  = x W^T     A: W laid out (in, out), rows paired (pack)         B: x in bf16
 *   dx = dy W      A: W as stored (out, in), rows paired (pack)        B: dy in bf16
 *   dW = dy^T x    A: x, rows paired                                   B: dy transposed
 * Products with a narrow side keep float32: they cost next to nothing, and they are those that should be exact, with
 * the location, the locator's mean, the baseline or few classes at one end. */
#include "backend/cpu/cpu_bf16.h"
#include "backend/cpu/cpu.h"
#include "backend/cpu/cpu_amx.h"
#include "base/log.h"

#include <libxsmm.h>
#include <string.h>

enum { PAIR_BLOCK = 16 };

Status cpu_bf16_check(void) {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx512bf16") || !__builtin_cpu_supports("avx512bw"))
        return status_error(RAM_UNAVAILABLE, "train.precision is bf16, but this CPU lacks AVX512_BF16: set "
                                             "train.precision=fp32");
    if (libxsmm_get_target_archid() < LIBXSMM_X86_AVX512_CPX)
        return status_error(RAM_UNAVAILABLE,
                            "train.precision is bf16, but LIBXSMM's target here is %s, which lacks AVX512_BF16: unset "
                            "LIBXSMM_TARGET or set train.precision=fp32",
                            libxsmm_get_target_arch());
    return status_ok();
}

static void libxsmm_product(int m, int n, int k, const Bf16Pair *a, int64_t columns, const Bf16Pair *b,
                            int64_t stride_b, bool accumulate, float *c, int64_t stride_c) {
    const float alpha = 1.0f, beta = accumulate ? 1.0f : 0.0f;
    const int flags = LIBXSMM_GEMM_FLAG_VNNI_A;
    const int lda = (int)columns, ldb = (int)(2 * stride_b), ldc = (int)stride_c;
    libxsmm_bsmmfunction kernel = libxsmm_bsmmdispatch(m, n, 2 * k, &lda, &ldb, &ldc, &alpha, &beta, &flags, NULL);
    if (!kernel) fatal("LIBXSMM makes no bf16 product of %d x %d x %d", m, n, 2 * k);
    kernel((const libxsmm_bfloat16 *)a, (const libxsmm_bfloat16 *)b, c);
}

const Bf16Form BF16_LIBXSMM = {"bf16", libxsmm_product, bf16_pair_rows, .column_step = 1, .pairs_step = 1};

static const Bf16Form *form_of(Backend *backend) { return ((CpuBackend *)backend)->bf16; }

/* The pairs of a product over `count` elements. */
static int64_t pairs_of(const Bf16Form *form, int64_t count) {
    return (bf16_pairs(count) + form->pairs_step - 1) / form->pairs_step * form->pairs_step;
}

static const Bf16Pair *packed_pairs(Weight weight) { return (const Bf16Pair *)(const void *)weight.packed.address; }

/* y (rows, m) [+]= x (rows, k) times the packed weight (k, m). */
static void multiply(Backend *backend, int rows, int k, int m, Matrix x, Weight weight, bool accumulate, Matrix y) {
    const Bf16Form *form = form_of(backend);
    const int64_t pairs = pairs_of(form, k);
    Bf16Pair *operand = cpu_scratch(backend, (size_t)(rows * pairs) * sizeof *operand);
    bf16_convert_rows(rows, k, x.at.address, x.stride, operand, pairs);
    form->product(m, rows, (int)pairs, packed_pairs(weight), m, operand, pairs, accumulate, y.at.address, y.stride);
}

static void linear(Backend *backend, const Span *span, int glimpses, int in, int out, Matrix x, Weight weight,
                   DevFloats bias, Activation activation, Matrix y) {
    const int rows = span_stacked_rows(span, glimpses);
    if (product_is_narrow(in, out)) {
        cpu_linear(backend, span, glimpses, in, out, x, weight, bias, activation, y);
        return;
    }
    if (rows == 0) return;
    multiply(backend, rows, in, out, x, weight, false, y);
    cpu_finish_linear(rows, out, bias.address, activation, y);
}

static void linear_backward_data(Backend *backend, const Span *span, int glimpses, int in, int out, Matrix dy,
                                 Weight weight, bool accumulate, Matrix dx) {
    const int rows = span_stacked_rows(span, glimpses);
    if (product_is_narrow(in, out)) {
        cpu_linear_backward_data(backend, span, glimpses, in, out, dy, weight, accumulate, dx);
        return;
    }
    if (rows > 0) multiply(backend, rows, out, in, dy, weight, accumulate, dx);
}

/* The operands of all lanes, lane after lane, with room for `most` pairs of rows each: x (pairs, in) in the product's
 * form, and dy (out, pairs). */
typedef struct {
    const Bf16Form *form;
    const Span *span;
    int glimpses, in, out;
    int64_t most;
    Bf16Pair *x, *dy;
} Packed;

static int64_t packed_pairs_of(const Packed *packed, int lane) {
    const Span one = span_lane(packed->span, lane);
    return pairs_of(packed->form, span_stacked_rows(&one, packed->glimpses));
}

static void weight_gradient(const void *context, int lane, const GradientBlock *block, float *target, int64_t stride) {
    const Packed *packed = context;
    const int64_t pairs = packed_pairs_of(packed, lane);
    const Bf16Pair *x = packed->x + lane * packed->most * packed->in + block->input * packed->form->column_step;
    const Bf16Pair *dy = packed->dy + lane * packed->most * packed->out + block->output * pairs;
    if (pairs > 0)
        packed->form->product(block->inputs, block->outputs, (int)pairs, x, packed->in, dy, pairs, false, target,
                              stride);
    else
        for (int o = 0; o < block->outputs; o++) memset(target + o * stride, 0, (size_t)block->inputs * sizeof *target);
}

static void linear_backward_weight(Backend *backend, const Span *span, int glimpses, int in, int out, const Matrix *x,
                                   const Matrix *dy, DevFloats dweight) {
    if (product_is_narrow(in, out)) {
        cpu_linear_backward_weight(backend, span, glimpses, in, out, x, dy, dweight);
        return;
    }
    const Bf16Form *form = form_of(backend);
    const int64_t rows_most = glimpses * span_lane_rows_most(span->batch, span->lanes, span->samples);
    Packed packed = {form, span, glimpses, in, out, .most = pairs_of(form, rows_most)};
    const int64_t inputs = span->lane_count * packed.most * in, outputs = span->lane_count * packed.most * out;
    packed.x = cpu_scratch(backend, (size_t)(inputs + outputs) * sizeof *packed.x);
    packed.dy = packed.x + inputs;
    for (int lane = 0; lane < span->lane_count; lane++) {
        const Span one = span_lane(span, lane);
        const int rows = span_stacked_rows(&one, glimpses);
        const int64_t pairs = packed_pairs_of(&packed, lane);
        form->pair_rows(0, pairs, rows, in, x[lane].at.address, x[lane].stride, packed.x + lane * packed.most * in);
        bf16_transpose(rows, out, dy[lane].at.address, dy[lane].stride, packed.dy + lane * packed.most * out, pairs);
    }
    cpu_sum_products(span->lane_count, in, out, weight_gradient, &packed, dweight.address);
}

/* --- weights */

typedef struct {
    const Bf16Form *form;
    int count;
    const Packing *work;
} Packings;

/* Narrow layers' products do not read them. */
static int64_t pairs_to_pack(const Bf16Form *form, const Packing *work) {
    return product_is_narrow((int)work->rows, (int)work->columns) ? 0 : pairs_of(form, work->rows);
}

/* Pairs of rows begin..end of all weights, counted one after the other. */
static void pack_pairs(const void *context, int64_t begin, int64_t end) {
    const Packings *all = context;
    int64_t first = 0;
    for (int i = 0; i < all->count && first < end; i++) {
        const Packing *work = &all->work[i];
        const int64_t pairs = pairs_to_pack(all->form, work);
        const int64_t from = begin > first ? begin - first : 0, to = end - first < pairs ? end - first : pairs;
        all->form->pair_rows(from, to, work->rows, work->columns, work->weight.plain.address, work->columns,
                             (Bf16Pair *)(void *)work->weight.packed.address);
        first += pairs;
    }
}

static void pack(Backend *backend, int count, const Packing *work) {
    Packings all = {form_of(backend), count, work};
    int64_t pairs = 0;
    for (int i = 0; i < count; i++) pairs += pairs_to_pack(all.form, &work[i]);
    cpu_for_blocks(backend, pairs, PAIR_BLOCK, pack_pairs, &all);
}

const char *cpu_bf16_install(Backend *backend, Kernels *kernels) {
    const Bf16Form *form = cpu_amx_request() ? &BF16_AMX : &BF16_LIBXSMM;
    ((CpuBackend *)backend)->bf16 = form;
    backend->packs = true;
    kernels->pack = pack;
    kernels->linear = linear;
    kernels->linear_backward_data = linear_backward_data;
    kernels->linear_backward_weight = linear_backward_weight;
    return form->name;
}
