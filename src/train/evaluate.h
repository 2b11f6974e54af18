/* Evaluate: error, loss and reward of the model on a split, exact for any number of ranks: everything is counted in
 * integers (losses in units of 2^-24), so no order of summation matters. Owns its passes. evaluator_run is collective.
 */
#ifndef RAM_TRAIN_EVALUATE_H
#define RAM_TRAIN_EVALUATE_H

#include "train/experiment.h"

typedef struct Evaluator Evaluator;

/* The figures of one evaluation; errors in percent. */
typedef struct {
    Split split;
    Policy policy;
    float sigma;                       /* of the location policy */
    int64_t rollouts;                  /* M: probabilities are averaged over them */
    int64_t images, wrong, not_finite; /* not_finite: images whose probabilities are NaN */
    double error, low, high;           /* low, high: 95 % interval (Wilson 1927) */
    double loss;                       /* mean negative log-likelihood of the averaged probabilities */
    double reward;                     /* mean over images and roll-outs: share of single roll-outs that are right */
} Evaluation;

Evaluator *evaluator_new(const Experiment *experiment, Split split);
void evaluator_free(Evaluator *evaluator); /* NULL is allowed */

/* Evaluates the parameters that the experiment's ram has loaded. confusion (classes, classes), or NULL: rows are
 * labels, columns predictions. @collective */
Evaluation evaluator_run(Evaluator *evaluator, Policy policy, int64_t rollouts, int64_t *confusion);

#endif
