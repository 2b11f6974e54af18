#include "engine_run.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

typedef struct {
    const PlainCase *c;
    const EngineOptions *options;
    Backend *backend;
    Ram ram;
    Loss loss;
    Pass *pass;         /* (workers, span_lanes) */
    Pictures pictures;  /* of the whole batch */
    DevInts epoch;      /* (1) */
    DevFloats gradient; /* (lanes, layout.total): a span's sum at its first lane */
    LaneNode *span;     /* (lanes): a span at its first lane */
    DevDoubles sums;    /* (lanes, SUMS) */
    PlainOutcome *out;  /* may be NULL */
} Engine;

static int span_lanes(const EngineOptions *options) { return options->span_lanes ? options->span_lanes : 1; }

static void upload_floats(Backend *backend, DevFloats to, const double *from, int64_t count) {
    float *host = memory_new((size_t)count, sizeof *host);
    for (int64_t i = 0; i < count; i++) host[i] = (float)from[i];
    backend->kernels->upload(backend, to.address, host, (size_t)count * sizeof *host);
    free(host);
}

/* `blocks` blocks of `rows` rows of `columns` into rows [first, first + rows) of blocks of all rows. */
static void download_rows(const Engine *e, int64_t first, int64_t rows, int64_t blocks, int64_t columns, Matrix from,
                          double *to) {
    const int64_t all = plain_rows(e->c);
    float *host = memory_new((size_t)columns, sizeof *host);
    for (int64_t block = 0; block < blocks; block++)
        for (int64_t r = 0; r < rows; r++) {
            const DevFloats row = dev_floats_at(from.at, (block * rows + r) * from.stride);
            e->backend->kernels->download(e->backend, host, row.address, (size_t)columns * sizeof *host);
            for (int64_t i = 0; i < columns; i++) to[(block * all + first + r) * columns + i] = (double)host[i];
        }
    free(host);
}

static void set_inputs(const Engine *e, const Span *span, Pass *pass) {
    const PlainCase *c = e->c;
    const Kernels *kernels = e->backend->kernels;
    const int64_t first_image = span_first_image(span), rows = span_rows(span), first = first_image * c->samples;
    const Draws draws = {.seed = e->options->draw_seed, .epoch = e->epoch, .start = 1, .policy = e->options->policy};
    pass->pictures = (Pictures){.pixels = e->pictures.pixels,
                                .picture = {e->pictures.picture.address + first_image},
                                .sample = {e->pictures.sample.address + first_image},
                                .label = {e->pictures.label.address + first_image}};
    if (draws.seed)
        kernels->draw(e->backend, span, &draws, &pass->pictures, c->dims.glimpses, pass->location, pass->noise);
    else
        for (int64_t t = 0; t < c->dims.glimpses; t++)
            upload_floats(e->backend, dev_floats_at(pass->noise, t * rows * 2),
                          c->noise + (t * plain_rows(c) + first) * 2, rows * 2);
    upload_floats(e->backend, pass->location, c->start + first * 2, rows * 2);
}

static void take_outputs(const Engine *e, const Span *span, const Pass *pass) {
    const Dims *dims = &e->c->dims;
    const int64_t rows = span_rows(span), first = span_first_image(span) * e->c->samples, T = dims->glimpses;
    const int features = dims_glimpse(dims), classes = dims->classes;
    PlainOutcome *out = e->out;
    download_rows(e, first, rows, T, features, matrix(pass->glimpse, features), out->glimpse);
    download_rows(e, first, rows, T + 1, 2, matrix(pass->location, 2), out->location);
    download_rows(e, first, rows, T, dims->hidden, pass_hidden(pass, &e->ram, span), out->hidden);
    download_rows(e, first, rows, T, 2, matrix(pass->mean, 2), out->mean);
    download_rows(e, first, rows, T, 1, matrix(pass->log_pi, 1), out->log_pi);
    download_rows(e, first, rows, T, 1, matrix(pass->baseline, 1), out->baseline);
    download_rows(e, first, rows, T, classes, matrix(pass->log_prob, classes), out->log_prob);
    download_rows(e, first, rows, 1, 1, matrix(pass->reward, 1), out->reward);
    download_rows(e, first, rows, T, 1, matrix(pass->credit, 1), out->credit);
}

static void compute(const Engine *e, const Span *lane, Pass *pass) {
    ram_forward(&e->ram, lane, e->options->policy, e->c->dims.sigma, e->out || e->loss.glimpse_nll > 0, pass);
    ram_backward(&e->ram, lane, &e->loss, pass, (DevDoubles){e->sums.address + lane->first_lane * SUMS});
}

