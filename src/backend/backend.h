/* Backend: memory and kernels behind one table, filled by backend/cpu (and backend/cuda where there is one). Owns
 * device memory and the workers that compute. Must not know the sequence of RAM: that is written once, in model/.
 * Nothing here is collective. Kernels are re-entrant: different workers may run them at once on different memory. */
#ifndef RAM_BACKEND_BACKEND_H
#define RAM_BACKEND_BACKEND_H

#include "base/gpu.h"
#include "base/lane_tree.h"
#include "base/partition.h"
#include "base/status.h"
#include "base/terms.h"

#include <stddef.h>
#include <stdint.h>

/* Memory of the backend. Types of their own, so that host code cannot dereference them by accident. */
typedef struct {
    float *address;
} DevFloats;
typedef struct {
    int32_t *address;
} DevInts;
typedef struct {
    uint8_t *address;
} DevBytes;
typedef struct {
    double *address;
} DevDoubles;

static inline DevFloats dev_floats_at(DevFloats base, int64_t element) { return (DevFloats){base.address + element}; }

/* A row-major matrix inside a buffer: row r starts at `at` + r * stride. */
typedef struct {
    DevFloats at;
    int64_t stride; /* elements from one row to the next, >= columns */
} Matrix;

static inline Matrix matrix(DevFloats at, int64_t stride) { return (Matrix){at, stride}; }
static inline Matrix matrix_column(Matrix m, int64_t column) { return (Matrix){dev_floats_at(m.at, column), m.stride}; }

/* A linear layer's weight: as float32 and, where the backend's products want a form of their own (Backend.packs), in
 * that form, which only the backend can read. Packed once a step, by `pack`: a product would spend as long on packing
 * as on a good part of its arithmetic. Both are there, so that the backend may choose for each product. */
typedef struct {
    DevFloats plain;
    DevFloats packed; /* NULL where the backend does not pack */
} Weight;

/* A layer with fewer inputs or outputs than these is a narrow one: its products stay plain, in float32, on every
 * backend and with every train.precision. */
enum { PRODUCT_NARROW = 16 };
static inline bool product_is_narrow(int in, int out) { return in < PRODUCT_NARROW || out < PRODUCT_NARROW; }

/* A contiguous run of lanes of one batch (DESIGN 4). Rows are (image, roll-out), the roll-outs of one image side by
 * side. Forward and backward kernels take one lane at a time; the gradients of the parameters take the lanes of a whole
 * span, a complete subtree of the lane tree, and leave its sum. */
typedef struct {
    int64_t batch;  /* images of the global batch (n) */
    int lanes;      /* lanes of the global batch (V) */
    int first_lane; /* of this span */
    int lane_count; /* in this span */
    int samples;    /* roll-outs of each image (M) */
} Span;

static inline int64_t span_first_image(const Span *span) {
    return partition_begin(span->batch, span->first_lane, span->lanes);
}
static inline int64_t span_images(const Span *span) {
    return partition_begin(span->batch, span->first_lane + span->lane_count, span->lanes) - span_first_image(span);
}
static inline int64_t span_rows(const Span *span) { return span_images(span) * span->samples; }
/* Rows of a stacked matrix of one lane; the bounds of the configuration keep them in an int. */
int span_stacked_rows(const Span *span, int glimpses);

/* Lane `lane` of the span, counted from its first, as a span of its own. */
static inline Span span_lane(const Span *span, int lane) {
    Span one = *span;
    one.first_lane += lane;
    one.lane_count = 1;
    return one;
}

/* Most rows that one lane of such a batch can have. */
static inline int64_t span_lane_rows_most(int64_t batch, int lanes, int samples) {
    return (batch + lanes - 1) / lanes * samples;
}

typedef enum { ACTIVATION_NONE, ACTIVATION_RELU, ACTIVATION_TANH } Activation;

/* The glimpse sensor's geometry (DESIGN 2). */
typedef struct {
    int patch, scales, scale;    /* G, K, ratio */
    int height, width, channels; /* of a picture */
    float mean[CHANNELS_MOST], stddev[CHANNELS_MOST];
} Retina;

