/* Kernels over whole parameter vectors: the lane tree, layouts of weights, norms, optimisers and averages against plain
 * formulas in double, with several threads and guards around every output. */
#include "backend/element/update.h"
#include "guarded.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const int64_t COUNTS[] = {1, 16, 511, 513, 4097, 20000};
enum { COUNT_KINDS = sizeof COUNTS / sizeof *COUNTS };

/* --- the lane tree */

/* The sum over lanes [first, first + count), written out as DESIGN 4 has it. */
static float tree(const float *lane, int first, int count) {
    if (count == 1) return lane[first];
    return tree(lane, first, count / 2) + tree(lane, first + count / 2, count / 2);
}

/* Subtrees cover a run of lanes without gaps, each a power of two that divides its first lane, none mergeable. */
static void test_nodes(void **state) {
    (void)state;
    LaneNode node[LANE_NODES_MOST];
    for (int lanes = 1; lanes <= 64; lanes *= 2)
        for (int first = 0; first <= lanes; first++)
            for (int count = 0; first + count <= lanes; count++) {
                const int nodes = lane_tree_nodes(lanes, first, count, node);
                int next = first;
                for (int i = 0; i < nodes; i++) {
                    assert_int_equal(node[i].first, next);
                    assert_int_equal(node[i].count & (node[i].count - 1), 0);
                    assert_int_equal(node[i].first % node[i].count, 0);
                    if (i > 0 && node[i].count == node[i - 1].count)
                        assert_int_equal(node[i - 1].first % (2 * node[i].count), node[i].count);
                    next += node[i].count;
                }
                assert_int_equal(next, first + count);
            }
    assert_int_equal(lane_tree_nodes(LANES_MOST, 1, LANES_MOST - 2, node), 18); /* the most there can be */
}

/* Any number of ranks, each summing the subtrees of its own lanes first, gives the bits of the one tree. */
static void test_any_ranks(void **state) {
    (void)state;
    Dice dice = {5};
    for (int lanes = 1; lanes <= 32; lanes *= 2)
        for (int ranks = 1; ranks <= lanes; ranks++) {
            float value[32], root[32 * 2], sum;
            const float *vector[32], *roots[64];
            LaneNode all[64], own[LANE_NODES_MOST], leaf[32];
            int total = 0;
            for (int i = 0; i < lanes; i++) value[i] = (float)(dice_normal(&dice) * pow(10, 4 * dice_signed(&dice)));
            for (int rank = 0; rank < ranks; rank++) {
                const LaneNode run = lane_tree_rank(lanes, rank, ranks);
                const int nodes = lane_tree_nodes(lanes, run.first, run.count, own);
                for (int i = 0; i < nodes; i++, total++) {
                    for (int j = 0; j < own[i].count; j++) {
                        leaf[j] = (LaneNode){own[i].first + j, 1};
                        vector[j] = &value[own[i].first + j];
                    }
                    lane_tree_sum(own[i].count, leaf, vector, 1, &root[total]);
                    roots[total] = &root[total];
                    all[total] = own[i];
                }
            }
            lane_tree_sum(total, all, roots, 1, &sum);
            const float expected = tree(value, 0, lanes);
            assert_memory_equal(&sum, &expected, sizeof sum);
        }
}

static void test_doubles(void **state) {
    (void)state;
    enum { LANES = 8, STRIDE = 5 };
    double values[LANES * STRIDE], out[2] = {0};
    LaneNode node[LANES];
    for (int lane = 0; lane < LANES; lane++) {
        node[lane] = (LaneNode){lane, 1};
        for (int i = 0; i < STRIDE; i++) values[lane * STRIDE + i] = pow(10, lane) + 0.1 * i;
    }
    lane_tree_sum_double(LANES, node, values, STRIDE, 2, out);
    near(out[0], 11111111, 0, "sum");
    near(out[1], 11111111.8, 1e-8, "sum");
}

