/* A plain RAM in double: DESIGN 2 written out row by row, with no thought for speed. Owns the right answer.
 * Must not know backends or the engine's sequence; of src/model it uses the parameter layout alone.
 * Nothing here is collective. */
#ifndef RAM_TESTS_PLAIN_RAM_H
#define RAM_TESTS_PLAIN_RAM_H

#include "model/parameters.h"

/* One batch. rows = batch * samples, image by image, the roll-outs of an image side by side. */
typedef struct {
    Dims dims;
    Parameters parameters;
    int64_t batch;
    int samples;
    Baseline baseline;
    Reward reward;
    Credit credit;
    double credit_decay;
    double moving_average, reinforce_weight, glimpse_nll;
    bool locator_gradient;
    uint8_t *pixels; /* (batch, height, width, channels) */
    uint8_t *labels; /* (batch) */
    double *values;  /* (layout.total) */
    double *start;   /* (rows, 2): l_0 */
    double *noise;   /* (T, rows, 2): standard normal */
} PlainCase;

/* Terms of the batch loss, each a mean, before their weights. */
typedef struct {
    double nll, glimpse_nll, baseline, reinforce, reward, total;
} PlainTerms;

/* All that a batch leads to. */
typedef struct {
    double *glimpse;       /* (T, rows, K*C*G*G) */
    double *what, *where;  /* (T, rows, glimpse_hidden), (T, rows, location_hidden), after the ReLU */
    double *feature;       /* (T, rows, H): g_t */
    double *gates, *cell;  /* lstm: (T, rows, 4H) after the activations, (T, rows, H) */
    double *hidden;        /* (T, rows, H) */
    double *locator;       /* mlp: (T, rows, locator_hidden) */
    double *mean, *sample; /* (T, rows, 2): mu_t, and the location before the clamp */
    double *location;      /* (T+1, rows, 2) */
    double *log_pi;        /* (T, rows) */
    double *baseline;      /* (T, rows): the one in use */
    double *credit;        /* (T, rows) */
    double *advantage;     /* (T, rows): credit_t - b_t */
    double *log_prob;      /* (T, rows, classes) */
    double *reward;        /* (rows) */
    double *gradient;      /* (layout.total) of the total */
    PlainTerms terms;
} PlainOutcome;

/* What a computation takes as given instead of computing it; NULL where it is to be computed. With all of it, the loss
 * is the function of the parameters whose derivative REINFORCE defines. */
typedef struct {
    const double *location;  /* (T+1, rows, 2) */
    const double *hidden;    /* (T, rows, H): what the baseline sees, and the locator where its gradient stops */
    const double *sample;    /* (T, rows, 2) */
    const double *credit;    /* (T, rows) */
    const double *advantage; /* (T, rows) */
} PlainGiven;

static inline int64_t plain_rows(const PlainCase *c) { return c->batch * c->samples; }

/* Arrays of a case whose dims, batch and samples are set. */
void plain_case_open(PlainCase *c);
void plain_case_close(PlainCase *c);

void plain_outcome_open(PlainOutcome *out, const PlainCase *c);
void plain_outcome_close(PlainOutcome *out);

/* Everything but the gradient. */
void plain_forward(const PlainCase *c, const PlainGiven *given, PlainOutcome *out);

/* The gradient, from what plain_forward left. */
void plain_backward(const PlainCase *c, PlainOutcome *out);

/* Largest difference of a and b (count), relative to the largest entry of b; infinite where one is not finite. */
double plain_deviation(int64_t count, const double *a, const double *b);

#endif