/* What a span looks at. `picture[i]` is the place of image i among `pixels`. */
typedef struct {
    DevBytes pixels; /* (pictures, height, width, channels) */
    DevInts picture; /* (images) */
    DevInts sample;  /* (images): sample number, names the random draws */
    DevBytes label;  /* (images) */
} Pictures;

/* Which pictures a batch is: a part of an order of samples. */
typedef struct {
    DevInts order; /* (count): sample numbers */
    int64_t count;
    DevInts first;  /* (1): place in `order` of the batch's first image; changes from step to step */
    int64_t offset; /* of the first image that is chosen, in the batch */
    DevBytes label; /* (labels): of all samples */
    int64_t labels;
    bool drawn; /* the pixels are one picture for each chosen image, in their order, not those of all samples */
} Choice;

/* Where random locations come from (base/philox.h). What changes from step to step lies in backend memory, here and
 * below, so that a step's kernels have the same arguments each time. */
typedef struct {
    uint64_t seed;
    uint32_t space;   /* the split */
    DevInts epoch;    /* (1); NULL: 0, which is evaluation's */
    uint32_t rollout; /* of a row's first sample; row's roll-out m draws as rollout + m */
    float start;      /* l_0 is uniform in [-start, start]^2 */
    Policy policy;
} Draws;

/* What a roll-out is worth, and what each of its locations is credited with: `final`, R of the last glimpse; `gain`,
 * with R_s that of glimpse s, sum_{s>t} decay^(s-t-1) (R_s - R_{s-1}): 0 for the last, from which nothing is seen. This
 * is generalized advantage estimation (Schulman et al. 2016, eq. 16) with R_t as the value of h_t. */
typedef struct {
    Reward kind;
    Credit credit;
    float decay; /* lambda */
} RewardRule;

/* The REINFORCE and baseline terms of the loss (DESIGN 2). */
typedef struct {
    Baseline baseline;
    int glimpses;
    float sigma;
    DevFloats moving_average; /* (1): m of before the step; read where it is the baseline */
    double weight;            /* w */
    int64_t rows;             /* of the global batch: B * M */
} Reinforce;

typedef struct {
    int glimpses, classes;
    double glimpse_weight; /* train.glimpse_nll */
    int64_t rows;          /* of the global batch: B * M */
} Classification;

/* Sums over the rows of a lane; divided once, after the reduction. */
typedef enum {
    SUM_NLL,         /* of the final class */
    SUM_GLIMPSE_NLL, /* over t < T, all rows */
    SUM_BASELINE,    /* (b_t - credit_t)^2 over t and rows */
    SUM_REINFORCE,   /* sum_t -log pi_t (credit_t - b_t) over rows, before the weight */
    SUM_REWARD,      /* R */
    SUM_CORRECT,     /* right answers */
    SUM_ROWS,
    SUMS
} Sum;

/* One matrix to be laid out for the forward pass: target (columns, rows) = source (rows, columns) transposed. */
typedef struct {
    DevFloats source; /* (rows, columns) */
    DevFloats target; /* row c of the transpose at target + c * target_stride */
    int64_t rows, columns, target_stride;
} Transpose;

/* One weight to be packed. Its packed form takes no more than rows * columns floats. */
typedef struct {
    Weight weight; /* plain (rows, columns) > packed */
    int64_t rows, columns;
} Packing;

/* The gradient of a bias: the sums of the columns of dy over the glimpses and rows of each lane. */
typedef struct {
    int glimpses, out;
    const Matrix *dy; /* (lanes of the span): each (glimpses*rows, out) */
    DevFloats dbias;  /* (out) */
    DevFloats same;   /* (out): another bias with this gradient; NULL: none */
} BiasGradient;

/* What updates take from their step alone (element/update.h computes it). In backend memory, as all that changes from
 * step to step. */
typedef struct {
    float decay, beta1, beta2, step_size, epsilon, root_correction;
} AdamTerms;
typedef struct {
    float lr, decay, momentum;
    int32_t nesterov;
} SgdTerms;
typedef struct {
    float keep, take;
} AverageTerms;
typedef struct {
    double clip; /* the gradient's norm is brought down to this; 0: any is kept */
    AdamTerms adam;
    SgdTerms sgd;
    AverageTerms average;
} Update;
typedef struct {
    Update *address;
} DevUpdate;

typedef struct Backend Backend;

