/* Which pictures are looked at, and the location policy, one row or one (glimpse, row) at a time: random draws,
 * sampling, log-density, and the REINFORCE and baseline terms (Williams 1992; Mnih et al. 2014, eq. 8-10), for every
 * backend. Must not know who computes which row. Nothing is collective. */
#ifndef RAM_BACKEND_ELEMENT_POLICY_H
#define RAM_BACKEND_ELEMENT_POLICY_H

#include "backend/backend.h"
#include "base/device.h"
#include "base/philox.h"

/* Image i of those that are chosen. */
RAM_DEVICE void policy_choose(const Choice *choice, int64_t i, const Pictures *chosen) {
    const int32_t sample = choice->order.address[choice->first.address[0] + choice->offset + i];
    chosen->sample.address[i] = sample;
    chosen->label.address[i] = choice->label.address[sample];
    chosen->picture.address[i] = choice->drawn ? (int32_t)i : sample;
}

/* Names the draws of row r: `sample` is the number of the row's image. */
RAM_DEVICE DrawKey policy_key(const Draws *draws, int32_t sample, int64_t r, int samples) {
    DrawKey key;
    key.seed = draws->seed;
    key.purpose = DRAW_START;
    key.space = draws->space;
    key.epoch = draws->epoch.address ? (uint32_t)draws->epoch.address[0] : 0;
    key.sample = (uint32_t)sample;
    key.rollout = draws->rollout + (uint32_t)(r % samples);
    key.glimpse = 0;
    return key;
}

/* l_0 */
RAM_DEVICE void policy_start(const Draws *draws, DrawKey key, float location[2]) {
    const philox4x32_ctr_t block = philox_block(key, 0);
    for (int axis = 0; axis < 2; axis++)
        location[axis] = draws->policy == POLICY_CENTER ? 0.0f : draws->start * philox_signed(block.v[axis]);
}

/* What glimpse t (from 0) of the row draws: standard normal; for the random policy its location. */
RAM_DEVICE void policy_noise(const Draws *draws, DrawKey key, int t, float noise[2]) {
    key.purpose = draws->policy == POLICY_RANDOM ? DRAW_POLICY : DRAW_NOISE;
    key.glimpse = (uint32_t)t + 1;
    const philox4x32_ctr_t block = philox_block(key, 0);
    if (draws->policy == POLICY_RANDOM)
        for (int axis = 0; axis < 2; axis++) noise[axis] = philox_signed(block.v[axis]);
    else
        philox_normal(block.v[0], block.v[1], noise);
}

/* log of the density at its peak: -2 log sigma - log 2 pi */
RAM_DEVICE float policy_log_peak(float sigma) { return -2.0f * logf(sigma) - 1.8378770664093453f; }

RAM_DEVICE float policy_clamp(float value) { return value < -1.0f ? -1.0f : value > 1.0f ? 1.0f : value; }

/* The location that follows from mean mu and noise eps; returns its log-density. */
RAM_DEVICE float policy_locate(Policy policy, float sigma, float log_peak, const float mu[2], const float eps[2],
                               float location[2]) {
    switch (policy) {
    case POLICY_SAMPLE: /* the log-density is that of the point before the clamp */
        for (int axis = 0; axis < 2; axis++) location[axis] = policy_clamp(mu[axis] + sigma * eps[axis]);
        return log_peak - 0.5f * (eps[0] * eps[0] + eps[1] * eps[1]);
    case POLICY_MEAN:
        for (int axis = 0; axis < 2; axis++) location[axis] = mu[axis];
        return log_peak;
    case POLICY_RANDOM: /* uniform over the square of area 4 */
        for (int axis = 0; axis < 2; axis++) location[axis] = eps[axis];
        return -1.3862943611198906f;
    case POLICY_CENTER:
        break;
    }
    location[0] = location[1] = 0.0f;
    return 0.0f;
}

/* --- REINFORCE */

/* Mean credit of the other roll-outs of row r's image, at one glimpse. */
RAM_DEVICE float policy_others_credit(const float *credit, int64_t r, int samples) {
    const float *image = credit + r / samples * samples;
    float sum = -credit[r];
    for (int m = 0; m < samples; m++) sum += image[m];
    return sum / (float)(samples - 1);
}

/* The baseline in use at row r of a glimpse's credit (rows), where the network says `learned`. */
RAM_DEVICE float policy_baseline(const Reinforce *loss, const float *credit, int64_t r, int samples, float learned) {
    switch (loss->baseline) {
    case BASELINE_MOVING_AVERAGE:
        return loss->moving_average.address[0];
    case BASELINE_OTHERS:
        return policy_others_credit(credit, r, samples);
    case BASELINE_NONE:
        return 0.0f;
    case BASELINE_LEARNED:
        break;
    }
    return learned;
}

/* Factors of the gradients of a mean loss. d(-log pi)/d mu = -(z - mu) / sigma^2 = -noise / sigma */
typedef struct {
    float baseline, policy;
} ReinforceScale;

RAM_DEVICE ReinforceScale policy_scale(const Reinforce *loss) {
    ReinforceScale scale;
    scale.baseline = (float)(2.0 / ((double)loss->rows * loss->glimpses));
    scale.policy = (float)(-loss->weight / ((double)loss->rows * (double)loss->sigma));
    return scale;
}

RAM_DEVICE float policy_d_baseline(const Reinforce *loss, ReinforceScale scale, float advantage) {
    return loss->baseline == BASELINE_LEARNED ? -scale.baseline * advantage : 0.0f;
}

/* Before the locator's tanh, whose result is mu. */
RAM_DEVICE float policy_d_location(ReinforceScale scale, float advantage, float noise, float mu) {
    return scale.policy * advantage * noise * (1.0f - mu * mu);
}

#endif
