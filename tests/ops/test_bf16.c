/* Products with bf16 operands: each against a sum in double over the rounded operands, the rounding itself bit by bit,
 * the engine's gradient beside float32's, and the refusal where bf16 is not to be had. */
#include "backend/cpu/cpu.h"
#include "backend/cpu/cpu_amx.h"
#include "engine_run.h"
#include "guarded.h"
#include "random_case.h"

#include <libxsmm.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const int ROWS[] = {1, 7, 33, 257};
enum { ROW_COUNTS = sizeof ROWS / sizeof *ROWS, NARROW = 16 /* below, products stay float32 */ };

static Span one_lane(int64_t images) { return (Span){.batch = images, .lanes = 1, .lane_count = 1, .samples = 1}; }

/* --- rounding */

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The nearest bf16, ties to even; numbers below 2^-126 become zero. */
static uint32_t rounded_bits(float value) {
    const uint32_t bits = bits_of(value);
    if (isnan(value)) return bits >> 16 | 0x40;
    if (fabsf(value) < 0x1p-126f) return bits >> 31 << 15;
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

static double rounded(double value) { return (double)float_of(rounded_bits((float)value) << 16); }

/* Where bf16_pair_tiles places column c of a pair. */
static int64_t in_tiles(int64_t columns, int64_t pair, int64_t c) {
    const int64_t first = c - c % BF16_TILE, width = columns - first < BF16_TILE ? columns - first : BF16_TILE;
    return (pair - pair % BF16_TILE) * columns + first * BF16_TILE + pair % BF16_TILE * width + c - first;
}

static void check_half(const Bf16Pair *pairs, int64_t p, int64_t h, uint32_t expected) {
    assert_int_equal(pairs[p] >> 16 * h & 0xffff, expected);
}

/* `from` (rows, columns) in all four arrangements, completed to `step` pairs. */
static void check_arrangements(int64_t rows, int64_t columns, const float *from, int64_t stride, int64_t step) {
    const int64_t row_pairs = (bf16_pairs(rows) + step - 1) / step * step;
    const int64_t column_pairs = (bf16_pairs(columns) + step - 1) / step * step;
    const int64_t tiled_pairs = (row_pairs + BF16_TILE - 1) / BF16_TILE * BF16_TILE;
    const int64_t counts[] = {rows * column_pairs, row_pairs * columns, tiled_pairs * columns, columns * row_pairs};
    const Bf16Pair guard = 0xdeadbeef;
    Bf16Pair *to[4];
    for (int i = 0; i < 4; i++) {
        to[i] = malloc((size_t)(counts[i] + 1) * sizeof guard);
        for (int64_t j = 0; j <= counts[i]; j++) to[i][j] = guard;
    }
    bf16_convert_rows(rows, columns, from, stride, to[0], column_pairs);
    bf16_pair_rows(0, row_pairs / 2, rows, columns, from, stride, to[1]);
    bf16_pair_rows(row_pairs / 2, row_pairs, rows, columns, from, stride, to[1]);
    bf16_pair_tiles(0, row_pairs / 2, rows, columns, from, stride, to[2]);
    bf16_pair_tiles(row_pairs / 2, row_pairs, rows, columns, from, stride, to[2]);
    bf16_transpose(rows, columns, from, stride, to[3], row_pairs);
    for (int64_t r = 0; r < 2 * row_pairs; r++)
        for (int64_t c = 0; c < 2 * column_pairs; c++) {
            const uint32_t expected = r < rows && c < columns ? rounded_bits(from[r * stride + c]) : 0;
            if (r < rows) check_half(to[0], r * column_pairs + c / 2, c % 2, expected);
            if (c >= columns) continue;
            check_half(to[1], r / 2 * columns + c, r % 2, expected);
            check_half(to[2], in_tiles(columns, r / 2, c), r % 2, expected);
            check_half(to[3], c * row_pairs + r / 2, r % 2, expected);
        }
    for (int64_t pair = row_pairs; pair < tiled_pairs; pair++)
        for (int64_t c = 0; c < columns; c++) assert_int_equal(to[2][in_tiles(columns, pair, c)], guard);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(to[i][counts[i]], guard);
        free(to[i]);
    }
}