/* Whole vectors, in blocks and by several threads; the sum may lie in one of them, whichever. */
static void test_tree_sum(void **state) {
    Backend *backend = *state;
    enum { LANES = 8 };
    Dice dice = {8};
    for (int k = 0; k < COUNT_KINDS; k++)
        for (int into = -1; into < LANES; into++) {
            const int64_t count = COUNTS[k];
            Guarded vectors[LANES], expected = guarded_new(1, count, count), out = guarded_fill(1, count, count, 0.0f);
            DevFloats vector[LANES];
            LaneNode node[LANES];
            for (int lane = 0; lane < LANES; lane++) {
                vectors[lane] = guarded_random(1, count, count, &dice);
                vector[lane] = guarded_floats(&vectors[lane]);
                node[lane] = (LaneNode){lane, 1};
            }
            for (int64_t i = 0; i < count; i++) {
                float lane[LANES];
                for (int j = 0; j < LANES; j++) lane[j] = vectors[j].at[i];
                expected.at[i] = tree(lane, 0, LANES);
            }
            const DevFloats target = into < 0 ? guarded_floats(&out) : vector[into];
            backend->kernels->tree_sum(backend, LANES, node, vector, count, target);
            assert_memory_equal(target.address, expected.at, (size_t)count * sizeof(float));
            for (int lane = 0; lane < LANES; lane++) guarded_close(&vectors[lane], "vector");
            guarded_close(&expected, "expected");
            guarded_close(&out, "out");
        }
}

/* --- weights for the forward pass */

static void test_transpose(void **state) {
    Backend *backend = *state;
    static const int shape[][2] = {{1, 1}, {16, 16}, {17, 1}, {1, 33}, {33, 65}, {100, 7}, {128, 64}};
    enum { SHAPES = sizeof shape / sizeof *shape };
    Guarded source[SHAPES], target[SHAPES];
    Transpose work[SHAPES];
    Dice dice = {2};
    for (int i = 0; i < SHAPES; i++) {
        const int rows = shape[i][0], columns = shape[i][1];
        source[i] = guarded_random(rows, columns, columns, &dice);
        target[i] = guarded_new(columns, rows, rows + i);
        work[i] = (Transpose){guarded_floats(&source[i]), guarded_floats(&target[i]), rows, columns, rows + i};
    }
    backend->kernels->transpose(backend, SHAPES, work);
    for (int i = 0; i < SHAPES; i++) {
        for (int r = 0; r < shape[i][0]; r++)
            for (int c = 0; c < shape[i][1]; c++)
                assert_true(guarded_value(&source[i], r, c) == guarded_value(&target[i], c, r));
        guarded_close(&source[i], "source");
        guarded_close(&target[i], "target");
    }
}

static void test_add(void **state) {
    Backend *backend = *state;
    Dice dice = {4};
    Guarded a = guarded_random(1, 33, 33, &dice), b = guarded_random(1, 33, 33, &dice), out = guarded_new(1, 33, 33);
    backend->kernels->add(backend, 33, guarded_floats(&a), guarded_floats(&b), guarded_floats(&out));
    for (int i = 0; i < 33; i++) assert_true(out.at[i] == a.at[i] + b.at[i]);
    backend->kernels->add(backend, 33, guarded_floats(&a), guarded_floats(&b), guarded_floats(&a));
    assert_memory_equal(a.at, out.at, 33 * sizeof(float));
    guarded_close(&a, "a");
    guarded_close(&b, "b");
    guarded_close(&out, "out");
}

/* --- norms and optimisers */

static void test_sum_squares(void **state) {
    Backend *backend = *state, *single;
    Status status = backend_open(&(BackendOptions){.device = DEVICE_CPU, .threads = 1}, &single);
    assert_int_equal(status.code, RAM_OK);
    Dice dice = {6};
    for (int k = 0; k < COUNT_KINDS; k++) {
        Guarded values = guarded_random(1, COUNTS[k], COUNTS[k], &dice);
        double sum = 0;
        for (int64_t i = 0; i < COUNTS[k]; i++) sum += (double)values.at[i] * (double)values.at[i];
        double got = NAN, alone = NAN;
        backend->kernels->sum_squares(backend, COUNTS[k], guarded_floats(&values), (DevDoubles){&got});
        near(got, sum, 1e-12 * sum, "sum of squares");
        single->kernels->sum_squares(single, COUNTS[k], guarded_floats(&values), (DevDoubles){&alone});
        near(alone, got, 0, "with one thread");
        values.at[COUNTS[k] - 1] = NAN;
        backend->kernels->sum_squares(backend, COUNTS[k], guarded_floats(&values), (DevDoubles){&got});
        assert_true(isnan(got));
        guarded_close(&values, "values");
    }
    backend_close(single);
}

