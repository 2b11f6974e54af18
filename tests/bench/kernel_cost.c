/* kernel_cost [ROWS [bf16]]: what each kernel of the CPU backend costs on one core at the default model's shapes, for a
 * lane of ROWS rows (16) and six glimpses, with bf16 products where it is said: median time, and GFLOP/s of products or
 * GB/s of what is read and written once. Beside it the peak of this core: the product of 16 x 256 x 256, and a copy of
 * the same size as the parameters. */
#include "backend/element/update.h"
#include "base/memory.h"
#include "model/ram.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    T = 6,
    H = 256,
    SIDE = 28,
    IMAGES = 1024,
    LANES = 4 /* whose gradients are summed */,
    REPEATS = 9,
    CLASSES = 10,
    LOCATOR = 128,
    PARAMETERS = 242320
};

typedef struct {
    Backend *backend;
    const Kernels *kernels;
    Span span;
    DevFloats a, b, c, d; /* large enough for any operand below */
    DevDoubles sums;
    Pictures pictures;
    Retina retina;
    int in, out, glimpses; /* of the product that is timed */
} Bench;

typedef void (*Call)(Bench *bench);

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median seconds of a call, each measurement some 2 ms long. */
static double measure(Bench *bench, Call call) {
    double seconds[REPEATS], started = now();
    int calls = 0;
    for (; now() - started < 0.002; calls++) call(bench);
    for (int i = 0; i < REPEATS; i++) {
        started = now();
        for (int n = 0; n < calls; n++) call(bench);
        seconds[i] = (now() - started) / calls;
    }
    qsort(seconds, REPEATS, sizeof *seconds, compare);
    return seconds[REPEATS / 2];
}

/* Zeros, in any form. */
static Weight weight_of(const Bench *b) { return (Weight){b->b, b->b}; }

static void forward(Bench *b) {
    b->kernels->linear(b->backend, &b->span, b->glimpses, b->in, b->out, matrix(b->a, b->in), weight_of(b), b->d,
                       ACTIVATION_RELU, matrix(b->c, b->out));
}
static void backward_data(Bench *b) {
    b->kernels->linear_backward_data(b->backend, &b->span, b->glimpses, b->in, b->out, matrix(b->a, b->out),
                                     weight_of(b), false, matrix(b->c, b->in));
}
static void backward_weight(Bench *b) {
    const int64_t rows = b->glimpses * b->span.batch;
    const Span span = {.batch = LANES * b->span.batch, .lanes = LANES, .lane_count = LANES, .samples = 1};
    Matrix x[LANES], dy[LANES];
    for (int64_t lane = 0; lane < LANES; lane++) {
        x[lane] = matrix(dev_floats_at(b->a, lane * rows * b->in), b->in);
        dy[lane] = matrix(dev_floats_at(b->c, lane * rows * b->out), b->out);
    }
    b->kernels->linear_backward_weight(b->backend, &span, b->glimpses, b->in, b->out, x, dy, b->d);
}
static void backward_bias(Bench *b) {
    const Matrix dy = matrix(b->a, H);
    const BiasGradient work = {.glimpses = T, .out = H, .dy = &dy, .dbias = b->d};
    b->kernels->linear_backward_bias(b->backend, &b->span, 1, &work);
}
static void relu_backward(Bench *b) {
    b->kernels->relu_backward(b->backend, &b->span, T, H, matrix(b->a, H), matrix(b->c, H));
}
static void retina(Bench *b) { b->kernels->retina(b->backend, &b->span, &b->retina, &b->pictures, b->d, b->c); }
static void draw(Bench *b) {
    const Draws draws = {.seed = 1, .start = 1};
    b->kernels->draw(b->backend, &b->span, &draws, &b->pictures, T, b->c, b->d);
}
static void locate(Bench *b) {
    const DevFloats mean = dev_floats_at(b->c, 2 * IMAGES), location = dev_floats_at(b->c, 4 * IMAGES);
    b->kernels->locate(b->backend, &b->span, POLICY_SAMPLE, 0.05f, LOCATOR, matrix(b->a, LOCATOR), weight_of(b), b->b,
                       b->c, mean, location, b->d);
}
static void log_softmax(Bench *b) { b->kernels->log_softmax(b->backend, &b->span, 1, CLASSES, b->c); }
static void adam(Bench *b) {
    const Adam options = {.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .step = 1};
    Update update = {.adam = update_adam_terms(&options)};
    double squares = 1;
    b->kernels->adam(b->backend, (DevUpdate){&update}, (DevDoubles){&squares}, PARAMETERS, b->a, b->b, b->c, b->d);
}
static void tree_sum(Bench *b) {
    enum { VECTORS = 2 * LANES };
    LaneNode node[VECTORS];
    DevFloats vector[VECTORS];
    for (int lane = 0; lane < VECTORS; lane++) {
        node[lane] = (LaneNode){lane, 1};
        vector[lane] = dev_floats_at(b->a, (int64_t)lane * PARAMETERS);
    }
    b->kernels->tree_sum(b->backend, VECTORS, node, vector, PARAMETERS, b->d);
}
static void transpose(Bench *b) {
    const Transpose work = {b->a, b->c, H, 2 * H, H};
    b->kernels->transpose(b->backend, 1, &work);
}
static void pack(Bench *b) {
    const Packing work = {{b->a, b->c}, 2 * H, H};
    b->kernels->pack(b->backend, 1, &work);
}
static void copy(Bench *b) { b->kernels->upload(b->backend, b->c.address, b->a.address, PARAMETERS * sizeof(float)); }

