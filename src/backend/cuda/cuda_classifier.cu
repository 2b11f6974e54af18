/* The classifier's head on the GPU. A row has few classes (ten), so one thread takes a whole row: its reads and writes
 * lie within the lines that its neighbours need too. */
#include "backend/cuda/cuda_parts.h"
#include "backend/element/classifier.h"

enum { SUM_THREADS = 512 };

/* One thread a row: 8 bytes a class. */
static __global__ void log_softmax_kernel(int64_t rows, int classes, float *logits) {
    const int64_t r = cuda_index();
    if (r < rows) classifier_log_softmax(classes, logits + r * classes);
}

void cuda_log_softmax(Backend *backend, const Span *span, int glimpses, int classes, DevFloats logits) {
    const int64_t rows = glimpses * span_rows(span);
    if (rows == 0) return;
    CUDA_LAUNCH(log_softmax_kernel, cuda_blocks(rows), CUDA_THREADS, (CudaBackend *)backend, rows, classes,
                logits.address);
}

/* One thread a row: 4 bytes a class. */
static __global__ void reward_kernel(Reward kind, int64_t rows, int samples, int classes, const uint8_t *label,
                                     const float *log_prob, float *reward) {
    const int64_t r = cuda_index();
    if (r < rows) reward[r] = classifier_reward(kind, classes, log_prob + r * classes, label[r / samples]);
}

void cuda_reward(Backend *backend, const Span *span, Reward kind, int classes, const Pictures *pictures,
                 DevFloats log_prob, DevFloats reward) {
    const int64_t rows = span_rows(span);
    if (rows == 0) return;
    CUDA_LAUNCH(reward_kernel, cuda_blocks(rows), CUDA_THREADS, (CudaBackend *)backend, kind, rows, span->samples,
                classes, pictures->label.address, log_prob.address, reward.address);
}

/* One thread an element: 12 bytes. */
static __global__ void add_probability_kernel(int64_t count, const float *log_prob, float *probability) {
    const int64_t i = cuda_index();
    if (i < count) probability[i] += expf(log_prob[i]);
}

void cuda_add_probability(Backend *backend, const Span *span, int classes, DevFloats log_prob, DevFloats probability) {
    const int64_t count = span_rows(span) * classes;
    if (count == 0) return;
    CUDA_LAUNCH(add_probability_kernel, cuda_blocks(count), CUDA_THREADS, (CudaBackend *)backend, count,
                log_prob.address, probability.address);
}

/* One block, as reinforce_kernel: a thread takes every SUM_THREADS-th row of the glimpses with a loss, 8 bytes a class,
 * and the sums are added in a fixed tree. */
static __global__ void __launch_bounds__(SUM_THREADS)
    classification_kernel(Classification loss, int64_t rows, int samples, const uint8_t *labels, const float *log_prob,
                          float *d_logits, double *sums) {
    __shared__ double shared[SUM_THREADS];
    const int first = classifier_first(&loss), classes = loss.classes;
    double last_sum = 0, earlier_sum = 0, correct = 0;
    for (int64_t i = first * rows + threadIdx.x; i < loss.glimpses * rows; i += SUM_THREADS) {
        const int t = (int)(i / rows), label = labels[i % rows / samples];
        const double nll = -(double)log_prob[i * classes + label];
        if (t == loss.glimpses - 1) {
            last_sum += nll;
            correct += classifier_best(classes, log_prob + i * classes) == label;
        } else {
            earlier_sum += nll;
        }
        if (d_logits)
            classifier_gradient(classes, classifier_scale(&loss, t), label, log_prob + i * classes,
                                d_logits + i * classes);
    }
    last_sum = cuda_block_sum<double, SUM_THREADS>(last_sum, shared);
    earlier_sum = cuda_block_sum<double, SUM_THREADS>(earlier_sum, shared);
    correct = cuda_block_sum<double, SUM_THREADS>(correct, shared);
    if (threadIdx.x > 0) return;
    sums[SUM_CORRECT] += correct;
    sums[SUM_NLL] += last_sum;
    sums[SUM_GLIMPSE_NLL] += earlier_sum;
}

void cuda_classification(Backend *backend, const Span *span, const Classification *loss, const Pictures *pictures,
                         DevFloats log_prob, DevFloats d_logits, DevDoubles sums) {
    const int64_t rows = span_rows(span);
    if (rows == 0) return;
    CUDA_LAUNCH(classification_kernel, 1, SUM_THREADS, (CudaBackend *)backend, *loss, rows, span->samples,
                pictures->label.address, log_prob.address, d_logits.address, sums.address);
}
