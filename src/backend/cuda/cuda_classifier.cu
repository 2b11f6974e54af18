/* The classifier's head on the GPU. A row has few classes (ten), so one thread takes a whole row: its reads and writes
 * lie within the lines that its neighbours need too. */
#include "backend/cuda/cuda_parts.h"
#include "backend/element/classifier.h"

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

/* One thread a row: 4 bytes a class of the last glimpse, for `gain` of each, and 4 a glimpse. */
static __global__ void reward_kernel(RewardRule rule, int64_t rows, int samples, int glimpses, int classes,
                                     const uint8_t *labels, const float *log_prob, float *reward, float *credit) {
    const int64_t r = cuda_index(), last = (glimpses - 1) * rows;
    if (r >= rows) return;
    const int label = labels[r / samples];
    reward[r] = classifier_reward(rule.kind, classes, log_prob + (last + r) * classes, label);
    classifier_credit(&rule, glimpses, classes, rows, log_prob + r * classes, label, reward[r], credit + r);
}

void cuda_reward(Backend *backend, const Span *span, const RewardRule *rule, int glimpses, int classes,
                 const Pictures *pictures, DevFloats log_prob, DevFloats reward, DevFloats credit) {
    const int64_t rows = span_rows(span);
    if (rows == 0) return;
    CUDA_LAUNCH(reward_kernel, cuda_blocks(rows), CUDA_THREADS, (CudaBackend *)backend, *rule, rows, span->samples,
                glimpses, classes, pictures->label.address, log_prob.address, reward.address, credit.address);
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

/* A thread takes every CUDA_SUM_THREADS-th row of its block's among those of the glimpses with a loss, 8 bytes a class.
 */
static __global__ void __launch_bounds__(CUDA_SUM_THREADS)
    classification_kernel(Classification loss, int64_t rows, int samples, const uint8_t *labels, const float *log_prob,
                          float *d_logits, CudaSums sums) {
    __shared__ double shared[CUDA_SUM_THREADS];
    const int64_t first = classifier_first(&loss) * rows + (int64_t)blockIdx.x * CUDA_SUM_CHUNK;
    const int64_t count = loss.glimpses * rows, end = first + CUDA_SUM_CHUNK < count ? first + CUDA_SUM_CHUNK : count;
    const int classes = loss.classes;
    double last_sum = 0, earlier_sum = 0, correct = 0;
    for (int64_t i = first + threadIdx.x; i < end; i += CUDA_SUM_THREADS) {
        const int64_t t = cuda_quotient(i, rows);
        const int label = labels[(i - t * rows) / samples];
        const double nll = -(double)log_prob[i * classes + label];
        if (t == loss.glimpses - 1) {
            last_sum += nll;
            correct += classifier_best(classes, log_prob + i * classes) == label;
        } else {
            earlier_sum += nll;
        }
        if (d_logits)
            classifier_gradient(classes, classifier_scale(&loss, (int)t), label, log_prob + i * classes,
                                d_logits + i * classes);
    }
    cuda_sums_give(&sums, 0, last_sum, shared);
    cuda_sums_give(&sums, 1, earlier_sum, shared);
    cuda_sums_give(&sums, 2, correct, shared);
}

void cuda_classification(Backend *backend, const Span *span, const Classification *loss, const Pictures *pictures,
                         DevFloats log_prob, DevFloats d_logits, DevDoubles sums) {
    static const Sum SUMMED[] = {SUM_NLL, SUM_GLIMPSE_NLL, SUM_CORRECT};
    CudaBackend *cuda = (CudaBackend *)backend;
    const int64_t rows = span_rows(span);
    const unsigned blocks = cuda_sum_blocks((loss->glimpses - classifier_first(loss)) * rows);
    if (rows == 0) return;
    const CudaSums left = cuda_sums_begin(cuda, blocks, sums, 3, SUMMED);
    CUDA_LAUNCH(classification_kernel, blocks, CUDA_SUM_THREADS, cuda, *loss, rows, span->samples,
                pictures->label.address, log_prob.address, d_logits.address, left);
    cuda_sums_end(cuda, blocks, &left);
}
