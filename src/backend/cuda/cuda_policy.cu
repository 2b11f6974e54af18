/* Which pictures, and the location policy, on the GPU: random draws, sampling, and its gradient by REINFORCE. */
#include "backend/cuda/cuda_narrow.h"
#include "backend/element/policy.h"

/* One thread an image: 14 bytes. */
static __global__ void choose_kernel(Choice choice, int64_t images, Pictures chosen) {
    const int64_t i = cuda_index();
    if (i < images) policy_choose(&choice, i, &chosen);
}

void cuda_choose(Backend *backend, const Choice *choice, int64_t images, const Pictures *chosen) {
    if (images == 0) return;
    CUDA_LAUNCH(choose_kernel, cuda_blocks(images), CUDA_THREADS, (CudaBackend *)backend, *choice, images, *chosen);
}

/* One thread a pair of numbers: block 0 of rows the starts, then the glimpses. Ten rounds of Philox, 8 bytes written.
 */
static __global__ void draw_kernel(Draws draws, int64_t count, int64_t rows, int samples, const int32_t *sample,
                                   float *location, float *noise) {
    const int64_t i = cuda_index();
    if (i >= count) return;
    const int64_t block = cuda_quotient(i, rows), row = i - block * rows;
    const int t = (int)block - 1;
    const DrawKey key = policy_key(&draws, sample[row / samples], row, samples);
    if (t < 0)
        policy_start(&draws, key, location + 2 * row);
    else
        policy_noise(&draws, key, t, noise + 2 * (t * rows + row));
}

void cuda_draw(Backend *backend, const Span *span, const Draws *draws, const Pictures *pictures, int glimpses,
               DevFloats location, DevFloats noise) {
    const int64_t rows = span_rows(span), count = (glimpses + 1) * rows;
    if (count == 0) return;
    CUDA_LAUNCH(draw_kernel, cuda_blocks(count), CUDA_THREADS, (CudaBackend *)backend, *draws, count, rows,
                span->samples, pictures->sample.address, location.address, noise.address);
}

/* 4 bytes an element of x, 36 a row. */
static __global__ void __launch_bounds__(NARROW_LANES *NARROW_ROWS)
    locate_kernel(Policy policy, float sigma, float log_peak, int64_t rows, int in, const float *x, int64_t stride,
                  const float *weight, const float *bias, const float *noise, float *mean, float *location,
                  float *log_pi) {
    const int64_t first = (int64_t)blockIdx.x * NARROW_ROWS;
    const float product = narrow_product(rows, in, 2, x, stride, weight);
    const int thread = narrow_thread();
    if (thread < 2 * NARROW_ROWS && first + thread / 2 < rows)
        mean[2 * first + thread] = tanhf(product + bias[thread % 2]);
    __syncthreads();
    const int64_t r = first + thread;
    if (thread >= NARROW_ROWS || r >= rows) return;
    log_pi[r] = policy_locate(policy, sigma, log_peak, mean + 2 * r, noise + 2 * r, location + 2 * r);
}

void cuda_locate(Backend *backend, const Span *span, Policy policy, float sigma, int in, Matrix x, Weight weight,
                 DevFloats bias, DevFloats noise, DevFloats mean, DevFloats location, DevFloats log_pi) {
    const int64_t rows = span_rows(span);
    if (rows == 0) return;
    CUDA_LAUNCH(locate_kernel, narrow_blocks(rows), dim3(NARROW_LANES, NARROW_ROWS), (CudaBackend *)backend, policy,
                sigma, policy_log_peak(sigma), rows, in, x.at.address, x.stride, weight.plain.address, bias.address,
                noise.address, mean.address, location.address, log_pi.address);
}

/* A thread takes every CUDA_SUM_THREADS-th (glimpse, row) of its block's, some 40 bytes each. */
static __global__ void __launch_bounds__(CUDA_SUM_THREADS)
    reinforce_kernel(Reinforce loss, int64_t rows, int samples, const float *reward, const float *credit,
                     const float *mean, const float *noise, const float *log_pi, float *b, float *d_baseline,
                     float *d_location, CudaSums sums) {
    __shared__ double shared[CUDA_SUM_THREADS];
    const int64_t first = (int64_t)blockIdx.x * CUDA_SUM_CHUNK, count = rows * loss.glimpses;
    const int64_t end = first + CUDA_SUM_CHUNK < count ? first + CUDA_SUM_CHUNK : count;
    const ReinforceScale scale = policy_scale(&loss);
    double baseline_sum = 0, reinforce_sum = 0, reward_sum = 0;
    for (int64_t i = first + threadIdx.x; i < end; i += CUDA_SUM_THREADS) {
        const int64_t block = cuda_quotient(i, rows) * rows, r = i - block;
        b[i] = policy_baseline(&loss, credit + block, r, samples, b[i]);
        const float advantage = credit[i] - b[i];
        if (loss.baseline == BASELINE_LEARNED) baseline_sum += (double)advantage * (double)advantage;
        reinforce_sum -= (double)log_pi[i] * (double)advantage;
        if (i < rows) reward_sum += (double)reward[r];
        if (!d_baseline) continue;
        d_baseline[i] = policy_d_baseline(&loss, scale, advantage);
        for (int axis = 0; axis < 2; axis++)
            d_location[2 * i + axis] = policy_d_location(scale, advantage, noise[2 * i + axis], mean[2 * i + axis]);
    }
    cuda_sums_give(&sums, 0, baseline_sum, shared);
    cuda_sums_give(&sums, 1, reinforce_sum, shared);
    cuda_sums_give(&sums, 2, reward_sum, shared);
    cuda_sums_give(&sums, 3, blockIdx.x == 0 && threadIdx.x == 0 ? (double)rows : 0.0, shared);
}

void cuda_reinforce(Backend *backend, const Span *span, const Reinforce *loss, DevFloats reward, DevFloats credit,
                    DevFloats mean, DevFloats noise, DevFloats log_pi, DevFloats b, DevFloats d_baseline,
                    DevFloats d_location, DevDoubles sums) {
    static const Sum SUMMED[] = {SUM_BASELINE, SUM_REINFORCE, SUM_REWARD, SUM_ROWS};
    CudaBackend *cuda = (CudaBackend *)backend;
    const int64_t rows = span_rows(span);
    const unsigned blocks = cuda_sum_blocks(rows * loss->glimpses);
    if (rows == 0) return;
    const CudaSums left = cuda_sums_begin(cuda, blocks, sums, 4, SUMMED);
    CUDA_LAUNCH(reinforce_kernel, blocks, CUDA_SUM_THREADS, cuda, *loss, rows, span->samples, reward.address,
                credit.address, mean.address, noise.address, log_pi.address, b.address, d_baseline.address,
                d_location.address, left);
    cuda_sums_end(cuda, blocks, &left);
}