static DevFloats lane_gradient(const Engine *e, int lane) {
    return dev_floats_at(e->gradient, lane * (int64_t)e->ram.parameters.layout.total);
}

static void work(void *context, int worker, const Span *span) {
    const Engine *e = context;
    e->span[span->first_lane] = (LaneNode){span->first_lane, span->lane_count};
    Pass *pass = &e->pass[worker * span_lanes(e->options)];
    for (int i = 0; i < span->lane_count; i++) {
        const Span lane = span_lane(span, i);
        set_inputs(e, &lane, &pass[i]);
        compute(e, &lane, &pass[i]);
        if (e->out) take_outputs(e, &lane, &pass[i]);
    }
    ram_gradient(&e->ram, span, &e->loss, pass, lane_gradient(e, span->first_lane));
}

static void clear_sums(const Engine *e) {
    double *zeros = memory_new((size_t)e->options->lanes * SUMS, sizeof *zeros);
    e->backend->kernels->upload(e->backend, e->sums.address, zeros, (size_t)e->options->lanes * SUMS * sizeof *zeros);
    free(zeros);
}

/* Every row of a worker's memory is left as a step with NaN parameters leaves it. */
static void poison(Engine *e) {
    const int64_t total = (int64_t)e->ram.parameters.layout.total;
    const Span span = {.batch = (e->c->batch + e->options->lanes - 1) / e->options->lanes,
                       .lanes = 1,
                       .lane_count = 1,
                       .samples = e->c->samples};
    DevFloats values = backend_floats(e->backend, total);
    float *nans = memory_new((size_t)total, sizeof *nans);
    for (int64_t i = 0; i < total; i++) nans[i] = NAN;
    e->backend->kernels->upload(e->backend, values.address, nans, (size_t)total * sizeof *nans);
    free(nans);
    const DevFloats good = e->ram.values;
    ram_load(&e->ram, values);
    for (int i = 0; i < e->backend->workers * span_lanes(e->options); i++) {
        set_inputs(e, &span, &e->pass[i]);
        compute(e, &span, &e->pass[i]);
    }
    ram_load(&e->ram, good);
    e->backend->kernels->release(e->backend, values.address);
    clear_sums(e);
}

static void run_lanes(Engine *e) {
    const EngineOptions *options = e->options;
    const int step = options->lanes_per_run ? options->lanes_per_run : options->lanes;
    for (int first = 0; first < options->lanes; first += step) {
        const int count = first + step < options->lanes ? step : options->lanes - first;
        const Span span = {e->c->batch, options->lanes, first, count, e->c->samples};
        e->backend->kernels->run(e->backend, span, span_lanes(options), work, e);
    }
}

/* Sums over lanes, as the step sums them; divides what is a mean. */
static void reduce(Engine *e, EngineResult *result) {
    const PlainCase *c = e->c;
    const int lanes = e->options->lanes;
    const size_t total = c->parameters.layout.total;
    const Kernels *kernels = e->backend->kernels;
    LaneNode *node = memory_new((size_t)lanes, sizeof *node);
    DevFloats *vector = memory_new((size_t)lanes, sizeof *vector), sum = backend_floats(e->backend, (int64_t)total);
    double *sums = memory_new((size_t)lanes * SUMS, sizeof *sums);
    int spans = 0;
    for (int lane = 0; lane < lanes; lane += e->span[lane].count) {
        node[spans] = e->span[lane];
        vector[spans++] = lane_gradient(e, lane);
    }
    kernels->tree_sum(e->backend, spans, node, vector, (int64_t)total, sum);
    result->gradient = memory_new(total, sizeof(float));
    result->lane_gradient = memory_new((size_t)lanes * total, sizeof(float));
    kernels->download(e->backend, result->gradient, sum.address, total * sizeof(float));
    kernels->download(e->backend, result->lane_gradient, e->gradient.address, (size_t)lanes * total * sizeof(float));
    kernels->download(e->backend, sums, e->sums.address, (size_t)lanes * SUMS * sizeof *sums);
    for (int lane = 0; lane < lanes; lane++) node[lane] = (LaneNode){lane, 1};
    lane_tree_sum_double(lanes, node, sums, SUMS, SUMS, result->sums);
    kernels->release(e->backend, sum.address);
    free(sums);
    free(vector);
    free(node);
    if (!e->out) return;
    const double rows = result->sums[SUM_ROWS], T = c->dims.glimpses;
    PlainTerms *terms = &e->out->terms;
    for (size_t i = 0; i < total; i++) e->out->gradient[i] = (double)result->gradient[i];
    *terms = (PlainTerms){.nll = result->sums[SUM_NLL] / rows,
                          .glimpse_nll = T > 1 ? result->sums[SUM_GLIMPSE_NLL] / (rows * (T - 1)) : 0,
                          .baseline = result->sums[SUM_BASELINE] / (rows * T),
                          .reinforce = result->sums[SUM_REINFORCE] / rows,
                          .reward = result->sums[SUM_REWARD] / rows};
    terms->total =
        terms->nll + terms->baseline + c->reinforce_weight * terms->reinforce + c->glimpse_nll * terms->glimpse_nll;
}