/* A gradient of norm 1 that is multiplied by `scale`. */
static double one = 1;
static const DevDoubles ONE = {&one};
static Update scaled(double scale) { return (Update){.clip = scale < 1 ? scale : 0}; }

/* Adam of Kingma and Ba 2015, algorithm 1, with the decoupled decay of Loshchilov and Hutter 2019. */
static void check_adam(Backend *backend, int64_t count, double weight_decay, double scale) {
    Dice dice = {(uint64_t)count};
    Guarded p = guarded_random(1, count, count, &dice), m = guarded_fill(1, count, count, 0.0f);
    Guarded v = guarded_fill(1, count, count, 0.0f);
    double *plain = malloc((size_t)count * 3 * sizeof *plain), *first = plain + count, *second = first + count;
    for (int64_t i = 0; i < count; i++) {
        plain[i] = (double)p.at[i];
        first[i] = second[i] = 0;
    }
    for (int step = 1; step <= 20; step++) {
        Guarded g = guarded_random(1, count, count, &dice);
        if (step % 3 == 0) g.at[0] = 0;
        const Adam adam = {0.01, 0.9, 0.999, 1e-8, weight_decay, step};
        Update update = scaled(scale);
        update.adam = update_adam_terms(&adam);
        backend->kernels->adam(backend, (DevUpdate){&update}, ONE, count, guarded_floats(&p), guarded_floats(&g),
                               guarded_floats(&m), guarded_floats(&v));
        for (int64_t i = 0; i < count; i++) {
            const double slope = scale * (double)g.at[i];
            first[i] = 0.9 * first[i] + 0.1 * slope;
            second[i] = 0.999 * second[i] + 0.001 * slope * slope;
            const double m_hat = first[i] / (1 - pow(0.9, step)), v_hat = second[i] / (1 - pow(0.999, step));
            plain[i] = plain[i] * (1 - 0.01 * weight_decay) - 0.01 * m_hat / (sqrt(v_hat) + 1e-8);
            near((double)p.at[i], plain[i], 3e-6, "adam");
        }
        guarded_close(&g, "gradient");
    }
    free(plain);
    guarded_close(&p, "parameters");
    guarded_close(&m, "m");
    guarded_close(&v, "v");
}

static void test_adam(void **state) {
    for (int k = 0; k < COUNT_KINDS; k++) {
        check_adam(*state, COUNTS[k], 0, 1);
        check_adam(*state, COUNTS[k], 0.1, 0.25);
    }
}

/* Moments whose gradient stays 0 reach 0: subnormal numbers, which never would, make a CPU slow. */
static void test_moments_end(void **state) {
    Backend *backend = *state;
    float p = 1, g = 1, m = 0, v = 0, velocity = 0;
    const Sgd sgd = {.lr = 0.1, .momentum = 0.9};
    for (int64_t step = 1; step <= 1000; step++) {
        const Adam adam = {0.01, 0.9, 0.9, 1e-8, 0, step};
        Update update = {.adam = update_adam_terms(&adam), .sgd = update_sgd_terms(&sgd)};
        backend->kernels->adam(backend, (DevUpdate){&update}, ONE, 1, (DevFloats){&p}, (DevFloats){&g}, (DevFloats){&m},
                               (DevFloats){&v});
        backend->kernels->sgd(backend, (DevUpdate){&update}, ONE, 1, (DevFloats){&p}, (DevFloats){&g},
                              (DevFloats){&velocity});
        if (step == 1) assert_true(m > 0 && v > 0 && velocity > 0);
        g = 0;
    }
    assert_true(m == 0 && v == 0 && velocity == 0 && isfinite(p));
    g = 1;
    const Adam adam = {0.01, 0.9, 0.9, 1e-8, 0, 1001};
    Update update = {.adam = update_adam_terms(&adam)};
    m = NAN;
    backend->kernels->adam(backend, (DevUpdate){&update}, ONE, 1, (DevFloats){&p}, (DevFloats){&g}, (DevFloats){&m},
                           (DevFloats){&v});
    assert_true(isnan(m));
}