static void test_rounding(void **state) {
    (void)state;
    static const uint32_t special[] = {0x00000000,
                                       0x80000000,
                                       0x3f800000,
                                       0x3f808000 /* tie, to even below */,
                                       0x3f818000 /* tie, to even above */,
                                       0x3f808001,
                                       0x3f807fff,
                                       0x7f7fffff /* becomes infinite */,
                                       0x7f800000,
                                       0xff800000,
                                       0x7f800001 /* NaN whose */,
                                       0xff80ffff /* upper half alone would be infinite */,
                                       0x7fc00000,
                                       0x00000001,
                                       0x807fffff,
                                       0x00800000};
    enum { SPECIAL = sizeof special / sizeof *special, SIDE = 70 };
    float values[SIDE * SIDE];
    Dice dice = {5};
    for (int i = 0; i < SIDE * SIDE; i++)
        values[i] = float_of(i % 5 ? (uint32_t)dice_bits(&dice) : special[i / 5 % SPECIAL]);
    for (int64_t rows = 1; rows <= SIDE; rows += rows < 35 ? 1 : 7)
        for (int64_t columns = 1; columns <= SIDE; columns += columns < 35 ? 1 : 7)
            for (int64_t step = 1; step <= BF16_TILE; step += BF16_TILE - 1)
                check_arrangements(rows, columns, values, SIDE, step);
}

/* --- products */

typedef struct {
    Guarded plain, packed;
} PackedWeight;

/* No element beyond rows * columns of the packed form is written. */
static PackedWeight packed_random(Backend *backend, int rows, int columns, Dice *dice) {
    PackedWeight w = {guarded_random(rows, columns, columns, dice), guarded_fill(rows, columns, columns, NAN)};
    const Packing work = {{guarded_floats(&w.plain), guarded_floats(&w.packed)}, rows, columns};
    backend->kernels->pack(backend, 1, &work);
    return w;
}

static Weight weight_of(const PackedWeight *w) {
    return (Weight){guarded_floats(&w->plain), guarded_floats(&w->packed)};
}

static void packed_close(PackedWeight *w) {
    guarded_close(&w->plain, "plain weight");
    guarded_close(&w->packed, "packed weight");
}

typedef struct {
    double sum, size; /* of the terms; of their absolute values */
    bool narrow;
} Expected;

static void add_product(Expected *sum, double a, double b) {
    const double term = sum->narrow ? a * b : rounded(a) * rounded(b);
    sum->sum += term;
    sum->size += fabs(term);
}

static void near_sum(double got, const Expected *sum, const char *what) {
    near(got, sum->sum, 1e-5 * sum->size + 1e-7, what);
}

/* The weight has `more` rows beyond `in`, which a product with the first `in` must not see. */
static void check_linear(Backend *backend, int rows, int glimpses, int in, int more, int out, Activation activation) {
    Dice dice = {(uint64_t)(rows * 31 + in)};
    const Span span = one_lane(rows);
    const int all = rows * glimpses;
    Guarded x = guarded_random(all, in, in + 3, &dice), bias = guarded_random(1, out, out, &dice);
    Guarded y = guarded_new(all, out, out + 5);
    PackedWeight weight = packed_random(backend, in + more, out, &dice);
    backend->kernels->linear(backend, &span, glimpses, in, out, guarded_matrix(&x), weight_of(&weight),
                             guarded_floats(&bias), activation, guarded_matrix(&y));
    for (int r = 0; r < all; r++)
        for (int o = 0; o < out; o++) {
            Expected sum = {.narrow = in < NARROW || out < NARROW};
            for (int i = 0; i < in; i++) add_product(&sum, guarded_value(&x, r, i), guarded_value(&weight.plain, i, o));
            sum.sum += guarded_value(&bias, 0, o);
            if (activation == ACTIVATION_RELU) sum.sum = fmax(sum.sum, 0);
            if (activation == ACTIVATION_TANH) sum.sum = tanh(sum.sum);
            near_sum(guarded_value(&y, r, o), &sum, "linear");
        }
    guarded_close(&x, "x");
    guarded_close(&bias, "bias");
    guarded_close(&y, "y");
    packed_close(&weight);
}

