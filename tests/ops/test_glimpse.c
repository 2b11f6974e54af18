/* Where RAM looks and what it sees: Philox against Random123's known answers, the draws, the location policies, the
 * REINFORCE terms, and the retina at the corners. */
#include "guarded.h"
#include "backend/element/policy.h"
#include "base/philox.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Random123 1.14, tests/kat_vectors: philox 4x32 with 10 rounds. */
static void test_known_answers(void **state) {
    (void)state;
    static const struct {
        philox4x32_ctr_t counter;
        philox4x32_key_t key;
        uint32_t answer[4];
    } vectors[] = {
        {{{0, 0, 0, 0}}, {{0, 0}}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}},
         {{0xffffffff, 0xffffffff}},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
         {{0xa4093822, 0x299f31d0}},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (int i = 0; i < 3; i++) {
        const philox4x32_ctr_t answer = philox4x32(vectors[i].counter, vectors[i].key);
        assert_memory_equal(answer.v, vectors[i].answer, sizeof vectors[i].answer);
    }
}

/* Each part of a key, and the draw, has bits of its own: no two of these blocks are equal. */
static void test_keys(void **state) {
    (void)state;
    const DrawKey keys[] = {
        {0},
        {.seed = 1},
        {.seed = 1ull << 32},
        {.purpose = DRAW_NOISE},
        {.purpose = DRAW_POLICY},
        {.space = 1},
        {.epoch = 1},
        {.sample = 1},
        {.rollout = 1},
        {.glimpse = 1},
        {.space = 15},
        {.rollout = (1 << 20) - 1},
        {.glimpse = 4095},
    };
    enum { KEYS = sizeof keys / sizeof *keys };
    for (int i = 0; i < KEYS; i++)
        for (int j = 0; j < KEYS; j++) {
            const philox4x32_ctr_t a = philox_block(keys[i], 0), same = philox_block(keys[j], 0);
            const philox4x32_ctr_t later = philox_block(keys[j], 1), last = philox_block(keys[j], (1 << 24) - 1);
            assert_true((i == j) == (memcmp(&a, &same, sizeof a) == 0));
            assert_memory_not_equal(&a, &later, sizeof a);
            assert_memory_not_equal(&a, &last, sizeof a);
        }
    assert_float_equal((double)philox_signed(0), -1, 0);
    assert_true(philox_unit(0xffffffff) < 1.0f && philox_signed(0xffffffff) < 1.0f);
    float extreme[2];
    philox_normal(0, 0, extreme); /* the logarithm's argument is never 0 */
    assert_true(isfinite(extreme[0]) && extreme[0] > 5.0f);
    philox_normal(0xffffffff, 0, extreme);
    assert_float_equal((double)extreme[0], 0, 0);
}

/* --- draws */

enum { IMAGES = 3, SAMPLES = 2, ROWS = IMAGES * SAMPLES, T = 4 };

typedef struct {
    Guarded location, noise;
} Drawn;

static Drawn draw(Backend *backend, const Span *span, int32_t *sample, Draws draws) {
    const int64_t rows = span_rows(span);
    const Pictures pictures = {.sample = {sample}};
    Drawn drawn = {guarded_new(rows, 2, 2), guarded_new(T * rows, 2, 2)};
    backend->kernels->draw(backend, span, &draws, &pictures, T, guarded_floats(&drawn.location),
                           guarded_floats(&drawn.noise));
    return drawn;
}

static void drawn_close(Drawn *drawn) {
    guarded_close(&drawn->location, "location");
    guarded_close(&drawn->noise, "noise");
}

/* A row's draws depend on its sample and roll-out alone, not on its place in the batch or the span. */
static void test_draws_by_sample(void **state) {
    int32_t together[IMAGES] = {70, 7, 65535}, alone[1] = {7};
    int32_t two = 2;
    const Draws draws = {.seed = 3, .space = 1, .epoch = {&two}, .start = 1};
    Draws second = draws, other = draws, untold = draws;
    second.rollout = 1;
    other.space = 2;
    untold.epoch.address = NULL;
    const Span span = {IMAGES, 1, 0, 1, SAMPLES}, one = {1, 1, 0, 1, 1};
    Drawn all = draw(*state, &span, together, draws), first = draw(*state, &one, alone, draws);
    Drawn next = draw(*state, &one, alone, second), foreign = draw(*state, &one, alone, other);
    Drawn evaluated = draw(*state, &one, alone, untold);
    assert_memory_equal(all.location.at + 2 * 2, first.location.at, 2 * sizeof(float)); /* image 1, roll-out 0 */
    assert_memory_equal(all.location.at + 2 * 3, next.location.at, 2 * sizeof(float));
    assert_memory_not_equal(first.location.at, next.location.at, 2 * sizeof(float));
    assert_memory_not_equal(first.location.at, foreign.location.at, 2 * sizeof(float));
    assert_memory_not_equal(first.location.at, evaluated.location.at, 2 * sizeof(float));
    for (int t = 0; t < T; t++) {
        assert_memory_equal(all.noise.at + 2 * (t * ROWS + 2), first.noise.at + 2 * t, 2 * sizeof(float));
        assert_memory_equal(all.noise.at + 2 * (t * ROWS + 3), next.noise.at + 2 * t, 2 * sizeof(float));
        for (int later = t + 1; later < T; later++)
            assert_memory_not_equal(first.noise.at + 2 * t, first.noise.at + 2 * later, 2 * sizeof(float));
    }
    drawn_close(&all);
    drawn_close(&first);
    drawn_close(&next);
    drawn_close(&foreign);
    drawn_close(&evaluated);
}

