/* The classifier's head, one row at a time: log-softmax, the best class, reward and credit, negative log-likelihood and
 * its gradient, for every backend. Must not know who computes which row. Nothing is collective. */
#ifndef RAM_BACKEND_ELEMENT_CLASSIFIER_H
#define RAM_BACKEND_ELEMENT_CLASSIFIER_H

#include "backend/backend.h"
#include "base/device.h"

#include <math.h>

/* In place: logits (classes) > log-probabilities. */
RAM_DEVICE void classifier_log_softmax(int classes, float *row) {
    float most = row[0], sum = 0.0f;
    for (int c = 1; c < classes; c++) most = row[c] > most ? row[c] : most;
    for (int c = 0; c < classes; c++) sum += expf(row[c] - most);
    const float shift = most + logf(sum);
    for (int c = 0; c < classes; c++) row[c] -= shift;
}

/* The first of equals. */
RAM_DEVICE int classifier_best(int classes, const float *row) {
    int best = 0;
    for (int c = 1; c < classes; c++)
        if (row[c] > row[best]) best = c;
    return best;
}

/* R of log_prob (classes). A class that is held impossible would outweigh all others of a batch, so a wrong answer
 * counts at most as a guess among all classes. */
RAM_DEVICE float classifier_reward(Reward reward, int classes, const float *row, int label) {
    if (reward == REWARD_CORRECT) return classifier_best(classes, row) == label ? 1.0f : 0.0f;
    const float guess = -logf((float)classes);
    return row[label] < guess ? guess : row[label];
}

/* credit (glimpses, rows) of one row, which is worth `reward`, from its log_prob (glimpses, rows, classes). */
RAM_DEVICE void classifier_credit(const RewardRule *rule, int glimpses, int classes, int64_t rows,
                                  const float *log_prob, int label, float reward, float *credit) {
    const bool gains = rule->credit == CREDIT_GAIN;
    float credited = gains ? 0.0f : reward, after = reward;
    credit[(glimpses - 1) * rows] = credited;
    for (int t = glimpses - 2; t >= 0; t--) {
        if (gains) {
            const float before = classifier_reward(rule->kind, classes, log_prob + t * rows * classes, label);
            credited = (after - before) + rule->decay * credited;
            after = before;
        }
        credit[t * rows] = credited;
    }
}

/* Weight of glimpse t's negative log-likelihood in the mean loss, per row. */
RAM_DEVICE float classifier_scale(const Classification *loss, int t) {
    const double weight = t == loss->glimpses - 1 ? 1.0 : loss->glimpse_weight / (loss->glimpses - 1);
    return (float)(weight / (double)loss->rows);
}

/* The first glimpse with a loss. */
RAM_DEVICE int classifier_first(const Classification *loss) {
    return loss->glimpse_weight > 0 ? 0 : loss->glimpses - 1;
}

/* d_logits (classes) from log_prob (classes). */
RAM_DEVICE void classifier_gradient(int classes, float scale, int label, const float *log_prob, float *d_logits) {
    for (int c = 0; c < classes; c++) d_logits[c] = scale * expf(log_prob[c]);
    d_logits[label] -= scale;
}

#endif
