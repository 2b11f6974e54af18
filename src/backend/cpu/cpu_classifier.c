/* The classifier's head: log-softmax, reward, negative log-likelihood and its gradient. */
#include "backend/cpu/cpu.h"

#include <math.h>

void cpu_log_softmax(Backend *backend, const Span *span, int glimpses, int classes, DevFloats logits) {
    (void)backend;
    const int64_t rows = glimpses * span_rows(span);
    for (int64_t r = 0; r < rows; r++) {
        float *row = logits.address + r * classes;
        float most = row[0], sum = 0.0f;
        for (int c = 1; c < classes; c++) most = row[c] > most ? row[c] : most;
        for (int c = 0; c < classes; c++) sum += expf(row[c] - most);
        const float shift = most + logf(sum);
        for (int c = 0; c < classes; c++) row[c] -= shift;
    }
}

void cpu_reward(Backend *backend, const Span *span, int classes, const Pictures *pictures, DevFloats log_prob,
                DevFloats reward) {
    (void)backend;
    const int64_t rows = span_rows(span);
    for (int64_t r = 0; r < rows; r++) {
        const float *row = log_prob.address + r * classes;
        int best = 0;
        for (int c = 1; c < classes; c++)
            if (row[c] > row[best]) best = c;
        reward.address[r] = best == pictures->label.address[r / span->samples] ? 1.0f : 0.0f;
    }
}

void cpu_add_probability(Backend *backend, const Span *span, int classes, DevFloats log_prob, DevFloats probability) {
    (void)backend;
    const int64_t count = span_rows(span) * classes;
    for (int64_t i = 0; i < count; i++) probability.address[i] += expf(log_prob.address[i]);
}

void cpu_classification(Backend *backend, const Span *span, const Classification *loss, const Pictures *pictures,
                        DevFloats log_prob, DevFloats d_logits, DevDoubles sums) {
    (void)backend;
    const int64_t rows = span_rows(span);
    const int first = loss->glimpse_weight > 0 ? 0 : loss->glimpses - 1;
    for (int t = first; t < loss->glimpses; t++) {
        const bool last = t == loss->glimpses - 1;
        const double weight = last ? 1.0 : loss->glimpse_weight / (loss->glimpses - 1);
        const float scale = (float)(weight / (double)loss->rows);
        double sum = 0;
        for (int64_t r = 0; r < rows; r++) {
            const int label = pictures->label.address[r / span->samples];
            const float *row = log_prob.address + (t * rows + r) * loss->classes;
            sum -= (double)row[label];
            if (!d_logits.address) continue;
            float *gradient = d_logits.address + (t * rows + r) * loss->classes;
            for (int c = 0; c < loss->classes; c++) gradient[c] = scale * expf(row[c]);
            gradient[label] -= scale;
        }
        sums.address[last ? SUM_NLL : SUM_GLIMPSE_NLL] += sum;
    }
}