/* Mean and variance of the draws: uniform in [-start, start] for starts, in [-1, 1] for the random policy, else
 * standard normal. */
static void test_distributions(void **state) {
    enum { MANY = 20000 };
    int32_t *sample = malloc(MANY * sizeof *sample);
    for (int i = 0; i < MANY; i++) sample[i] = i;
    const Span span = {MANY, 1, 0, 1, 1};
    static const float starts[] = {1, 0.5f, 0};
    for (int k = 0; k < 3 * (POLICY_CENTER + 1); k++) {
        const Policy policy = (Policy)(k / 3);
        const double start = policy == POLICY_CENTER ? 0 : (double)starts[k % 3];
        Drawn drawn = draw(*state, &span, sample, (Draws){.seed = 1, .start = starts[k % 3], .policy = policy});
        double mean[2] = {0}, variance[2] = {0};
        for (int i = 0; i < 2 * T * MANY; i++) {
            const double value = (double)drawn.noise.at[i];
            mean[1] += value / (2 * T * MANY);
            variance[1] += value * value / (2 * T * MANY);
            if (policy == POLICY_RANDOM) assert_true(value >= -1 && value < 1);
        }
        for (int i = 0; i < 2 * MANY; i++) {
            const double value = (double)drawn.location.at[i];
            mean[0] += value / (2 * MANY);
            variance[0] += value * value / (2 * MANY);
            assert_true(fabs(value) <= start);
        }
        near(mean[0], 0, 0.015, "mean of the starts");
        near(variance[0], start * start / 3, 0.01, "variance of the starts");
        near(mean[1], 0, 0.015, "mean of the noise");
        near(variance[1], policy == POLICY_RANDOM ? 1.0 / 3 : 1, 0.02, "variance of the noise");
        drawn_close(&drawn);
    }
    free(sample);
}

/* Each policy's numbers have a purpose of their own, and glimpse 0 is the start's. */
static void test_purposes(void **state) {
    (void)state;
    const DrawKey row = {.seed = 1, .purpose = DRAW_START, .space = 2, .epoch = 3, .sample = 4};
    for (Policy policy = POLICY_SAMPLE; policy <= POLICY_RANDOM; policy++) {
        const bool random = policy == POLICY_RANDOM;
        DrawKey key = row;
        float noise[2], expected[2];
        policy_noise(&(Draws){.seed = 1, .policy = policy}, row, 5, noise);
        key.purpose = random ? DRAW_POLICY : DRAW_NOISE;
        key.glimpse = 6;
        const philox4x32_ctr_t block = philox_block(key, 0);
        philox_normal(block.v[0], block.v[1], expected);
        for (int axis = 0; axis < 2; axis++)
            near((double)noise[axis], (double)(random ? philox_signed(block.v[axis]) : expected[axis]), 1e-6, "noise");
    }
}

/* --- policies */

