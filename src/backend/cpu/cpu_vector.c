/* Kernels over whole parameter vectors: cut into fixed blocks, so that neither results nor their order depend on the
 * number of threads; each thread takes a contiguous run of blocks. */
#include "backend/cpu/cpu.h"
#include "backend/element/update.h"
#include "base/log.h"

#include <libxsmm.h>

enum { BLOCK = 4096, STRIP = 32 /* side of the tiles of a transposition */ };

typedef struct {
    int threads;
    int64_t count, block;
    void (*work)(const void *context, int64_t begin, int64_t end);
    const void *context;
} Blocks;

static void run_blocks(void *context, int worker) {
    const Blocks *blocks = context;
    const int64_t total = (blocks->count + blocks->block - 1) / blocks->block;
    const int64_t last = partition_begin(total, worker + 1, blocks->threads);
    for (int64_t i = partition_begin(total, worker, blocks->threads); i < last; i++) {
        int64_t begin = i * blocks->block, end = begin + blocks->block;
        blocks->work(blocks->context, begin, end < blocks->count ? end : blocks->count);
    }
}

void cpu_for_blocks(Backend *backend, int64_t count, int64_t block,
                    void (*work)(const void *context, int64_t begin, int64_t end), const void *context) {
    Blocks blocks = {backend->workers, count, block, work, context};
    cpu_pool_run(cpu_pool_of(backend), run_blocks, &blocks);
}

/* --- layout of the weights for the forward pass */

typedef struct {
    int count;
    const Transpose *work;
} Transposes;

/* Rows begin..end of all matrices, counted one after the other. */
static void transpose_rows(const void *context, int64_t begin, int64_t end) {
    const Transposes *all = context;
    int64_t first = 0;
    for (int i = 0; i < all->count; i++) {
        const Transpose *work = &all->work[i];
        const int64_t padded = (work->rows + STRIP - 1) / STRIP * STRIP;
        for (int64_t row = begin > first ? begin - first : 0; row < padded && first + row < end; row += STRIP) {
            const int64_t rows = row + STRIP < work->rows ? STRIP : work->rows - row;
            for (int64_t column = 0; column < work->columns; column += STRIP) {
                const int64_t columns = column + STRIP < work->columns ? STRIP : work->columns - column;
                /* column-major: columns x rows to rows x columns */
                libxsmm_otrans(work->target.address + column * work->target_stride + row,
                               work->source.address + row * work->columns + column, sizeof(float),
                               (libxsmm_blasint)columns, (libxsmm_blasint)rows, (libxsmm_blasint)work->columns,
                               (libxsmm_blasint)work->target_stride);
            }
        }
        first += padded;
    }
}

void cpu_transpose(Backend *backend, int count, const Transpose *work) {
    Transposes all = {count, work};
    int64_t rows = 0;
    for (int i = 0; i < count; i++) rows += (work[i].rows + STRIP - 1) / STRIP * STRIP;
    cpu_for_blocks(backend, rows, STRIP, transpose_rows, &all);
}

void cpu_add(Backend *backend, int64_t count, DevFloats a, DevFloats b, DevFloats out) {
    (void)backend; /* biases: too short to share */
    for (int64_t i = 0; i < count; i++) out.address[i] = a.address[i] + b.address[i];
}

/* --- the lane tree */

typedef struct {
    int nodes;
    const LaneNode *node;
    const DevFloats *vector;
    DevFloats out;
} TreeSum;

static void tree_block(const void *context, int64_t begin, int64_t end) {
    const TreeSum *sum = context;
    const float *block[LANES_MOST];
    for (int i = 0; i < sum->nodes; i++) block[i] = sum->vector[i].address + begin;
    lane_tree_sum(sum->nodes, sum->node, block, (int)(end - begin), sum->out.address + begin);
}

void cpu_tree_sum(Backend *backend, int nodes, const LaneNode *node, const DevFloats *vector, int64_t count,
                  DevFloats out) {
    require(nodes > 0 && nodes <= LANES_MOST);
    TreeSum sum = {nodes, node, vector, out};
    cpu_for_blocks(backend, count, LANE_BLOCK, tree_block, &sum);
}

/* --- norms and optimisers */

typedef struct {
    const float *values;
    double *partial; /* (blocks) */
} Squares;