static void check_backward(Backend *backend, int rows, int glimpses, int in, int out, bool accumulate) {
    Dice dice = {(uint64_t)(rows * 37 + out)};
    const Span span = one_lane(rows);
    const Kernels *kernels = backend->kernels;
    const int all = rows * glimpses;
    Guarded x = guarded_random(all, in, in + 1, &dice), dy = guarded_random(all, out, out + 2, &dice);
    Guarded dx = accumulate ? guarded_fill(all, in, in + 7, 0.5f) : guarded_new(all, in, in + 7);
    Guarded dweight = guarded_new(out, in, in);
    PackedWeight weight = packed_random(backend, out, in, &dice);
    kernels->linear_backward_data(backend, &span, glimpses, in, out, guarded_matrix(&dy), weight_of(&weight),
                                  accumulate, guarded_matrix(&dx));
    const Matrix inputs = guarded_matrix(&x), outputs = guarded_matrix(&dy);
    kernels->linear_backward_weight(backend, &span, glimpses, in, out, &inputs, &outputs, guarded_floats(&dweight));
    for (int r = 0; r < all; r++)
        for (int i = 0; i < in; i++) {
            Expected sum = {.narrow = in < NARROW || out < NARROW};
            for (int o = 0; o < out; o++)
                add_product(&sum, guarded_value(&dy, r, o), guarded_value(&weight.plain, o, i));
            sum.sum += accumulate ? 0.5 : 0;
            near_sum(guarded_value(&dx, r, i), &sum, "dx");
        }
    for (int o = 0; o < out; o++)
        for (int i = 0; i < in; i++) {
            Expected sum = {.narrow = in < NARROW || out < NARROW};
            for (int r = 0; r < all; r++) add_product(&sum, guarded_value(&dy, r, o), guarded_value(&x, r, i));
            near_sum(guarded_value(&dweight, o, i), &sum, "dweight");
        }
    Guarded *all_of_them[] = {&x, &dy, &dx, &dweight};
    for (int i = 0; i < 4; i++) guarded_close(all_of_them[i], "backward");
    packed_close(&weight);
}

static void test_products(void **state) {
    static const int sizes[][2] = {{16, 16},  {17, 21},   {33, 64}, {128, 35}, {65, 129},
                                   {600, 19}, {1500, 16}, {2, 128}, {128, 2},  {15, 40}};
    for (int i = 0; i < ROW_COUNTS; i++)
        for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) {
            const int in = sizes[j][0], out = sizes[j][1];
            check_linear(*state, ROWS[i], 1, in, 0, out, ACTIVATION_NONE);
            check_linear(*state, ROWS[i], 2, in, in, out, ACTIVATION_RELU);
            check_linear(*state, ROWS[i], 1, in, 1, out, ACTIVATION_TANH);
            check_backward(*state, ROWS[i], 1, in, out, false);
            check_backward(*state, ROWS[i], 2, in, out, true);
        }
}

/* Where AMX computes, LIBXSMM's product is right too. */
static void test_libxsmm(void **state) {
    CpuBackend *cpu = *state;
    const Bf16Form *chosen = cpu->bf16;
    if (chosen == &BF16_LIBXSMM) skip();
    cpu->bf16 = &BF16_LIBXSMM;
    test_products(state);
    cpu->bf16 = chosen;
}

/* Bits of a sum by AMX do not depend on the size of the product that it is part of, and none are written beside it. */
static void test_amx_parts(void **state) {
    (void)state;
    enum { M = 115, N = 71, K = 48, GAP = 3, C_STRIDE = M + GAP };
    float values[2 * K * M], whole[N * C_STRIDE], part[N * C_STRIDE];
    Bf16Pair a[K * M], b[N * K];
    if (!cpu_amx_request()) skip();
    Dice dice = {9};
    for (int i = 0; i < 2 * K * M; i++) values[i] = (float)dice_normal(&dice);
    BF16_AMX.pair_rows(0, K, 2 * K, M, values, M, a);
    bf16_convert_rows(N, 2 * K, values, 2 * K, b, K);
    BF16_AMX.product(M, N, K, a, M, b, K, false, whole, C_STRIDE);
    for (int column = 0; column < M; column += BF16_TILE)
        for (int m = M - column; m > 0; m = (m - 1) / BF16_TILE * BF16_TILE)
            for (int n = 1; n <= N; n += n < 33 ? 1 : 19)
                for (int accumulate = 0; accumulate < 2; accumulate++) {
                    const int row = N - n;
                    for (int i = 0; i < N * C_STRIDE; i++) part[i] = accumulate ? 0 : NAN;
                    BF16_AMX.product(m, n, K, a + column * BF16_AMX.column_step, M, b + row * K, K, accumulate,
                                     part + 1, C_STRIDE);
                    for (int r = 0; r < N; r++)
                        for (int c = 0; c < C_STRIDE; c++) {
                            const float value = part[r * C_STRIDE + c];
                            if (r < n && c > 0 && c <= m)
                                assert_int_equal(bits_of(value), bits_of(whole[(row + r) * C_STRIDE + column + c - 1]));
                            else
                                assert_true(accumulate ? value == 0 : isnan(value));
                        }
                }
}