/* Called by a worker for each of its spans. `worker` in [0, workers): index of its private workspace. */
typedef void (*SpanWork)(void *context, int worker, const Span *span);

/* Called by one of the host's threads. `thread` in [0, threads). */
typedef void (*ThreadWork)(void *context, int thread);

/* Called to ask for kernels that are to be recorded (backend_run_recorded). */
typedef void (*RecordedWork)(void *context);

/* Whether all who do the work together have made their record of it; `mine`: RAM_UNAVAILABLE, and why, where this one
 * has not. @collective among them */
typedef Status (*RecordAgreed)(void *context, Status mine);

/* What a backend keeps of work that comes again and again (backend_run_recorded). */
typedef struct BackendRecord BackendRecord;

typedef struct {
    const char *name;
    void (*free)(Backend *backend);

    /* Memory: contents undefined at allocation; NULL where there is no room, see backend_room. Counts are bytes. What
     * is asked of a backend outside of `run` is done in that order; upload has read, and download has written, host
     * memory when it returns. */
    void *(*allocate)(Backend *backend, size_t bytes);
    Status (*room)(Backend *backend); /* see backend_room; NULL where allocation does not fail */
    void (*release)(Backend *backend, void *memory);
    void (*upload)(Backend *backend, void *device, const void *host, size_t bytes);
    void (*download)(Backend *backend, void *host, const void *device, size_t bytes);
    /* See backend_host_new; NULL where any host memory serves as well. */
    void *(*allocate_host)(Backend *backend, size_t bytes);
    void (*release_host)(Backend *backend, void *memory);
    /* Host memory that stays as it is, as backend memory: the same on the CPU, a copy elsewhere. withdraw() it. */
    void *(*present)(Backend *backend, const void *host, size_t bytes);
    void (*withdraw)(Backend *backend, void *presented);

    /* Gives the spans of `lanes` (backend_span) to the workers, returns when all are done. */
    void (*run)(Backend *backend, Span lanes, int lanes_most, SpanWork work, void *context);
    /* Calls `work`, which asks for no kernels, on every thread of the host, returns when all have returned. */
    void (*run_threads)(Backend *backend, ThreadWork work, void *context);
    /* See backend_run_recorded; NULL where nothing is recorded. */
    void (*run_recorded)(Backend *backend, BackendRecord **record, Span lanes, RecordedWork work, RecordAgreed agreed,
                         void *context);
    void (*forget)(Backend *backend, BackendRecord *record);
    /* Returns when all that was asked for is done: for those who measure. */
    void (*wait)(Backend *backend);
    /* See backend_range; NULL as a name ends the range. NULL where no profiler looks. */
    void (*range)(Backend *backend, const char *name);

    /* --- forward. Stacked matrices have `glimpses` blocks of span_rows(span) rows. */

    /* chosen: picture, sample and label (images) of `images` images. Called by one thread. */
    void (*choose)(Backend *, const Choice *, int64_t images, const Pictures *chosen);
    /* location (rows, 2) = l_0, noise (glimpses, rows, 2): standard normal; for the random policy uniform locations. */
    void (*draw)(Backend *, const Span *, const Draws *, const Pictures *, int glimpses, DevFloats location,
                 DevFloats noise);
    /* glimpse (rows, K*C*G*G) at location (rows, 2). */
    void (*retina)(Backend *, const Span *, const Retina *, const Pictures *, DevFloats location, DevFloats glimpse);
    /* y (glimpses*rows, out) = activation(x (.., in) * weight + bias); weight laid out (in, out), bias (out). */
    void (*linear)(Backend *, const Span *, int glimpses, int in, int out, Matrix x, Weight weight, DevFloats bias,
                   Activation, Matrix y);
    /* gates (rows, 4H): before in, after the activations out (i f g o); c (rows, H) from c_before (NULL: zeros),
     * h = o tanh(c). */
    void (*lstm)(Backend *, const Span *, int hidden, DevFloats gates, DevFloats c_before, DevFloats c, Matrix h);
    /* The locator's last layer and what follows from it: mean (rows, 2) = tanh(x (rows, in) * weight + bias), weight
     * and bias as for `linear`; with noise (rows, 2) location (rows, 2) and log_pi (rows). */
    void (*locate)(Backend *, const Span *, Policy, float sigma, int in, Matrix x, Weight weight, DevFloats bias,
                   DevFloats noise, DevFloats mean, DevFloats location, DevFloats log_pi);
    /* In place: logits (glimpses*rows, classes) > log-probabilities. */
    void (*log_softmax)(Backend *, const Span *, int glimpses, int classes, DevFloats logits);
    /* R (rows) from log_prob (glimpses, rows, classes). `correct`: 1 where the best class (the first of equals) is the
     * label, else 0; `log_likelihood`: the label's log-probability, at least that of a guess. credit (glimpses, rows):
     * what the locations are credited with; only `gain` reads log_prob before the last glimpse. */
    void (*reward)(Backend *, const Span *, const RewardRule *, int glimpses, int classes, const Pictures *,
                   DevFloats log_prob, DevFloats reward, DevFloats credit);

    /* --- evaluation: probability (rows, classes) += exp(log_prob). */
    void (*add_probability)(Backend *, const Span *, int classes, DevFloats log_prob, DevFloats probability);

    /* --- losses and their gradients, of a span of one lane; each adds its sums to sums (SUMS). Gradients may be absent
     * (NULL). */

    /* b (glimpses, rows): in the learned baseline, out the baseline used. d_baseline (glimpses, rows); d_location
     * (glimpses, rows, 2): gradient before the locator's tanh. reward (rows) is only summed. */
    void (*reinforce)(Backend *, const Span *, const Reinforce *, DevFloats reward, DevFloats credit, DevFloats mean,
                      DevFloats noise, DevFloats log_pi, DevFloats b, DevFloats d_baseline, DevFloats d_location,
                      DevDoubles sums);
    /* log_prob (glimpses, rows, classes), d_logits alike; glimpses before the last only where glimpse_weight > 0. */
    void (*classification)(Backend *, const Span *, const Classification *, const Pictures *, DevFloats log_prob,
                           DevFloats d_logits, DevDoubles sums);

    /* --- backward */

    /* dx (glimpses*rows, in) = dy (.., out) * weight (out, in), or += where `accumulate`. */
    void (*linear_backward_data)(Backend *, const Span *, int glimpses, int in, int out, Matrix dy, Weight weight,
                                 bool accumulate, Matrix dx);
    /* dy = 0 where y <= 0. (glimpses*rows, columns) */
    void (*relu_backward)(Backend *, const Span *, int glimpses, int columns, Matrix y, Matrix dy);
    /* dgates (rows, 4H) from dh (rows, H) and dc (rows, H; taken as zero at the last glimpse), which becomes the
     * gradient of c_before (NULL: zeros). */
    void (*lstm_backward)(Backend *, const Span *, int hidden, bool last, DevFloats gates, DevFloats c_before,
                          DevFloats c, DevFloats dh, DevFloats dc, DevFloats dgates);

    /* --- gradients of parameters: sums over the span's lanes in the order of the lane tree. x[i] and dy[i] are those
     * of the span's lane i; a lane without rows adds zeros. */

    /* dweight (out, in) = dy^T x over the glimpses and rows of each lane. */
    void (*linear_backward_weight)(Backend *, const Span *, int glimpses, int in, int out, const Matrix *x,
                                   const Matrix *dy, DevFloats dweight);
    void (*linear_backward_bias)(Backend *, const Span *, int count, const BiasGradient *work);

    /* --- over whole parameter vectors, called by one thread, computed by all workers */

    void (*transpose)(Backend *, int count, const Transpose *work);
    void (*pack)(Backend *, int count, const Packing *work); /* NULL where the backend does not pack */
    void (*add)(Backend *, int64_t count, DevFloats a, DevFloats b, DevFloats out); /* out = a + b; out may be a */
    /* out (count) = the sum of the nodes' vectors in the order of the lane tree. */
    void (*tree_sum)(Backend *, int nodes, const LaneNode *node, const DevFloats *vector, int64_t count, DevFloats out);
    /* sum (1): of squares in double, in an order that depends on count alone. */
    void (*sum_squares)(Backend *, int64_t count, DevFloats values, DevDoubles sum);

    /* Updates by a gradient whose squares sum to squares (1). Where that is not finite, nothing changes. */
    void (*adam)(Backend *, DevUpdate, DevDoubles squares, int64_t count, DevFloats parameters, DevFloats gradient,
                 DevFloats m, DevFloats v);
    void (*sgd)(Backend *, DevUpdate, DevDoubles squares, int64_t count, DevFloats parameters, DevFloats gradient,
                DevFloats velocity);
    /* average = keep * average + take * values */
    void (*average)(Backend *, DevUpdate, DevDoubles squares, int64_t count, DevFloats average, DevFloats values);

    /* --- a step's sums: a few doubles, called by one thread */

    /* out (rows, columns): each row becomes row (columns). */
    void (*repeat_row)(Backend *, int rows, int columns, DevDoubles row, DevDoubles out);
    /* out (columns) = the sums of the columns of values (rows, columns), rounded. */
    void (*sum_rows)(Backend *, int rows, int columns, DevDoubles values, DevFloats out);
    void (*widen)(Backend *, int count, DevFloats values, DevDoubles out); /* out = values */
} Kernels;

