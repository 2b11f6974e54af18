#include "model/ram.h"

#include <string.h>

enum { TRANSPOSES = 10, FORWARD_WEIGHTS = 8 };

DevFloats ram_field(const Ram *ram, int field) {
    return dev_floats_at(ram->values, (int64_t)ram->parameters.layout.field[field].offset);
}

/* Hands out consecutive parts of a buffer, each on a cache line of its own. */
static DevFloats take(int64_t *used, DevFloats buffer, int64_t count) {
    DevFloats part = buffer.address ? dev_floats_at(buffer, *used) : buffer;
    *used += (count + LAYOUT_ALIGN - 1) / LAYOUT_ALIGN * LAYOUT_ALIGN;
    return part;
}

typedef struct {
    Weight *weight; /* (in, out) */
    int in, out;
} ForwardWeight;

/* Without a locator of two layers, its first has no elements. */
static void list_forward_weights(Ram *ram, ForwardWeight list[FORWARD_WEIGHTS]) {
    const Parameters *p = &ram->parameters;
    const ForwardWeight all[FORWARD_WEIGHTS] = {
        {&ram->forward.fc1, p->fc1.in, p->fc1.out},
        {&ram->forward.fc2, p->fc2.in, p->fc2.out},
        {&ram->forward.what_where, p->fc3.in + p->fc4.in, p->fc3.out},
        {&ram->forward.core, p->input.in + p->recurrent.in, p->input.out},
        {&ram->forward.locator, p->locator.in, p->locator.out},
        {&ram->forward.location, p->location.in, p->location.out},
        {&ram->forward.baseliner, p->baseliner.in, p->baseliner.out},
        {&ram->forward.classifier, p->classifier.in, p->classifier.out},
    };
    memcpy(list, all, sizeof all);
}

/* Places the parts of ram->laid_out; returns the elements they need. */
static int64_t place(Ram *ram) {
    const Parameters *p = &ram->parameters;
    const bool packs = ram->backend->packs;
    int64_t used = 0;
    ForwardWeight weight[FORWARD_WEIGHTS];
    list_forward_weights(ram, weight);
    for (int i = 0; i < FORWARD_WEIGHTS; i++) {
        const int64_t count = (int64_t)weight[i].in * weight[i].out;
        weight[i].weight->plain = take(&used, ram->laid_out, count);
        if (packs) weight[i].weight->packed = take(&used, ram->laid_out, count);
    }
    ram->forward.what_where_bias = take(&used, ram->laid_out, p->fc3.out);
    ram->forward.core_bias = take(&used, ram->laid_out, p->input.out);
    if (packs) ram->packed_values = take(&used, ram->laid_out, (int64_t)p->layout.total);
    return used;
}

void ram_open(Ram *ram, Backend *backend, const Dims *dims) {
    *ram = (Ram){.backend = backend, .dims = *dims};
    parameters_define(dims, &ram->parameters);
    ram->laid_out = backend_floats(backend, place(ram));
    place(ram);
}

void ram_close(Ram *ram) {
    if (ram->backend) ram->backend->kernels->release(ram->backend, ram->laid_out.address);
    *ram = (Ram){0};
}

/* The transposition of `layer`'s weight to rows [first_row, first_row + in) of `target`. */
static Transpose forward_weight(const Ram *ram, const Linear *layer, Weight target, int first_row) {
    return (Transpose){.source = ram_field(ram, layer->weight),
                       .target = dev_floats_at(target.plain, (int64_t)first_row * layer->out),
                       .rows = layer->out,
                       .columns = layer->in,
                       .target_stride = layer->out};
}

/* All weights, for the forward products and as stored for the backward ones. */
static void pack_weights(Ram *ram) {
    const Layout *layout = &ram->parameters.layout;
    Packing work[FORWARD_WEIGHTS + LAYOUT_FIELDS];
    ForwardWeight weight[FORWARD_WEIGHTS];
    int count = 0;
    list_forward_weights(ram, weight);
    for (int i = 0; i < FORWARD_WEIGHTS; i++) work[count++] = (Packing){*weight[i].weight, weight[i].in, weight[i].out};
    for (int i = 0; i < layout->fields; i++) {
        const Field *field = &layout->field[i];
        const Weight stored = {ram_field(ram, i), dev_floats_at(ram->packed_values, (int64_t)field->offset)};
        if (field->dimensions == 2) work[count++] = (Packing){stored, field->shape[0], field->shape[1]};
    }
    ram->backend->kernels->pack(ram->backend, count, work);
}

