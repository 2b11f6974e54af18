#include "train/measure.h"
#include "base/log.h"
#include "base/memory.h"
#include "train/progress.h"

#include <stdio.h>
#include <stdlib.h>

/* The configured policy first, then the two that ignore what was learned. Returns how many. */
static int choose_policies(const Config *config, Policy policy[3]) {
    int count = 0;
    policy[count++] = (Policy)config->eval_policy;
    if (policy[0] != POLICY_RANDOM) policy[count++] = POLICY_RANDOM;
    if (policy[0] != POLICY_CENTER) policy[count++] = POLICY_CENTER;
    return count;
}

Status measure_model(const Experiment *experiment, Evaluator *evaluator, Metrics *metrics, int64_t epoch, int64_t step,
                     Evaluation *learned) {
    static const char *const POLICY_TEXT[] = {"learned policy", "policy's mean", "random glimpses", "centre glimpses"};
    const size_t classes = (size_t)experiment->dataset.classes;
    Status status = status_ok();
    int64_t *confusion = memory_new(classes * classes, sizeof *confusion);
    Policy policy[3];
    const int policies = choose_policies(&experiment->config, policy);
    for (int i = 0; i < policies; i++) { /* to the end whatever fails: all ranks evaluate together */
        char what[64];
        const Evaluation evaluation =
            evaluator_run(evaluator, policy[i], experiment->config.eval_rollouts, i == 0 ? confusion : NULL);
        if (i == 0) *learned = evaluation;
        snprintf(what, sizeof what, "%s, %s:", split_name(evaluation.split), POLICY_TEXT[policy[i]]);
        progress_evaluation(what, &evaluation);
        if (!status_failed(&status)) status = metrics_evaluation(metrics, epoch, step, &evaluation);
        if (evaluation.not_finite > 0)
            status = status_error(
                RAM_NUMERIC, "%s the model's output is not finite for %lld of %lld images: its weights are damaged",
                what, (long long)evaluation.not_finite, (long long)evaluation.images);
    }
    progress_augmentation(&experiment->config);
    progress_sigma(&experiment->config);
    progress_confusion(confusion, (int)classes);
    free(confusion);
    return comm_agree(experiment->comm, status);
}