static void test_no_rows(void **state) {
    Backend *backend = *state;
    const Matrix nothing = matrix((DevFloats){NULL}, 1);
    const Span span = one_lane(0);
    Guarded dweight = guarded_new(17, 19, 19);
    backend->kernels->linear_backward_weight(backend, &span, 3, 19, 17, &nothing, &nothing, guarded_floats(&dweight));
    backend->kernels->linear(backend, &span, 1, 19, 17, nothing, (Weight){0}, (DevFloats){NULL}, ACTIVATION_RELU,
                             nothing);
    backend->kernels->linear_backward_data(backend, &span, 1, 19, 17, nothing, (Weight){0}, false, nothing);
    for (int i = 0; i < 17 * 19; i++) assert_float_equal(dweight.at[i], 0, 0);
    guarded_close(&dweight, "dweight");
}

/* A NaN or an infinity among the inputs reaches the outputs of its row, and no other's. */
static void test_extremes(void **state) {
    Backend *backend = *state;
    enum { N = 7, IN = 19, OUT = 33 };
    const Span span = one_lane(N);
    const float extremes[] = {NAN, INFINITY, -INFINITY, 3.4e38f /* rounds to infinity */};
    for (int i = 0; i < 4; i++) {
        Dice dice = {3};
        Guarded x = guarded_random(N, IN, IN, &dice), bias = guarded_fill(1, OUT, OUT, 1.0f);
        Guarded y = guarded_new(N, OUT, OUT), dweight = guarded_new(OUT, IN, IN);
        PackedWeight weight = packed_random(backend, IN, OUT, &dice);
        x.at[4 * IN + IN - 1] = extremes[i];
        backend->kernels->linear(backend, &span, 1, IN, OUT, guarded_matrix(&x), weight_of(&weight),
                                 guarded_floats(&bias), ACTIVATION_NONE, guarded_matrix(&y));
        const Matrix inputs = guarded_matrix(&x), outputs = guarded_matrix(&y);
        backend->kernels->linear_backward_weight(backend, &span, 1, IN, OUT, &inputs, &outputs,
                                                 guarded_floats(&dweight));
        for (int r = 0; r < N; r++)
            for (int o = 0; o < OUT; o++) {
                const float value = y.at[r * OUT + o];
                assert_true(r == 4 ? (i == 0 ? isnan(value) : isinf(value)) : isfinite(value));
            }
        assert_false(isfinite(dweight.at[0]));
        Guarded *all_of_them[] = {&x, &bias, &y, &dweight};
        for (int j = 0; j < 4; j++) guarded_close(all_of_them[j], "extremes");
        packed_close(&weight);
    }
}

/* --- the engine */

/* |a - b| / |b| over a field. */
static double field_distance(const Field *field, const float *a, const float *b) {
    double difference = 0, size = 0;
    for (size_t i = field->offset; i < field->offset + field->count; i++) {
        difference += pow((double)a[i] - (double)b[i], 2);
        size += pow((double)b[i], 2);
    }
    return size > 0 ? sqrt(difference / size) : difference > 0 ? INFINITY : 0;
}

/* A case in which nothing jumps, so that roundings lead to small differences: the ReLUs' arguments are far from zero
 * (in one that is not, bf16 turns some of them over and gradients move by a tenth), and the last layer of the locator
 * is zero (a location that differs by a rounding may fall on the next pixel). */