void ram_load(Ram *ram, DevFloats values) {
    Backend *backend = ram->backend;
    const Kernels *kernels = backend->kernels;
    const Parameters *p = &ram->parameters;
    ram->values = values;
    const Transpose work[TRANSPOSES] = {
        forward_weight(ram, &p->fc1, ram->forward.fc1, 0),
        forward_weight(ram, &p->fc2, ram->forward.fc2, 0),
        forward_weight(ram, &p->fc3, ram->forward.what_where, 0),
        forward_weight(ram, &p->fc4, ram->forward.what_where, p->fc3.in),
        forward_weight(ram, &p->input, ram->forward.core, 0),
        forward_weight(ram, &p->recurrent, ram->forward.core, p->input.in),
        forward_weight(ram, &p->location, ram->forward.location, 0),
        forward_weight(ram, &p->baseliner, ram->forward.baseliner, 0),
        forward_weight(ram, &p->classifier, ram->forward.classifier, 0),
        forward_weight(ram, &p->locator, ram->forward.locator, 0), /* nothing when the locator is linear */
    };
    kernels->transpose(backend, TRANSPOSES - (ram->dims.locator == LOCATOR_LINEAR), work);
    kernels->add(backend, p->fc3.out, ram_field(ram, p->fc3.bias), ram_field(ram, p->fc4.bias),
                 ram->forward.what_where_bias);
    kernels->add(backend, p->input.out, ram_field(ram, p->input.bias), ram_field(ram, p->recurrent.bias),
                 ram->forward.core_bias);
    if (backend->packs) pack_weights(ram);
}

/* --- memory of a pass */

/* Calls `with` for every array of the pass and its element count; 0 where this pass has no use for it. */
typedef void (*ArrayVisitor)(void *context, DevFloats *array, int64_t count);

static void visit_arrays(Pass *pass, const Ram *ram, ArrayVisitor visit, void *context) {
    const Dims *dims = &ram->dims;
    const int64_t n = pass->rows_most, T = dims->glimpses, H = dims->hidden, Tn = T * n;
    const int64_t what_where = dims->glimpse_hidden + dims->location_hidden;
    const int64_t lstm = dims->core == CORE_LSTM, mlp = dims->locator == LOCATOR_MLP, back = pass->backward;
    visit(context, &pass->noise, Tn * 2);
    visit(context, &pass->location, (T + 1) * n * 2);
    visit(context, &pass->glimpse, Tn * dims_glimpse(dims));
    visit(context, &pass->what_where, Tn * what_where);
    visit(context, &pass->core_input, (T + 1) * n * 2 * H);
    visit(context, &pass->gates, lstm * Tn * 4 * H);
    visit(context, &pass->cell, lstm * Tn * H);
    visit(context, &pass->locator, mlp * Tn * dims->locator_hidden);
    visit(context, &pass->mean, Tn * 2);
    visit(context, &pass->log_pi, Tn);
    visit(context, &pass->baseline, Tn);
    visit(context, &pass->log_prob, Tn * dims->classes);
    visit(context, &pass->reward, n);
    visit(context, &pass->credit, Tn);
    visit(context, &pass->d_core, back * Tn * (lstm ? 4 * H : H));
    visit(context, &pass->d_cell, back * lstm * n * H);
    visit(context, &pass->d_feature, back * Tn * H);
    visit(context, &pass->d_what_where, back * Tn * what_where);
    visit(context, &pass->d_locator, back * mlp * Tn * dims->locator_hidden);
    visit(context, &pass->d_location, back * Tn * 2);
    visit(context, &pass->d_baseline, back * Tn);
    visit(context, &pass->d_logits, back * Tn * dims->classes);
}

static void allocate_array(void *backend, DevFloats *array, int64_t count) {
    *array = count ? backend_floats(backend, count) : (DevFloats){NULL};
}

static void release_array(void *context, DevFloats *array, int64_t count) {
    Backend *backend = context;
    (void)count;
    if (array->address) backend->kernels->release(backend, array->address);
}

static void count_array(void *bytes, DevFloats *array, int64_t count) {
    (void)array;
    *(size_t *)bytes += (size_t)count * sizeof(float);
}

size_t pass_bytes(const Ram *ram, int64_t rows_most, bool backward) {
    Pass pass = {.rows_most = rows_most, .backward = backward};
    size_t bytes = 0;
    visit_arrays(&pass, ram, count_array, &bytes);
    return bytes;
}

void pass_open(Pass *pass, const Ram *ram, int64_t rows_most, bool backward) {
    *pass = (Pass){.rows_most = rows_most, .backward = backward};
    visit_arrays(pass, ram, allocate_array, ram->backend);
}

void pass_close(Pass *pass, const Ram *ram) {
    if (!pass->rows_most) return;
    visit_arrays(pass, ram, release_array, ram->backend);
    *pass = (Pass){0};
}

Matrix pass_hidden(const Pass *pass, const Ram *ram, const Span *span) {
    const int64_t stride = 2 * (int64_t)ram->dims.hidden;
    return matrix(dev_floats_at(pass->core_input, span_rows(span) * stride + ram->dims.hidden), stride);
}