static void test_policies(void **state) {
    Backend *backend = *state;
    static const float mean[] = {0.5f, -0.25f, 0.99f, -0.99f, NAN, 0}, noise[] = {1, -2, 3, -3, 0.5f, 0.5f};
    /* a last layer that turns the axes round and adds (1, -1) */
    static const float weight[] = {0, 1, 1, 0}, bias[] = {1, -1};
    float x[6];
    for (int i = 0; i < 6; i++) x[i ^ 1] = atanhf(mean[i]) - bias[i % 2];
    const Span span = {3, 1, 0, 1, 1};
    const double log_2pi = log(2 * 3.14159265358979323846);
    for (Policy policy = POLICY_SAMPLE; policy <= POLICY_CENTER; policy++) {
        Guarded location = guarded_new(3, 2, 2), log_pi = guarded_new(3, 1, 1), got_mean = guarded_new(3, 2, 2);
        backend->kernels->locate(backend, &span, policy, 0.1f, 2, matrix((DevFloats){x}, 2),
                                 (Weight){.plain = {(float *)weight}}, (DevFloats){(float *)bias},
                                 (DevFloats){(float *)noise}, guarded_floats(&got_mean), guarded_floats(&location),
                                 guarded_floats(&log_pi));
        for (int i = 0; i < 4; i++) near((double)got_mean.at[i], (double)mean[i], 1e-6, "mean");
        assert_true(isnan(got_mean.at[4]));
        if (policy <= POLICY_MEAN) assert_true(isnan(location.at[4]));
        const double expected[][4] = {[POLICY_SAMPLE] = {0.6, -0.45, 1, -1},
                                      [POLICY_MEAN] = {0.5, -0.25, 0.99, -0.99},
                                      [POLICY_RANDOM] = {1, -2, 3, -3},
                                      [POLICY_CENTER] = {0}};
        for (int i = 0; i < 4; i++) near((double)location.at[i], expected[policy][i], 1e-6, "location");
        if (policy == POLICY_SAMPLE) {
            near((double)log_pi.at[0], -2.5 - 2 * log(0.1) - log_2pi, 1e-5, "log_pi");
            near((double)log_pi.at[1], -9 - 2 * log(0.1) - log_2pi, 1e-5, "log_pi before the clamp");
        }
        guarded_close(&location, "location");
        guarded_close(&log_pi, "log_pi");
        guarded_close(&got_mean, "mean");
    }
}

/* The baselines in use, and an evaluation that asks for no gradient. */
static void test_baselines(void **state) {
    Backend *backend = *state;
    const Span span = {2, 1, 0, 1, 3};
    float reward[6] = {1, 0, 1, 0, 0, 1}, mean[12] = {0}, noise[12], log_pi[6];
    float credit[6] = {3, 1, 2, 0.5f, 4, 6}; /* may differ from the reward, which is only counted */
    static const double others[6] = {1.5, 2.5, 2, 5, 3.25, 2.25};
    for (int i = 0; i < 12; i++) noise[i] = 0.1f * (float)i;
    for (int i = 0; i < 6; i++) log_pi[i] = -1.0f - (float)i;
    float moving_average = 0.75f;
    for (Baseline baseline = BASELINE_LEARNED; baseline <= BASELINE_NONE; baseline++) {
        const Reinforce loss = {baseline, 1, 0.5f, {&moving_average}, 2, 6};
        Guarded b = guarded_fill(6, 1, 1, 0.25f), again = guarded_fill(6, 1, 1, 0.25f);
        Guarded d_baseline = guarded_new(6, 1, 1), d_location = guarded_new(6, 2, 2);
        double sums[SUMS] = {0}, evaluated[SUMS] = {0}, reinforce = 0, squares = 0;
        backend->kernels->reinforce(backend, &span, &loss, (DevFloats){reward}, (DevFloats){credit}, (DevFloats){mean},
                                    (DevFloats){noise}, (DevFloats){log_pi}, guarded_floats(&b),
                                    guarded_floats(&d_baseline), guarded_floats(&d_location), (DevDoubles){sums});
        backend->kernels->reinforce(backend, &span, &loss, (DevFloats){reward}, (DevFloats){credit}, (DevFloats){mean},
                                    (DevFloats){noise}, (DevFloats){log_pi}, guarded_floats(&again), (DevFloats){NULL},
                                    (DevFloats){NULL}, (DevDoubles){evaluated});
        assert_memory_equal(sums, evaluated, sizeof sums);
        for (int r = 0; r < 6; r++) {
            const double fixed[] = {0.25, 0.75, others[r], 0};
            const double advantage = (double)credit[r] - fixed[baseline];
            squares += baseline == BASELINE_LEARNED ? advantage * advantage : 0;
            near((double)b.at[r], fixed[baseline], 0, "b");
            near((double)d_baseline.at[r], baseline == BASELINE_LEARNED ? -advantage / 3 : 0, 1e-7, "d_baseline");
            for (int i = 2 * r; i < 2 * r + 2; i++) /* -w / (rows sigma) * advantage * noise */
                near((double)d_location.at[i], -2.0 / 3 * advantage * (double)noise[i], 1e-6, "d_location");
            reinforce -= (double)log_pi[r] * advantage;
        }
        near(sums[SUM_REINFORCE], reinforce, 1e-6, "reinforce");
        near(sums[SUM_REWARD], 3, 0, "reward");
        near(sums[SUM_ROWS], 6, 0, "rows");
        near(sums[SUM_BASELINE], squares, 1e-6, "baseline");
        Guarded *all[] = {&b, &again, &d_baseline, &d_location};
        for (int i = 0; i < 4; i++) guarded_close(all[i], "reinforce");
    }
}