/* Padding holds zeros and stays so: the parameters, gradient and moments of nothing. */
static void test_padding(void **state) {
    Backend *backend = *state;
    float zeros[4][8] = {{0}};
    const float nothing[8] = {0};
    const Adam adam = {0.01, 0.9, 0.999, 1e-8, 0.1, 1};
    Update update = {.adam = update_adam_terms(&adam)};
    backend->kernels->adam(backend, (DevUpdate){&update}, ONE, 8, (DevFloats){zeros[0]}, (DevFloats){zeros[1]},
                           (DevFloats){zeros[2]}, (DevFloats){zeros[3]});
    for (int i = 0; i < 4; i++) assert_memory_equal(zeros[i], nothing, sizeof nothing);
}

/* The norm is brought down to `clip`, never up. */
static void test_clipping(void **state) {
    Backend *backend = *state;
    const Sgd sgd = {.lr = 1};
    static const double CLIP[] = {0, 0.5, 2, 8}, SCALE[] = {1, 0.125, 0.5, 1};
    for (int i = 0; i < 4; i++) {
        float parameter = 0, gradient = 4, velocity = 0;
        double squares = 16;
        Update update = {.clip = CLIP[i], .sgd = update_sgd_terms(&sgd)};
        backend->kernels->sgd(backend, (DevUpdate){&update}, (DevDoubles){&squares}, 1, (DevFloats){&parameter},
                              (DevFloats){&gradient}, (DevFloats){&velocity});
        near((double)parameter, -4 * SCALE[i], 1e-6, "clipped");
    }
}

/* Whatever the elements are: an update by a gradient that is not finite is none. */
static void test_not_finite(void **state) {
    Backend *backend = *state;
    const Adam adam = {0.01, 0.9, 0.999, 1e-8, 0.1, 1};
    const Sgd sgd = {.lr = 1};
    const double nothing[] = {NAN, INFINITY};
    for (int i = 0; i < 2; i++) {
        float a = 1, b = 2, c = 3, g = 4;
        double squares = nothing[i];
        const DevDoubles at = {&squares};
        Update update = {
            .adam = update_adam_terms(&adam), .sgd = update_sgd_terms(&sgd), .average = update_average_terms(0.5)};
        backend->kernels->adam(backend, (DevUpdate){&update}, at, 1, (DevFloats){&a}, (DevFloats){&g}, (DevFloats){&b},
                               (DevFloats){&c});
        backend->kernels->sgd(backend, (DevUpdate){&update}, at, 1, (DevFloats){&a}, (DevFloats){&g}, (DevFloats){&b});
        backend->kernels->average(backend, (DevUpdate){&update}, at, 1, (DevFloats){&a}, (DevFloats){&b});
        assert_true(a == 1 && b == 2 && c == 3);
    }
}

static void check_sgd(Backend *backend, int64_t count, double momentum, bool nesterov, double weight_decay) {
    Dice dice = {(uint64_t)count + 1};
    Guarded p = guarded_random(1, count, count, &dice), velocity = guarded_fill(1, count, count, 0.0f);
    double *plain = malloc((size_t)count * 2 * sizeof *plain), *speed = plain + count;
    for (int64_t i = 0; i < count; i++) {
        plain[i] = (double)p.at[i];
        speed[i] = 0;
    }
    for (int step = 1; step <= 10; step++) {
        Guarded g = guarded_random(1, count, count, &dice);
        const Sgd sgd = {0.02, momentum, weight_decay, nesterov};
        Update update = scaled(0.5);
        update.sgd = update_sgd_terms(&sgd);
        backend->kernels->sgd(backend, (DevUpdate){&update}, ONE, count, guarded_floats(&p), guarded_floats(&g),
                              guarded_floats(&velocity));
        for (int64_t i = 0; i < count; i++) {
            const double slope = 0.5 * (double)g.at[i];
            speed[i] = momentum * speed[i] + slope;
            const double move = nesterov ? slope + momentum * speed[i] : speed[i];
            plain[i] = plain[i] * (1 - 0.02 * weight_decay) - 0.02 * move;
            near((double)p.at[i], plain[i], 2e-6, "sgd");
        }
        guarded_close(&g, "gradient");
    }
    free(plain);
    guarded_close(&p, "parameters");
    guarded_close(&velocity, "velocity");
}

