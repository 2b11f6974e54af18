#include "model/ram.h"

#include <string.h>

enum { TRANSPOSES = 10 };

static DevFloats field_values(const Ram *ram, int field) {
    return dev_floats_at(ram->values, (int64_t)ram->parameters.layout.field[field].offset);
}

/* Hands out consecutive parts of a buffer, each on a cache line of its own. */
static DevFloats take(int64_t *used, DevFloats buffer, int64_t count) {
    DevFloats part = buffer.address ? dev_floats_at(buffer, *used) : buffer;
    *used += (count + LAYOUT_ALIGN - 1) / LAYOUT_ALIGN * LAYOUT_ALIGN;
    return part;
}

/* Places the parts of ram->packed; returns the elements they need. */
static int64_t place(Ram *ram) {
    const Parameters *p = &ram->parameters;
    int64_t used = 0;
#define PART(name, count) ram->forward.name = take(&used, ram->packed, (int64_t)(count))
    PART(fc1, p->fc1.in * p->fc1.out);
    PART(fc2, p->fc2.in * p->fc2.out);
    PART(what_where, (int64_t)(p->fc3.in + p->fc4.in) * p->fc3.out);
    PART(core, (int64_t)(p->input.in + p->recurrent.in) * p->input.out);
    PART(locator, p->locator.in * p->locator.out);
    PART(location, p->location.in * p->location.out);
    PART(baseliner, p->baseliner.in * p->baseliner.out);
    PART(classifier, p->classifier.in * p->classifier.out);
    PART(what_where_bias, p->fc3.out);
    PART(core_bias, p->input.out);
#undef PART
    return used;
}

void ram_open(Ram *ram, Backend *backend, const Dims *dims) {
    *ram = (Ram){.backend = backend, .dims = *dims};
    parameters_define(dims, &ram->parameters);
    ram->packed = backend_floats(backend, place(ram));
    place(ram);
}

void ram_close(Ram *ram) {
    if (ram->backend) ram->backend->kernels->release(ram->backend, ram->packed.address);
    *ram = (Ram){0};
}

/* The transposition of `layer`'s weight to rows [first_row, first_row + in) of `target`. */
static Transpose forward_weight(const Ram *ram, const Linear *layer, DevFloats target, int first_row) {
    return (Transpose){.source = field_values(ram, layer->weight),
                       .target = dev_floats_at(target, (int64_t)first_row * layer->out),
                       .rows = layer->out,
                       .columns = layer->in,
                       .target_stride = layer->out};
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
    kernels->add(backend, p->fc3.out, field_values(ram, p->fc3.bias), field_values(ram, p->fc4.bias),
                 ram->forward.what_where_bias);
    kernels->add(backend, p->input.out, field_values(ram, p->input.bias), field_values(ram, p->recurrent.bias),
                 ram->forward.core_bias);
}

/* --- memory of a pass */

/* Calls `with` for every array of the pass and its element count; 0 where this pass has no use for it. */
typedef void (*ArrayVisitor)(Backend *backend, DevFloats *array, int64_t count);

static void visit_arrays(Pass *pass, const Ram *ram, ArrayVisitor visit) {
    const Dims *dims = &ram->dims;
    Backend *backend = ram->backend;
    const int64_t n = pass->rows_most, T = dims->glimpses, H = dims->hidden, Tn = T * n;
    const int64_t what_where = dims->glimpse_hidden + dims->location_hidden;
    const int64_t lstm = dims->core == CORE_LSTM, mlp = dims->locator == LOCATOR_MLP, back = pass->backward;
    visit(backend, &pass->noise, Tn * 2);
    visit(backend, &pass->location, (T + 1) * n * 2);
    visit(backend, &pass->glimpse, Tn * dims_glimpse(dims));
    visit(backend, &pass->what_where, Tn * what_where);
    visit(backend, &pass->core_input, (T + 1) * n * 2 * H);
    visit(backend, &pass->gates, lstm * Tn * 4 * H);
    visit(backend, &pass->cell, lstm * Tn * H);
    visit(backend, &pass->locator, mlp * Tn * dims->locator_hidden);
    visit(backend, &pass->mean, Tn * 2);
    visit(backend, &pass->log_pi, Tn);
    visit(backend, &pass->baseline, Tn);
    visit(backend, &pass->log_prob, Tn * dims->classes);
    visit(backend, &pass->reward, n);
    visit(backend, &pass->d_core, back * Tn * (lstm ? 4 * H : H));
    visit(backend, &pass->d_cell, back * lstm * n * H);
    visit(backend, &pass->d_feature, back * Tn * H);
    visit(backend, &pass->d_what_where, back * Tn * what_where);
    visit(backend, &pass->d_locator, back * mlp * Tn * dims->locator_hidden);
    visit(backend, &pass->d_location, back * Tn * 2);
    visit(backend, &pass->d_baseline, back * Tn);
    visit(backend, &pass->d_logits, back * Tn * dims->classes);
}

static void allocate_array(Backend *backend, DevFloats *array, int64_t count) {
    *array = count ? backend_floats(backend, count) : (DevFloats){NULL};
}

static void release_array(Backend *backend, DevFloats *array, int64_t count) {
    (void)count;
    if (array->address) backend->kernels->release(backend, array->address);
}

void pass_open(Pass *pass, const Ram *ram, int64_t rows_most, int64_t images_most, bool backward) {
    Backend *backend = ram->backend;
    *pass = (Pass){.rows_most = rows_most, .backward = backward};
    visit_arrays(pass, ram, allocate_array);
    pass->pictures.picture.address = backend->kernels->allocate(backend, (size_t)images_most * sizeof(int32_t));
    pass->pictures.sample.address = backend->kernels->allocate(backend, (size_t)images_most * sizeof(int32_t));
    pass->pictures.label.address = backend->kernels->allocate(backend, (size_t)images_most);
}

void pass_close(Pass *pass, const Ram *ram) {
    Backend *backend = ram->backend;
    if (!pass->rows_most) return;
    visit_arrays(pass, ram, release_array);
    backend->kernels->release(backend, pass->pictures.picture.address);
    backend->kernels->release(backend, pass->pictures.sample.address);
    backend->kernels->release(backend, pass->pictures.label.address);
    *pass = (Pass){0};
}

Matrix pass_hidden(const Pass *pass, const Ram *ram, const Span *span) {
    const int64_t stride = 2 * (int64_t)ram->dims.hidden;
    return matrix(dev_floats_at(pass->core_input, span_rows(span) * stride + ram->dims.hidden), stride);
}