/* --- retina */

/* The pixel value at (x, y), normalised, zero outside. */
static double seen(const Retina *retina, const uint8_t *pixels, int x, int y, int channel) {
    if (x < 0 || y < 0 || x >= retina->width || y >= retina->height) return 0;
    const double value = pixels[(y * retina->width + x) * retina->channels + channel] / 255.0;
    return (value - (double)retina->mean[channel]) / (double)retina->stddev[channel];
}

static void check_retina(Backend *backend, const Retina *retina, float x, float y, int centre_x, int centre_y) {
    Dice dice = {77};
    const Span span = {1, 1, 0, 1, 1};
    const int pixels = retina->height * retina->width * retina->channels, G = retina->patch;
    const int features = retina->scales * retina->channels * G * G;
    uint8_t *memory = malloc(2 * (size_t)pixels);
    int32_t number = 1; /* the second of two pictures */
    float location[2] = {x, y};
    const uint32_t bright =
        retina->scale > 256 ? 0xf8 : 0; /* of wide cells a column's sum may need more than 16 bits */
    for (int i = 0; i < 2 * pixels; i++) memory[i] = (uint8_t)(dice_bits(&dice) | bright);
    const Pictures pictures = {.pixels = {memory}, .picture = {&number}};
    Guarded glimpse = guarded_new(1, features, features);
    backend->kernels->retina(backend, &span, retina, &pictures, (DevFloats){location}, guarded_floats(&glimpse));
    int at = 0, factor = 1;
    for (int k = 0; k < retina->scales; k++, factor *= retina->scale)
        for (int channel = 0; channel < retina->channels; channel++)
            for (int cell = 0; cell < G * G; cell++, at++) {
                double sum = 0;
                const int left = centre_x - G * factor / 2 + cell % G * factor;
                const int top = centre_y - G * factor / 2 + cell / G * factor;
                for (int i = 0; i < factor * factor; i++)
                    sum += seen(retina, memory + pixels, left + i % factor, top + i / factor, channel);
                near((double)glimpse.at[at], sum / (factor * factor), 1e-5, "glimpse");
            }
    guarded_close(&glimpse, "glimpse");
    free(memory);
}

static void test_retina(void **state) {
    static const Retina retinas[] = {
        {.patch = 8, .scales = 1, .scale = 1, .height = 28, .width = 28, .channels = 1},
        {.patch = 5, .scales = 3, .scale = 2, .height = 11, .width = 23, .channels = 1},
        {.patch = 3, .scales = 3, .scale = 3, .height = 7, .width = 4, .channels = 3},
        {.patch = 9, .scales = 2, .scale = 4, .height = 2, .width = 1, .channels = 4}, /* far larger than the picture */
        {.patch = 1, .scales = 2, .scale = 1, .height = 1, .width = 1, .channels = 1},
        {.patch = 6, .scales = 4, .scale = 2, .height = 41, .width = 37, .channels = 1},
        {.patch = 4, .scales = 2, .scale = 5, .height = 19, .width = 24, .channels = 3},
        {.patch = 2, .scales = 2, .scale = 300, .height = 310, .width = 290, .channels = 1}, /* cells as wide as these
                                                                                              */
        {.patch = 70, .scales = 2, .scale = 30, .height = 33, .width = 50, .channels = 1},   /* and patches */
    };
    for (size_t i = 0; i < sizeof retinas / sizeof *retinas; i++) {
        Retina retina = retinas[i];
        for (int channel = 0; channel < CHANNELS_MOST; channel++) {
            retina.mean[channel] = 0.1f + 0.2f * (float)channel;
            retina.stddev[channel] = 0.3f + 0.1f * (float)channel;
        }
        const int w = retina.width, h = retina.height;
        check_retina(*state, &retina, -1, -1, 0, 0);
        check_retina(*state, &retina, 1, 1, w, h);
        check_retina(*state, &retina, 1, -1, w, 0);
        check_retina(*state, &retina, 0, 0, w / 2, h / 2);
        check_retina(*state, &retina, 0.99f, -0.01f, (int)(0.995 * w), (int)(0.495 * h));
        check_retina(*state, &retina, NAN, 1, 0, h); /* a diverged model looks somewhere; it does not crash */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers), cmocka_unit_test(test_keys),     cmocka_unit_test(test_draws_by_sample),
        cmocka_unit_test(test_distributions), cmocka_unit_test(test_policies), cmocka_unit_test(test_baselines),
        cmocka_unit_test(test_retina),        cmocka_unit_test(test_purposes),
    };
    return cmocka_run_group_tests(tests, backend_set_up, backend_tear_down);
}