static void test_sgd(void **state) {
    for (int k = 0; k < COUNT_KINDS; k++) {
        check_sgd(*state, COUNTS[k], 0, false, 0);
        check_sgd(*state, COUNTS[k], 0.9, false, 0.1);
        check_sgd(*state, COUNTS[k], 0.9, true, 0.1);
    }
}

static void test_average(void **state) {
    Backend *backend = *state;
    Dice dice = {12};
    for (int k = 0; k < COUNT_KINDS; k++) {
        const int64_t count = COUNTS[k];
        Guarded average = guarded_random(1, count, count, &dice), values = guarded_random(1, count, count, &dice);
        double *before = malloc((size_t)count * sizeof *before);
        for (int64_t i = 0; i < count; i++) before[i] = (double)average.at[i];
        Update update = {.average = update_average_terms(0.75)};
        backend->kernels->average(backend, (DevUpdate){&update}, ONE, count, guarded_floats(&average),
                                  guarded_floats(&values));
        for (int64_t i = 0; i < count; i++)
            near((double)average.at[i], 0.75 * before[i] + 0.25 * (double)values.at[i], 1e-6, "average");
        free(before);
        guarded_close(&average, "average");
        guarded_close(&values, "values");
    }
}

/* A step's sums: rows laid out, added up, and back. */
static void test_sums(void **state) {
    Backend *backend = *state;
    enum { ROWS = 5, COLUMNS = 8 };
    double row[COLUMNS], rows[ROWS * COLUMNS + 1], wide[COLUMNS + 1] = {0};
    float sum[COLUMNS + 1] = {0};
    for (int c = 0; c < COLUMNS; c++) row[c] = 0.1 * c;
    rows[ROWS * COLUMNS] = wide[COLUMNS] = 7;
    sum[COLUMNS] = 7;
    backend->kernels->repeat_row(backend, ROWS, COLUMNS, (DevDoubles){row}, (DevDoubles){rows});
    for (int i = 0; i < ROWS * COLUMNS; i++) assert_true(rows[i] == row[i % COLUMNS]);
    rows[COLUMNS] = 1e8; /* is added as a double: the others count */
    rows[2 * COLUMNS] = 3;
    backend->kernels->sum_rows(backend, ROWS, COLUMNS, (DevDoubles){rows}, (DevFloats){sum});
    assert_true(sum[0] == (float)(1e8 + 3));
    for (int c = 1; c < COLUMNS; c++) near((double)sum[c], ROWS * row[c], 1e-6, "sum of rows");
    backend->kernels->widen(backend, COLUMNS, (DevFloats){sum}, (DevDoubles){wide});
    for (int c = 0; c < COLUMNS; c++) assert_true(wide[c] == (double)sum[c]);
    assert_true(rows[ROWS * COLUMNS] == 7 && wide[COLUMNS] == 7 && sum[COLUMNS] == 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes),       cmocka_unit_test(test_any_ranks),   cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_tree_sum),    cmocka_unit_test(test_transpose),   cmocka_unit_test(test_add),
        cmocka_unit_test(test_adam),        cmocka_unit_test(test_moments_end), cmocka_unit_test(test_padding),
        cmocka_unit_test(test_sum_squares), cmocka_unit_test(test_sgd),         cmocka_unit_test(test_average),
        cmocka_unit_test(test_clipping),    cmocka_unit_test(test_sums),        cmocka_unit_test(test_not_finite),
    };
    return cmocka_run_group_tests(tests, backend_set_up, backend_tear_down);
}
