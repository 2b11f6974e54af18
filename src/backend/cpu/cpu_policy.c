/* The location policy: random draws, sampling, and its gradient by REINFORCE (Williams 1992; Mnih et al. 2014, eq.
 * 8-10). */
#include "backend/cpu/cpu.h"
#include "base/philox.h"

#include <math.h>

void cpu_draw(Backend *backend, const Span *span, const Draws *draws, const Pictures *pictures, int glimpses,
              DevFloats location, DevFloats noise) {
    (void)backend;
    const int64_t rows = span_rows(span);
    for (int64_t r = 0; r < rows; r++) {
        DrawKey key = {.seed = draws->seed,
                       .purpose = DRAW_START,
                       .space = draws->space,
                       .epoch = draws->epoch,
                       .sample = (uint32_t)pictures->sample.address[r / span->samples],
                       .rollout = draws->rollout + (uint32_t)(r % span->samples)};
        philox4x32_ctr_t block = philox_block(key, 0);
        for (int axis = 0; axis < 2; axis++)
            location.address[2 * r + axis] = draws->policy == POLICY_CENTER ? 0.0f : philox_signed(block.v[axis]);
        key.purpose = draws->policy == POLICY_RANDOM ? DRAW_POLICY : DRAW_NOISE;
        for (int t = 0; t < glimpses; t++) {
            float *out = noise.address + 2 * (t * rows + r);
            key.glimpse = (uint32_t)t + 1;
            block = philox_block(key, 0);
            if (draws->policy == POLICY_RANDOM)
                for (int axis = 0; axis < 2; axis++) out[axis] = philox_signed(block.v[axis]);
            else
                philox_normal(block.v[0], block.v[1], out);
        }
    }
}

static float clamp(float value) { return value < -1.0f ? -1.0f : value > 1.0f ? 1.0f : value; }

void cpu_locate(Backend *backend, const Span *span, Policy policy, float sigma, DevFloats mean, DevFloats noise,
                DevFloats location, DevFloats log_pi) {
    (void)backend;
    const int64_t rows = span_rows(span);
    const float log_peak = -2.0f * logf(sigma) - 1.8378770664093453f; /* -2 log sigma - log 2 pi */
    for (int64_t r = 0; r < rows; r++) {
        const float *mu = mean.address + 2 * r, *eps = noise.address + 2 * r;
        float *l = location.address + 2 * r;
        switch (policy) {
        case POLICY_SAMPLE: /* the log-density is that of the point before the clamp */
            for (int axis = 0; axis < 2; axis++) l[axis] = clamp(mu[axis] + sigma * eps[axis]);
            log_pi.address[r] = log_peak - 0.5f * (eps[0] * eps[0] + eps[1] * eps[1]);
            break;
        case POLICY_MEAN:
            for (int axis = 0; axis < 2; axis++) l[axis] = mu[axis];
            log_pi.address[r] = log_peak;
            break;
        case POLICY_RANDOM: /* uniform over the square of area 4 */
            for (int axis = 0; axis < 2; axis++) l[axis] = eps[axis];
            log_pi.address[r] = -1.3862943611198906f;
            break;
        case POLICY_CENTER:
            l[0] = l[1] = 0.0f;
            log_pi.address[r] = 0.0f;
            break;
        }
    }
}

/* Mean reward of the other roll-outs of row r's image. */
static float others_reward(const float *reward, int64_t r, int samples) {
    const float *image = reward + r / samples * samples;
    float sum = -reward[r];
    for (int m = 0; m < samples; m++) sum += image[m];
    return sum / (float)(samples - 1);
}

void cpu_reinforce(Backend *backend, const Span *span, const Reinforce *loss, DevFloats reward, DevFloats mean,
                   DevFloats noise, DevFloats log_pi, DevFloats b, DevFloats d_baseline, DevFloats d_location,
                   DevDoubles sums) {
    (void)backend;
    const int64_t rows = span_rows(span);
    const float baseline_scale = (float)(2.0 / ((double)loss->rows * loss->glimpses));
    /* d(-log pi)/d mu = -(z - mu) / sigma^2 = -noise / sigma */
    const float policy_scale = (float)(-loss->weight / ((double)loss->rows * (double)loss->sigma));
    double baseline_sum = 0, reinforce_sum = 0, reward_sum = 0;
    for (int64_t r = 0; r < rows; r++) reward_sum += (double)reward.address[r];
    for (int t = 0; t < loss->glimpses; t++)
        for (int64_t r = 0; r < rows; r++) {
            const int64_t i = t * rows + r;
            const float R = reward.address[r];
            if (loss->baseline == BASELINE_MOVING_AVERAGE) b.address[i] = loss->moving_average;
            if (loss->baseline == BASELINE_OTHERS) b.address[i] = others_reward(reward.address, r, span->samples);
            if (loss->baseline == BASELINE_NONE) b.address[i] = 0.0f;
            const float advantage = R - b.address[i];
            if (loss->baseline == BASELINE_LEARNED) baseline_sum += (double)advantage * (double)advantage;
            reinforce_sum -= (double)log_pi.address[i] * (double)advantage;
            if (!d_baseline.address) continue;
            d_baseline.address[i] = loss->baseline == BASELINE_LEARNED ? -baseline_scale * advantage : 0.0f;
            for (int axis = 0; axis < 2; axis++) {
                const float mu = mean.address[2 * i + axis];
                d_location.address[2 * i + axis] =
                    policy_scale * advantage * noise.address[2 * i + axis] * (1.0f - mu * mu);
            }
        }
    sums.address[SUM_BASELINE] += baseline_sum;
    sums.address[SUM_REINFORCE] += reinforce_sum;
    sums.address[SUM_REWARD] += reward_sum;
    sums.address[SUM_ROWS] += (double)rows;
}