static void smooth(PlainCase *c) {
    const Parameters *p = &c->parameters;
    for (int i = 0; i < p->layout.fields; i++) {
        const Field *field = &p->layout.field[i];
        for (size_t j = field->offset; j < field->offset + field->count; j++)
            c->values[j] = field->dimensions == 1    ? c->values[j] + 1
                           : i == p->location.weight ? 0
                                                     : 0.15 * c->values[j];
    }
}

static void check_gradient(Core core, Locator locator) {
    PlainCase c = {.dims = {.glimpses = 4,
                            .retina = {.patch = 6,
                                       .scales = 2,
                                       .scale = 2,
                                       .height = 17,
                                       .width = 13,
                                       .channels = 1,
                                       .mean = {0.2f},
                                       .stddev = {0.3f}},
                            .classes = 10,
                            .hidden = 75,
                            .glimpse_hidden = 33,
                            .location_hidden = 20,
                            .locator_hidden = 24,
                            .core = core,
                            .locator = locator,
                            .sigma = 0.2f},
                   .batch = 41,
                   .samples = 1,
                   .reinforce_weight = 0.1,
                   .glimpse_nll = 0.2,
                   .locator_gradient = true};
    EngineResult exact, result;
    random_case_open(&c, 11);
    smooth(&c);
    engine_run(&c, &(EngineOptions){.device = DEVICE_CPU, .lanes = 4, .threads = 1}, &exact, NULL);
    engine_run(&c, &(EngineOptions){.device = DEVICE_CPU, .lanes = 4, .threads = 2, .precision = PRECISION_BF16},
               &result, NULL);
    assert_float_equal(result.sums[SUM_REWARD], exact.sums[SUM_REWARD], 0);
    near(result.sums[SUM_NLL] / exact.sums[SUM_NLL], 1, 0.01, "nll");
    for (int i = 0; i < c.parameters.layout.fields; i++) {
        const Field *field = &c.parameters.layout.field[i];
        const double distance = field_distance(field, result.gradient, exact.gradient);
        if (!(distance < 0.01)) fail_msg("gradient of %s: %g away", field->name, distance);
    }
    const Field *used = &c.parameters.layout.field[c.parameters.recurrent.weight];
    assert_true(field_distance(used, result.gradient, exact.gradient) > 1e-4); /* it was bf16 */
    engine_result_close(&exact);
    engine_result_close(&result);
    plain_case_close(&c);
}

static void test_gradient(void **state) {
    (void)state;
    check_gradient(CORE_RNN, LOCATOR_MLP);
    check_gradient(CORE_LSTM, LOCATOR_LINEAR);
}

/* --- where bf16 is not to be had */

static void test_refusal(void **state) {
    (void)state;
    libxsmm_init();
    const int target = libxsmm_get_target_archid();
    libxsmm_set_target_archid(LIBXSMM_X86_AVX512_CORE);
    Backend *backend = (Backend *)&target;
    const Status status =
        backend_open(&(BackendOptions){.device = DEVICE_CPU, .threads = 1, .precision = PRECISION_BF16}, &backend);
    assert_int_equal(status.code, RAM_UNAVAILABLE);
    assert_null(backend);
    assert_non_null(strstr(status.message, "bf16"));
    assert_non_null(strstr(status.message, "train.precision=fp32"));
    backend_close(backend);
    libxsmm_set_target_archid(target);
}

static int bf16_set_up(void **state) {
    const BackendOptions options = {.device = DEVICE_CPU, .threads = 3, .precision = PRECISION_BF16};
    Backend *backend;
    const Status status = backend_open(&options, &backend);
    *state = backend;
    return status_failed(&status);
}

int main(void) {
    const struct CMUnitTest anywhere[] = {cmocka_unit_test(test_refusal)};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounding), cmocka_unit_test(test_products), cmocka_unit_test(test_amx_parts),
        cmocka_unit_test(test_no_rows),  cmocka_unit_test(test_extremes), cmocka_unit_test(test_gradient),
        cmocka_unit_test(test_libxsmm), /* last: where it fails it leaves its product behind */
    };
    const int failures = cmocka_run_group_tests(anywhere, NULL, NULL);
    if (!precision_is_here(DEVICE_CPU, PRECISION_BF16)) return failures;
    return failures + cmocka_run_group_tests(tests, bf16_set_up, backend_tear_down);
}
