/* Which pictures; the location policy: random draws, sampling, and its gradient by REINFORCE. */
#include "backend/cpu/cpu.h"
#include "backend/element/policy.h"

void cpu_choose(Backend *backend, const Choice *choice, int64_t images, const Pictures *chosen) {
    (void)backend;
    for (int64_t i = 0; i < images; i++) policy_choose(choice, i, chosen);
}

void cpu_draw(Backend *backend, const Span *span, const Draws *draws, const Pictures *pictures, int glimpses,
              DevFloats location, DevFloats noise) {
    (void)backend;
    const int64_t rows = span_rows(span);
    for (int64_t r = 0; r < rows; r++) {
        const DrawKey key = policy_key(draws, pictures->sample.address[r / span->samples], r, span->samples);
        policy_start(draws, key, location.address + 2 * r);
        for (int t = 0; t < glimpses; t++) policy_noise(draws, key, t, noise.address + 2 * (t * rows + r));
    }
}

void cpu_locate(Backend *backend, const Span *span, Policy policy, float sigma, int in, Matrix x, Weight weight,
                DevFloats bias, DevFloats noise, DevFloats mean, DevFloats location, DevFloats log_pi) {
    const int64_t rows = span_rows(span);
    cpu_linear(backend, span, 1, in, 2, x, weight, bias, ACTIVATION_TANH, matrix(mean, 2));
    const float log_peak = policy_log_peak(sigma);
    for (int64_t r = 0; r < rows; r++)
        log_pi.address[r] = policy_locate(policy, sigma, log_peak, mean.address + 2 * r, noise.address + 2 * r,
                                          location.address + 2 * r);
}

void cpu_reinforce(Backend *backend, const Span *span, const Reinforce *loss, DevFloats reward, DevFloats credit,
                   DevFloats mean, DevFloats noise, DevFloats log_pi, DevFloats b, DevFloats d_baseline,
                   DevFloats d_location, DevDoubles sums) {
    (void)backend;
    const int64_t rows = span_rows(span);
    const ReinforceScale scale = policy_scale(loss);
    double baseline_sum = 0, reinforce_sum = 0, reward_sum = 0;
    for (int64_t r = 0; r < rows; r++) reward_sum += (double)reward.address[r];
    for (int t = 0; t < loss->glimpses; t++)
        for (int64_t r = 0; r < rows; r++) {
            const int64_t i = t * rows + r;
            b.address[i] = policy_baseline(loss, credit.address + t * rows, r, span->samples, b.address[i]);
            const float advantage = credit.address[i] - b.address[i];
            if (loss->baseline == BASELINE_LEARNED) baseline_sum += (double)advantage * (double)advantage;
            reinforce_sum -= (double)log_pi.address[i] * (double)advantage;
            if (!d_baseline.address) continue;
            d_baseline.address[i] = policy_d_baseline(loss, scale, advantage);
            for (int axis = 0; axis < 2; axis++)
                d_location.address[2 * i + axis] =
                    policy_d_location(scale, advantage, noise.address[2 * i + axis], mean.address[2 * i + axis]);
        }
    sums.address[SUM_BASELINE] += baseline_sum;
    sums.address[SUM_REINFORCE] += reinforce_sum;
    sums.address[SUM_REWARD] += reward_sum;
    sums.address[SUM_ROWS] += (double)rows;
}