struct Backend {
    const Kernels *kernels;
    int workers;         /* independent workspaces that `run` needs */
    int threads;         /* of the host, for `run_threads` */
    size_t span_bytes;   /* of a span's passes: with more than that gradients take longer */
    bool host_memory;    /* its addresses are the host's */
    bool packs;          /* linear and linear_backward_data want weights that went through `pack` */
    const char *library; /* of the products, with its version; must be equal on all ranks */
    const char *note;    /* e.g. the instruction set of the products; must be equal on all ranks too */
    void *stream;        /* CUDA's, on which all is done in order; NULL elsewhere */
};

typedef struct {
    DeviceChoice device;
    int threads;         /* of the host */
    int gpu;             /* cuda: place among the GPUs that the process sees */
    Precision precision; /* of the products' operands */
} BackendOptions;

/* The GPUs that this process sees; none where CUDA is not compiled in. */
void backend_gpus(GpuList *seen);

/* Whether the GPU at this place among them can be computed on; RAM_UNAVAILABLE: why not. */
Status backend_probe(int gpu);

/* The backend for the options, which name a device other than `auto`; RAM_UNAVAILABLE when a demanded device or
 * precision is missing. Owned by the caller. */
Status backend_open(const BackendOptions *options, Backend **backend);
void backend_close(Backend *backend); /* NULL is allowed */

