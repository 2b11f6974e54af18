/* Ram: the model of Mnih et al. 2014 as a sequence of backend kernels, written once for all backends; Pass: the memory
 * of one worker's forward and backward computation over a span of lanes.
 * Must not know: data sets, ranks, optimisers. Nothing is collective. Different workers may use one Ram at once. */
#ifndef RAM_MODEL_RAM_H
#define RAM_MODEL_RAM_H

#include "backend/backend.h"
#include "model/parameters.h"

typedef struct {
    Backend *backend; /* borrowed */
    Dims dims;
    Parameters parameters;
    DevFloats values;   /* (layout.total): the parameters in use, borrowed (ram_load) */
    DevFloats laid_out; /* weights as the products take them, owned */
    /* Parts of `laid_out`: weights (in, out); fc3 over fc4 and input over recurrent, biases summed. */
    struct {
        Weight fc1, fc2, what_where, core, locator, location, baseliner, classifier;
        DevFloats what_where_bias, core_bias;
    } forward;
    DevFloats packed_values; /* part of `laid_out`, (layout.total): `values` packed; NULL where the backend does not */
} Ram;

/* Fills *ram. dims must have passed dims_check. */
void ram_open(Ram *ram, Backend *backend, const Dims *dims);
void ram_close(Ram *ram); /* a zeroed one is allowed */

/* Takes `values` (layout.total) as the parameters: lays the weights out for the forward pass. To be called again after
 * every change of the values. Borrowed. Called by one thread while no worker computes. */
void ram_load(Ram *ram, DevFloats values);

/* The values of a field, of its shape, of the parameters in use. Borrowed. */
DevFloats ram_field(const Ram *ram, int field);

/* Which losses to compute (DESIGN 2). */
typedef struct {
    Baseline baseline;
    DevFloats moving_average; /* (1): m of before the step */
    double reinforce_weight;  /* w */
    RewardRule reward;        /* what R is, and how much of it a location is credited with */
    double glimpse_nll;       /* weight of the classification loss after each glimpse but the last */
    bool locator_gradient;    /* the locator passes gradient into h_t, t < T; h_t is a constant there otherwise */
} Loss;

/* All that the computation of one lane reads and leaves. n = span_rows(lane), T glimpses; every array holds [T] blocks
 * of n rows without gaps. Device memory, owned by the pass. */
typedef struct {
    int64_t rows_most;
    bool backward;
    /* inputs of ram_forward */
    Pictures pictures; /* of the lane's images, borrowed */
    DevFloats noise;   /* (T, n, 2) */
    /* what forward leaves */
    DevFloats location;    /* (T+1, n, 2): l_0 is an input */
    DevFloats glimpse;     /* (T, n, K*C*G*G) */
    DevFloats what_where;  /* (T, n, glimpse_hidden + location_hidden): relu(fc1), relu(fc2) */
    DevFloats core_input;  /* (T+1, n, 2H): g_t in columns 0..H, h_{t-1} in H..2H */
    DevFloats gates, cell; /* lstm: (T, n, 4H), c_t (T, n, H) */
    DevFloats locator;     /* (T, n, locator_hidden) */
    DevFloats mean;        /* (T, n, 2): mu_t */
    DevFloats log_pi;      /* (T, n) */
    DevFloats baseline;    /* (T, n): b_t */
    DevFloats log_prob;    /* (T, n, classes); glimpses before the last only when asked for */
    DevFloats reward;      /* (n) */
    DevFloats credit;      /* (T, n) */
    /* gradients with respect to the arrays above, before their activations */
    DevFloats d_core;       /* (T, n, H or 4H) */
    DevFloats d_cell;       /* lstm: (n, H) */
    DevFloats d_feature;    /* (T, n, H): of g_t */
    DevFloats d_what_where; /* (T, n, glimpse_hidden + location_hidden) */
    DevFloats d_locator;    /* (T, n, locator_hidden) */
    DevFloats d_location;   /* (T, n, 2) */
    DevFloats d_baseline;   /* (T, n) */
    DevFloats d_logits;     /* (T, n, classes) */
} Pass;

/* Memory for lanes of at most rows_most rows; with the gradients' when `backward`. */
void pass_open(Pass *pass, const Ram *ram, int64_t rows_most, bool backward);
void pass_close(Pass *pass, const Ram *ram); /* a zeroed one is allowed */

/* h_t, t = 1..T, as a matrix of T*n rows. */
Matrix pass_hidden(const Pass *pass, const Ram *ram, const Span *span);

/* Bytes of such a pass's arrays of rows. */
size_t pass_bytes(const Ram *ram, int64_t rows_most, bool backward);

/* Runs the T glimpses of a span of one lane from pass->{pictures, location l_0, noise}. `every_glimpse`: classify after
 * each glimpse, not only the last. `sigma`: of the location policy. */
void ram_forward(const Ram *ram, const Span *span, Policy policy, float sigma, bool every_glimpse, Pass *pass);

/* pass->reward and pass->credit of a span of one lane, after ram_forward; `gain` needs every glimpse's classes. */
void ram_reward(const Ram *ram, const Span *span, const RewardRule *rule, Pass *pass);

/* The reward and the losses of a span of one lane and, in a `backward` pass, the gradients of the mean loss with
 * respect to what ram_forward left. sums (SUMS): the lane's are added. Without REINFORCE's own draws (policy `sample`)
 * there is no gradient to speak of. */
void ram_backward(const Ram *ram, const Span *span, const Loss *loss, Pass *pass, DevDoubles sums);

/* The gradient of the mean loss with respect to all parameters, summed over the lanes of the span in the order of the
 * lane tree: gradient (layout.total), its fields written, padding left alone. pass (lanes): each after ram_backward. */
void ram_gradient(const Ram *ram, const Span *span, const Loss *loss, const Pass *pass, DevFloats gradient);

#endif