static void *copy_of(Backend *backend, const void *host, size_t bytes) {
    void *copy = backend->kernels->allocate(backend, bytes);
    backend->kernels->upload(backend, copy, host, bytes);
    return copy;
}

static void open_inputs(Engine *e) {
    const PlainCase *c = e->c;
    const Retina *retina = &c->dims.retina;
    const size_t images = (size_t)c->batch, pixels = (size_t)(retina->height * retina->width * retina->channels);
    const float moving_average = (float)c->moving_average;
    const int32_t epoch = 1;
    int32_t *number = memory_new(images, sizeof *number);
    for (size_t i = 0; i < images; i++) number[i] = (int32_t)i;
    e->pictures.pixels.address = copy_of(e->backend, c->pixels, images * pixels);
    e->pictures.picture.address = copy_of(e->backend, number, images * sizeof *number);
    e->pictures.sample.address = copy_of(e->backend, number, images * sizeof *number);
    e->pictures.label.address = copy_of(e->backend, c->labels, images);
    e->epoch.address = copy_of(e->backend, &epoch, sizeof epoch);
    e->loss = (Loss){.baseline = c->baseline,
                     .moving_average = {copy_of(e->backend, &moving_average, sizeof moving_average)},
                     .reinforce_weight = c->reinforce_weight,
                     .reward = {c->reward, c->credit, (float)c->credit_decay},
                     .glimpse_nll = c->glimpse_nll,
                     .locator_gradient = c->locator_gradient};
    free(number);
}

static void close_inputs(Engine *e) {
    void *const inputs[] = {e->pictures.pixels.address, e->pictures.picture.address,
                            e->pictures.sample.address, e->pictures.label.address,
                            e->epoch.address,           e->loss.moving_average.address};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) e->backend->kernels->release(e->backend, inputs[i]);
}

void engine_run(const PlainCase *c, const EngineOptions *options, EngineResult *result, PlainOutcome *out) {
    const int64_t total = (int64_t)c->parameters.layout.total;
    const BackendOptions backend_options = {
        .device = options->device, .threads = options->threads, .precision = options->precision};
    Engine e = {.c = c, .options = options, .out = out};
    Status status = backend_open(&backend_options, &e.backend);
    if (status_failed(&status)) abort();
    const Kernels *kernels = e.backend->kernels;
    open_inputs(&e);
    ram_open(&e.ram, e.backend, &c->dims);
    DevFloats values = backend_floats(e.backend, total);
    upload_floats(e.backend, values, c->values, total);
    ram_load(&e.ram, values);
    e.gradient = backend_zeros(e.backend, options->lanes * total);
    e.sums.address = kernels->allocate(e.backend, (size_t)options->lanes * SUMS * sizeof(double));
    clear_sums(&e);
    e.span = memory_new((size_t)options->lanes, sizeof *e.span);
    const int passes = e.backend->workers * span_lanes(options);
    const int64_t rows_most = span_lane_rows_most(c->batch, options->lanes, c->samples);
    e.pass = memory_new((size_t)passes, sizeof *e.pass);
    for (int i = 0; i < passes; i++) pass_open(&e.pass[i], &e.ram, rows_most, true);
    if (options->poisoned) poison(&e);
    run_lanes(&e);
    reduce(&e, result);
    for (int i = 0; i < passes; i++) pass_close(&e.pass[i], &e.ram);
    free(e.pass);
    free(e.span);
    kernels->release(e.backend, e.sums.address);
    kernels->release(e.backend, e.gradient.address);
    close_inputs(&e);
    kernels->release(e.backend, values.address);
    ram_close(&e.ram);
    backend_close(e.backend);
}

bool precision_is_here(DeviceChoice device, Precision precision) {
    Backend *backend;
    const BackendOptions options = {.device = device, .threads = 1, .precision = precision};
    const Status status = backend_open(&options, &backend);
    backend_close(backend);
    return !status_failed(&status);
}

void engine_result_close(EngineResult *result) {
    free(result->gradient);
    free(result->lane_gradient);
    *result = (EngineResult){0};
}
