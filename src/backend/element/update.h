/* Optimisers and the weight average, one parameter at a time, for every backend: what depends on the step alone is
 * computed once, in double. Must not know who computes which parameter. Nothing is collective. */
#ifndef RAM_BACKEND_ELEMENT_UPDATE_H
#define RAM_BACKEND_ELEMENT_UPDATE_H

#include "backend/backend.h"
#include "base/device.h"

#include <float.h>
#include <math.h>

/* Subnormal moments become zero. One whose gradient stays 0 (a unit that is never on, a pixel that is never seen) would
 * decay to some 2^-149 (4 of them with 0.9, 500 with 0.999) and, rounded, no further, and a CPU takes some hundred
 * cycles for each product with it: from the third epoch on steps took up to half as long again. */
RAM_DEVICE float update_moment(float moment) { return fabsf(moment) < FLT_MIN ? 0.0f : moment; }

/* What a gradient is multiplied by, so that its norm is at most `clip`. */
RAM_DEVICE float update_gradient_scale(double clip, double squares) {
    const double norm = sqrt(squares);
    return clip > 0 && norm > clip ? (float)(clip / norm) : 1.0f;
}

/* Adam of Kingma and Ba 2015, with the decoupled decay of Loshchilov and Hutter 2019. */
typedef struct {
    double lr, beta1, beta2, epsilon, weight_decay;
    int64_t step; /* 1 for the first, for the bias correction */
} Adam;

static inline AdamTerms update_adam_terms(const Adam *adam) {
    AdamTerms terms;
    terms.decay = (float)(1.0 - adam->lr * adam->weight_decay);
    terms.beta1 = (float)adam->beta1;
    terms.beta2 = (float)adam->beta2;
    terms.step_size = (float)(adam->lr / (1.0 - pow(adam->beta1, (double)adam->step)));
    terms.epsilon = (float)adam->epsilon;
    terms.root_correction = (float)(1.0 / sqrt(1.0 - pow(adam->beta2, (double)adam->step)));
    return terms;
}

RAM_DEVICE void update_adam(AdamTerms a, float scale, float gradient, float *parameter, float *first, float *second) {
    const float g = gradient * scale;
    const float m = update_moment(a.beta1 * *first + (1.0f - a.beta1) * g);
    const float v = update_moment(a.beta2 * *second + (1.0f - a.beta2) * g * g);
    *first = m;
    *second = v;
    *parameter = *parameter * a.decay - a.step_size * m / (sqrtf(v) * a.root_correction + a.epsilon);
}

typedef struct {
    double lr, momentum, weight_decay;
    bool nesterov;
} Sgd;

static inline SgdTerms update_sgd_terms(const Sgd *sgd) {
    SgdTerms terms;
    terms.lr = (float)sgd->lr;
    terms.decay = (float)(1.0 - sgd->lr * sgd->weight_decay);
    terms.momentum = (float)sgd->momentum;
    terms.nesterov = sgd->nesterov;
    return terms;
}

RAM_DEVICE void update_sgd(SgdTerms s, float scale, float gradient, float *parameter, float *velocity) {
    const float g = gradient * scale;
    const float moved = update_moment(s.momentum * *velocity + g);
    *velocity = moved;
    *parameter = *parameter * s.decay - s.lr * (s.nesterov ? g + s.momentum * moved : moved);
}

static inline AverageTerms update_average_terms(double decay) {
    AverageTerms terms;
    terms.keep = (float)decay;
    terms.take = (float)(1.0 - decay);
    return terms;
}

RAM_DEVICE float update_average(AverageTerms terms, float average, float value) {
    return terms.keep * average + terms.take * value;
}

#endif
