/* The classifier's head: log-softmax, reward and credit, negative log-likelihood and its gradient. */
#include "backend/cpu/cpu.h"
#include "backend/element/classifier.h"

#include <math.h>

void cpu_log_softmax(Backend *backend, const Span *span, int glimpses, int classes, DevFloats logits) {
    (void)backend;
    const int64_t rows = glimpses * span_rows(span);
    for (int64_t r = 0; r < rows; r++) classifier_log_softmax(classes, logits.address + r * classes);
}

void cpu_reward(Backend *backend, const Span *span, const RewardRule *rule, int glimpses, int classes,
                const Pictures *pictures, DevFloats log_prob, DevFloats reward, DevFloats credit) {
    (void)backend;
    const int64_t rows = span_rows(span), last = (glimpses - 1) * rows;
    for (int64_t r = 0; r < rows; r++) {
        const int label = pictures->label.address[r / span->samples];
        reward.address[r] = classifier_reward(rule->kind, classes, log_prob.address + (last + r) * classes, label);
        classifier_credit(rule, glimpses, classes, rows, log_prob.address + r * classes, label, reward.address[r],
                          credit.address + r);
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
    const int classes = loss->classes;
    for (int t = classifier_first(loss); t < loss->glimpses; t++) {
        const float scale = classifier_scale(loss, t);
        const bool last = t == loss->glimpses - 1;
        double sum = 0;
        int64_t correct = 0;
        for (int64_t r = 0; r < rows; r++) {
            const int label = pictures->label.address[r / span->samples];
            const int64_t row = (t * rows + r) * classes;
            sum -= (double)log_prob.address[row + label];
            if (last) correct += classifier_best(classes, log_prob.address + row) == label;
            if (d_logits.address)
                classifier_gradient(classes, scale, label, log_prob.address + row, d_logits.address + row);
        }
        sums.address[last ? SUM_NLL : SUM_GLIMPSE_NLL] += sum;
        sums.address[SUM_CORRECT] += (double)correct;
    }
}