/* Names what the calling thread asks for until backend_range_end, for profilers (NVTX). Ranges nest. */
void backend_range(Backend *backend, const char *name);
void backend_range_end(Backend *backend);

/* How `run` cuts: worker `worker` takes its contiguous part of `lanes`, in complete subtrees of at most `lanes_most`
 * (a power of two) lanes. Sets *span to the first of them at or after lane `first`; false when there is none left. */
bool backend_span(const Backend *backend, const Span *lanes, int lanes_most, int worker, int first, Span *span);

/* All spans of `run`, ascending: node (lanes->lane_count). Returns how many. */
int backend_spans(const Backend *backend, const Span *lanes, int lanes_most, LaneNode *node);

/* Calls `work`, which asks for kernels alone, no upload or download, and for the same lanes always for the same kernels
 * with the same arguments: a backend that is quicker at it plays a record of them (on a GPU a CUDA graph) in place of
 * the work. *record: NULL at first; backend_forget() it. Work that others take part in, a sum over ranks in it, is
 * played by all of them or by none: `agreed`, NULL where there are none, is asked once for the record of each `lanes`.
 */
void backend_run_recorded(Backend *backend, BackendRecord **record, Span lanes, RecordedWork work, RecordAgreed agreed,
                          void *context);
void backend_forget(Backend *backend, BackendRecord *record); /* NULL is allowed */

/* Host memory, zeros, from and to which a GPU copies by itself (pinned): for what travels often. */
void *backend_host_new(Backend *backend, size_t bytes);
void backend_host_free(Backend *backend, void *memory); /* NULL is allowed */

/* Whether all memory that was asked for could be had. RAM_USAGE: how much was asked for in vain, and how much there is;
 * then there is nothing to compute with, and uploads do nothing, so that who opens something asks once, at its end. */
Status backend_room(Backend *backend);

/* Allocation by element: undefined contents, or zeros. */
DevFloats backend_floats(Backend *backend, int64_t count);
DevFloats backend_zeros(Backend *backend, int64_t count);

#endif
