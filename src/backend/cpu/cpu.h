/* The CPU backend: kernels on one lane at a time, products by LIBXSMM, a pool of threads that take whole lanes.
 * Owns its threads. Must not know RAM's sequence. Every product is called with one lane's shape, so a lane's bits never
 * depend on who computes it (DESIGN 4). Nothing is collective. */
#ifndef RAM_BACKEND_CPU_H
#define RAM_BACKEND_CPU_H

#include "backend/backend.h"
#include "backend/cpu/cpu_bf16.h"
#include "backend/cpu/cpu_pool.h"

typedef struct {
    void *memory;
    size_t bytes;
} CpuScratch;

typedef struct {
    Backend base;
    Kernels kernels; /* base.kernels: those of the chosen precision */
    char note[48];   /* base.note */
    CpuPool *pool;
    CpuScratch *scratch; /* (workers) */
    size_t lacking;      /* bytes asked for in vain; 0: there was room */
    int64_t free_then;   /* when there was none first */
    const Bf16Form *bf16;
} CpuBackend;

/* RAM_UNAVAILABLE where the CPU lacks `precision`. */
Status cpu_backend_new(int threads, Precision precision, Backend **backend);

static inline CpuPool *cpu_pool_of(Backend *backend) { return ((CpuBackend *)backend)->pool; }

/* Memory of the calling worker until its next call, undefined contents, aligned to 64 bytes. It grows to the most that
 * was asked for, so that a step allocates nothing once the first is done. */
void *cpu_scratch(Backend *backend, size_t bytes);

/* Calls work for [0, count) in blocks of `block`, spread over the workers. Called by one thread outside of `run`. */
void cpu_for_blocks(Backend *backend, int64_t count, int64_t block,
                    void (*work)(const void *context, int64_t begin, int64_t end), const void *context);

/* A part of a weight gradient (out, in). */
typedef struct {
    int output, outputs, input, inputs; /* first and count */
} GradientBlock;

/* Writes lane `lane`'s part of the block: target (outputs, inputs), rows `stride` apart. */
typedef void (*LaneProduct)(const void *context, int lane, const GradientBlock *block, float *target, int64_t stride);

/* C (m x n) = A (m x k) B (k x n) [+ C], column-major; B transposed where `trans_b`. C is only read with `accumulate`.
 */
void cpu_product(bool trans_b, int m, int n, int k, const float *a, int64_t lda, const float *b, int64_t ldb,
                 bool accumulate, float *c, int64_t ldc);
/* The same in plain loops, where LIBXSMM makes no code: on a machine that it does not know, or where memory that is
 * written must not be run. */
void cpu_plain_product(bool trans_b, int m, int n, int k, const float *a, int64_t lda, const float *b, int64_t ldb,
                       bool accumulate, float *c, int64_t ldc);

/* dweight (out, in) = the sum of the products of `lanes` lanes (a power of two) in the order of the lane tree. */
void cpu_sum_products(int lanes, int in, int out, LaneProduct product, const void *context, float *dweight);

/* y = activation(y + bias): the end of a linear layer, while the block is still in cache. */
void cpu_finish_linear(int64_t rows, int columns, const float *bias, Activation activation, Matrix y);

/* The kernels, one file a family; shapes in backend.h. */
void cpu_choose(Backend *, const Choice *, int64_t images, const Pictures *chosen);
void cpu_draw(Backend *, const Span *, const Draws *, const Pictures *, int glimpses, DevFloats location,
              DevFloats noise);
void cpu_retina(Backend *, const Span *, const Retina *, const Pictures *, DevFloats location, DevFloats glimpse);
void cpu_linear(Backend *, const Span *, int glimpses, int in, int out, Matrix x, Weight weight, DevFloats bias,
                Activation, Matrix y);
void cpu_linear_backward_data(Backend *, const Span *, int glimpses, int in, int out, Matrix dy, Weight weight,
                              bool accumulate, Matrix dx);
void cpu_linear_backward_weight(Backend *, const Span *, int glimpses, int in, int out, const Matrix *x,
                                const Matrix *dy, DevFloats dweight);
void cpu_linear_backward_bias(Backend *, const Span *, int count, const BiasGradient *work);
void cpu_relu_backward(Backend *, const Span *, int glimpses, int columns, Matrix y, Matrix dy);
void cpu_lstm(Backend *, const Span *, int hidden, DevFloats gates, DevFloats c_before, DevFloats c, Matrix h);
void cpu_lstm_backward(Backend *, const Span *, int hidden, bool last, DevFloats gates, DevFloats c_before, DevFloats c,
                       DevFloats dh, DevFloats dc, DevFloats dgates);
void cpu_locate(Backend *, const Span *, Policy, float sigma, int in, Matrix x, Weight weight, DevFloats bias,
                DevFloats noise, DevFloats mean, DevFloats location, DevFloats log_pi);
void cpu_reinforce(Backend *, const Span *, const Reinforce *, DevFloats reward, DevFloats credit, DevFloats mean,
                   DevFloats noise, DevFloats log_pi, DevFloats b, DevFloats d_baseline, DevFloats d_location,
                   DevDoubles sums);
void cpu_log_softmax(Backend *, const Span *, int glimpses, int classes, DevFloats logits);
void cpu_reward(Backend *, const Span *, const RewardRule *, int glimpses, int classes, const Pictures *,
                DevFloats log_prob, DevFloats reward, DevFloats credit);
void cpu_add_probability(Backend *, const Span *, int classes, DevFloats log_prob, DevFloats probability);
void cpu_classification(Backend *, const Span *, const Classification *, const Pictures *, DevFloats log_prob,
                        DevFloats d_logits, DevDoubles sums);
void cpu_transpose(Backend *, int count, const Transpose *work);
void cpu_add(Backend *, int64_t count, DevFloats a, DevFloats b, DevFloats out);
void cpu_tree_sum(Backend *, int nodes, const LaneNode *node, const DevFloats *vector, int64_t count, DevFloats out);
void cpu_sum_squares(Backend *, int64_t count, DevFloats values, DevDoubles sum);
void cpu_adam(Backend *, DevUpdate, DevDoubles squares, int64_t count, DevFloats parameters, DevFloats gradient,
              DevFloats m, DevFloats v);
void cpu_sgd(Backend *, DevUpdate, DevDoubles squares, int64_t count, DevFloats parameters, DevFloats gradient,
             DevFloats velocity);
void cpu_average(Backend *, DevUpdate, DevDoubles squares, int64_t count, DevFloats average, DevFloats values);
void cpu_repeat_row(Backend *, int rows, int columns, DevDoubles row, DevDoubles out);
void cpu_sum_rows(Backend *, int rows, int columns, DevDoubles values, DevFloats out);
void cpu_widen(Backend *, int count, DevFloats values, DevDoubles out);

#endif
