/* Gradients of a linear layer's parameters, summed over the lanes of a span. They are as large as the parameters:
 * written out for each lane and summed afterwards, they would pass through memory twice. So they are made block by
 * block, each block for all lanes, and summed along the lane tree while it is in the cache. */
#include "backend/cpu/cpu.h"
#include "base/log.h"

#include <string.h>

/* Elements of a block (64 KiB: smaller ones read the operands of all lanes more often), and its widest row. */
enum { BLOCK = 16384, WIDEST = 1024 };

/* target = the sum of the block over lanes [first, first + lanes). */
static void sum_lanes(const GradientBlock *block, LaneProduct product, const void *context, int first, int lanes,
                      float *target, int64_t stride) {
    float right[BLOCK] __attribute__((aligned(64)));
    if (lanes == 1) {
        product(context, first, block, target, stride);
        return;
    }
    sum_lanes(block, product, context, first, lanes / 2, target, stride);
    sum_lanes(block, product, context, first + lanes / 2, lanes / 2, right, block->inputs);
    for (int o = 0; o < block->outputs; o++)
        for (int i = 0; i < block->inputs; i++) target[o * stride + i] += right[o * block->inputs + i];
}

void cpu_sum_products(int lanes, int in, int out, LaneProduct product, const void *context, float *dweight) {
    const int inputs = in < WIDEST ? in : WIDEST, outputs = BLOCK / inputs < out ? BLOCK / inputs : out;
    require((lanes & (lanes - 1)) == 0);
    for (int o = 0; o < out; o += outputs)
        for (int i = 0; i < in; i += inputs) {
            const GradientBlock block = {.output = o,
                                         .outputs = o + outputs < out ? outputs : out - o,
                                         .input = i,
                                         .inputs = i + inputs < in ? inputs : in - i};
            sum_lanes(&block, product, context, 0, lanes, dweight + (int64_t)o * in + i, in);
        }
}

/* --- biases */

typedef struct {
    const Span *span;
    int glimpses;
    const Matrix *dy;
} Columns;

enum { REGISTERS = 64 /* columns whose sums stay in registers */ };

/* One row of sums over the rows of dy: the block's columns are its inputs. */
static void sum_columns(const void *context, int lane, const GradientBlock *block, float *target, int64_t stride) {
    const Columns *columns = context;
    const Span one = span_lane(columns->span, lane);
    const int64_t rows = columns->glimpses * span_rows(&one);
    const Matrix dy = matrix_column(columns->dy[lane], block->input);
    (void)stride; /* one row */
    for (int first = 0; first < block->inputs; first += REGISTERS) {
        const int count = first + REGISTERS < block->inputs ? REGISTERS : block->inputs - first;
        float sum[REGISTERS] = {0};
        if (count == REGISTERS)
            for (int64_t r = 0; r < rows; r++)
                for (int c = 0; c < REGISTERS; c++) sum[c] += dy.at.address[r * dy.stride + first + c];
        else
            for (int64_t r = 0; r < rows; r++)
                for (int c = 0; c < count; c++) sum[c] += dy.at.address[r * dy.stride + first + c];
        memcpy(target + first, sum, (size_t)count * sizeof *sum);
    }
}

void cpu_linear_backward_bias(Backend *backend, const Span *span, int count, const BiasGradient *work) {
    (void)backend;
    for (int i = 0; i < count; i++) {
        const Columns columns = {span, work[i].glimpses, work[i].dy};
        cpu_sum_products(span->lane_count, work[i].out, 1, sum_columns, &columns, work[i].dbias.address);
        if (work[i].same.address)
            memcpy(work[i].same.address, work[i].dbias.address, (size_t)work[i].out * sizeof(float));
    }
}
