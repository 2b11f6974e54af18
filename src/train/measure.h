/* Measure: what a model is worth, in lines for people and in metrics.jsonl: the learned policy, and beside it the same
 * model with random and with centre-only glimpses. Must not know where the parameters come from. Collective. */
#ifndef RAM_TRAIN_MEASURE_H
#define RAM_TRAIN_MEASURE_H

#include "train/metrics.h"

/* Evaluates the parameters that the experiment's ram has loaded on the evaluator's split and tells the user. `metrics`
 * (closed on ranks that do not write) gets the records. *learned: the evaluation with eval.policy. RAM_IO. @collective
 */
Status measure_model(const Experiment *experiment, Evaluator *evaluator, Metrics *metrics, int64_t epoch, int64_t step,
                     Evaluation *learned);

#endif