static void print_product(Bench *bench, const char *name, Call call, int lanes, int glimpses, int in, int out) {
    bench->glimpses = glimpses;
    bench->in = in;
    bench->out = out;
    const double seconds = measure(bench, call);
    const double flops = 2.0 * lanes * glimpses * (double)span_rows(&bench->span) * in * out;
    printf("%-16s %5d rows %5d > %-5d %10.2f us %8.1f GFLOP/s\n", name, lanes * glimpses * (int)span_rows(&bench->span),
           in, out, 1e6 * seconds, 1e-9 * flops / seconds);
}

/* `bytes`: read and written once. */
static void print_stream(Bench *bench, const char *name, Call call, double bytes) {
    const double seconds = measure(bench, call);
    printf("%-16s %33.2f us %8.1f GB/s\n", name, 1e6 * seconds, 1e-9 * bytes / seconds);
}

static void print_all(Bench *bench) {
    const double rows = (double)span_rows(&bench->span), F = sizeof(float);
    print_product(bench, "peak", backward_data, 1, 1, H, H);
    print_stream(bench, "copy", copy, 2 * F * PARAMETERS);
    print_product(bench, "linear fc1", forward, 1, 1, 64, 128);
    print_product(bench, "linear fc2", forward, 1, 1, 2, 128);
    print_product(bench, "linear fc3+fc4", forward, 1, 1, 256, H);
    print_product(bench, "linear core", forward, 1, 1, 2 * H, H);
    print_product(bench, "linear locator", forward, 1, 1, H, LOCATOR);
    print_product(bench, "linear baseline", forward, 1, T, H, 1);
    print_product(bench, "linear classes", forward, 1, 1, H, CLASSES);
    print_product(bench, "data core", backward_data, 1, 1, H, H);
    print_product(bench, "data fc3", backward_data, 1, T, 128, H);
    print_product(bench, "data input", backward_data, 1, T, H, H);
    print_product(bench, "weight core", backward_weight, LANES, T, H, H);
    print_product(bench, "weight fc3", backward_weight, LANES, T, 128, H);
    print_product(bench, "weight fc1", backward_weight, LANES, T, 64, 128);
    print_product(bench, "weight fc2", backward_weight, LANES, T, 2, 128);
    print_product(bench, "weight baseline", backward_weight, LANES, T, H, 1);
    print_stream(bench, "bias", backward_bias, F * T * rows * H);
    print_stream(bench, "relu_backward", relu_backward, 3 * F * T * rows * H);
    print_stream(bench, "retina", retina, rows * 64 * (1 + F));
    print_stream(bench, "draw", draw, rows * 2 * (T + 1) * F);
    print_stream(bench, "locate", locate, rows * (LOCATOR + 9) * F);
    print_stream(bench, "log_softmax", log_softmax, 2 * rows * CLASSES * F);
    print_stream(bench, "transpose core", transpose, 2 * F * 2 * H * H);
    if (bench->backend->packs) print_stream(bench, "pack core", pack, 1.5 * F * 2 * H * H);
    print_stream(bench, "tree_sum 8", tree_sum, 9 * F * PARAMETERS);
    print_stream(bench, "adam", adam, 7 * F * PARAMETERS);
}

int main(int argc, char **argv) {
    const int rows = argc > 1 ? atoi(argv[1]) : 16;
    const Precision precision = argc > 2 && strcmp(argv[2], "bf16") == 0 ? PRECISION_BF16 : PRECISION_FP32;
    if (rows < 1 || rows > IMAGES || argc > 2 + (precision == PRECISION_BF16)) {
        fprintf(stderr, "usage: kernel_cost [ROWS from 1 to %d [bf16]]\n", IMAGES);
        return RAM_USAGE;
    }
    Bench bench = {.span = {.batch = rows, .lanes = 1, .lane_count = 1, .samples = 1},
                   .retina = {8, 1, 2, SIDE, SIDE, 1, {0.1307f}, {0.3081f}}};
    const BackendOptions options = {.device = DEVICE_CPU, .threads = 1, .precision = precision};
    const Status status = backend_open(&options, &bench.backend);
    if (status_failed(&status)) {
        fprintf(stderr, "kernel_cost: %s\n", status.message);
        return status.code;
    }
    bench.kernels = bench.backend->kernels;
    DevFloats *operands[] = {&bench.a, &bench.b, &bench.c, &bench.d};
    for (int i = 0; i < 4; i++) *operands[i] = backend_zeros(bench.backend, 8 * PARAMETERS + T * 2 * H * IMAGES);
    bench.pictures.pixels.address = memory_new(IMAGES, SIDE * SIDE);
    bench.pictures.picture.address = memory_new(IMAGES, sizeof(int32_t));
    bench.pictures.sample.address = memory_new(IMAGES, sizeof(int32_t));
    for (int i = 0; i < IMAGES; i++) bench.pictures.picture.address[i] = i;
    printf("%s, one core, a lane of %d rows, %d glimpses\n", bench.backend->note, rows, T);
    print_all(&bench);
    for (int i = 0; i < 4; i++) bench.kernels->release(bench.backend, operands[i]->address);
    free(bench.pictures.pixels.address);
    free(bench.pictures.picture.address);
    free(bench.pictures.sample.address);
    backend_close(bench.backend);
    return 0;
}