static void square_block(const void *context, int64_t begin, int64_t end) {
    enum { SUMS_AT_ONCE = 16 }; /* side by side in registers: one sum would wait for its own last addition */
    const Squares *squares = context;
    double sum[SUMS_AT_ONCE] = {0};
    int64_t i = begin;
    for (; i + SUMS_AT_ONCE <= end; i += SUMS_AT_ONCE)
        for (int k = 0; k < SUMS_AT_ONCE; k++) {
            const double value = squares->values[i + k];
            sum[k] += value * value;
        }
    for (; i < end; i++) sum[0] += (double)squares->values[i] * (double)squares->values[i];
    for (int k = 1; k < SUMS_AT_ONCE; k++) sum[0] += sum[k];
    squares->partial[begin / BLOCK] = sum[0];
}

void cpu_sum_squares(Backend *backend, int64_t count, DevFloats values, DevDoubles sum) {
    const int64_t blocks = (count + BLOCK - 1) / BLOCK;
    Squares squares = {values.address, cpu_scratch(backend, (size_t)blocks * sizeof(double))};
    cpu_for_blocks(backend, count, BLOCK, square_block, &squares);
    *sum.address = 0;
    for (int64_t i = 0; i < blocks; i++) *sum.address += squares.partial[i];
}

typedef struct {
    AdamTerms terms;
    float scale;
    float *parameters, *m, *v;
    const float *gradient;
} AdamBlock;

static void adam_block(const void *context, int64_t begin, int64_t end) {
    const AdamBlock a = *(const AdamBlock *)context;
    for (int64_t i = begin; i < end; i++)
        update_adam(a.terms, a.scale, a.gradient[i], &a.parameters[i], &a.m[i], &a.v[i]);
}

void cpu_adam(Backend *backend, DevUpdate update, DevDoubles squares, int64_t count, DevFloats parameters,
              DevFloats gradient, DevFloats m, DevFloats v) {
    if (!isfinite(*squares.address)) return;
    const Update *u = update.address;
    const float scale = update_gradient_scale(u->clip, *squares.address);
    const AdamBlock block = {u->adam, scale, parameters.address, m.address, v.address, gradient.address};
    cpu_for_blocks(backend, count, BLOCK, adam_block, &block);
}

typedef struct {
    SgdTerms terms;
    float scale;
    float *parameters, *velocity;
    const float *gradient;
} SgdBlock;

static void sgd_block(const void *context, int64_t begin, int64_t end) {
    const SgdBlock s = *(const SgdBlock *)context;
    for (int64_t i = begin; i < end; i++) update_sgd(s.terms, s.scale, s.gradient[i], &s.parameters[i], &s.velocity[i]);
}

void cpu_sgd(Backend *backend, DevUpdate update, DevDoubles squares, int64_t count, DevFloats parameters,
             DevFloats gradient, DevFloats velocity) {
    if (!isfinite(*squares.address)) return;
    const Update *u = update.address;
    const float scale = update_gradient_scale(u->clip, *squares.address);
    const SgdBlock block = {u->sgd, scale, parameters.address, velocity.address, gradient.address};
    cpu_for_blocks(backend, count, BLOCK, sgd_block, &block);
}

typedef struct {
    AverageTerms terms;
    float *average;
    const float *values;
} AverageBlock;

static void average_block(const void *context, int64_t begin, int64_t end) {
    const AverageBlock a = *(const AverageBlock *)context;
    for (int64_t i = begin; i < end; i++) a.average[i] = update_average(a.terms, a.average[i], a.values[i]);
}

void cpu_average(Backend *backend, DevUpdate update, DevDoubles squares, int64_t count, DevFloats average,
                 DevFloats values) {
    if (!isfinite(*squares.address)) return;
    const AverageBlock block = {update.address->average, average.address, values.address};
    cpu_for_blocks(backend, count, BLOCK, average_block, &block);
}

/* --- a step's sums */

void cpu_repeat_row(Backend *backend, int rows, int columns, DevDoubles row, DevDoubles out) {
    (void)backend;
    for (int i = 0; i < rows * columns; i++) out.address[i] = row.address[i % columns];
}

void cpu_sum_rows(Backend *backend, int rows, int columns, DevDoubles values, DevFloats out) {
    (void)backend;
    for (int column = 0; column < columns; column++) {
        double sum = 0;
        for (int row = 0; row < rows; row++) sum += values.address[row * columns + column];
        out.address[column] = (float)sum;
    }
}

void cpu_widen(Backend *backend, int count, DevFloats values, DevDoubles out) {
    (void)backend;
    for (int i = 0; i < count; i++) out.address[i] = (double)values.address[i];
}
