/* Augmentation: a bright spot is followed to where shift, rotation, scale and bending may bring it, and no further. */
#include "base/hash.h"
#include "data/augment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { HEIGHT = 41, WIDTH = 61, CHANNELS = 2, BYTES = HEIGHT * WIDTH * CHANNELS, EPOCHS = 400 };

typedef struct {
    double x, y, mass; /* from the image's centre */
} Spot;

/* A spot of 5 x 5 pixels around (x, y) from the centre, in channel 1. */
static void draw_spot(int x, int y, uint8_t image[BYTES]) {
    memset(image, 0, BYTES);
    for (int row = -2; row <= 2; row++)
        for (int column = -2; column <= 2; column++)
            image[((HEIGHT / 2 + y + row) * WIDTH + WIDTH / 2 + x + column) * CHANNELS + 1] = 200;
}

static Spot find_spot(const uint8_t image[BYTES]) {
    Spot spot = {0, 0, 0};
    for (int row = 0; row < HEIGHT; row++)
        for (int column = 0; column < WIDTH; column++) {
            const double value = image[(row * WIDTH + column) * CHANNELS + 1];
            assert_int_equal(image[(row * WIDTH + column) * CHANNELS], 0); /* channels stay apart */
            spot.mass += value;
            spot.x += value * (column - WIDTH / 2);
            spot.y += value * (row - HEIGHT / 2);
        }
    spot.x /= spot.mass;
    spot.y /= spot.mass;
    return spot;
}

static void augment(const Augmentation *a, DrawKey key, const uint8_t image[BYTES], uint8_t out[BYTES]) {
    float *scratch = malloc(augment_scratch(HEIGHT, WIDTH, CHANNELS) * sizeof *scratch);
    augment_image(a, key, HEIGHT, WIDTH, CHANNELS, image, scratch, out);
    free(scratch);
}

static Spot augmented(const Augmentation *a, int x, int y, uint32_t epoch) {
    uint8_t image[BYTES], out[BYTES];
    draw_spot(x, y, image);
    memset(out, 0x5a, sizeof out);
    augment(a, (DrawKey){.seed = 1, .purpose = DRAW_AUGMENT, .epoch = epoch, .sample = 3}, image, out);
    return find_spot(out);
}

static void test_off_is_the_image(void **state) {
    (void)state;
    const Augmentation off = {0};
    uint8_t image[BYTES], out[BYTES];
    for (int i = 0; i < BYTES; i++) image[i] = (uint8_t)(i * 37);
    augment(&off, (DrawKey){.seed = 5}, image, out);
    assert_memory_equal(image, out, BYTES);
    assert_true(augment_is_off(&off));
    assert_false(augment_is_off(&(Augmentation){.elastic = 1}));
}

static void test_repeats(void **state) {
    (void)state;
    const Augmentation all = {2, 10, 0.1, 2};
    const Spot a = augmented(&all, 3, 4, 1), b = augmented(&all, 3, 4, 1), c = augmented(&all, 3, 4, 2);
    assert_true(a.x == b.x && a.y == b.y && (a.x != c.x || a.y != c.y));
}

/* Uniform in +-3 along both axes, independently. */
static void test_shift(void **state) {
    (void)state;
    const Augmentation shift = {.shift = 3};
    double least = 0, most = 0, square = 0, product = 0;
    for (uint32_t epoch = 1; epoch <= EPOCHS; epoch++) {
        const Spot spot = augmented(&shift, 5, -4, epoch);
        const double dx = spot.x - 5, dy = spot.y + 4;
        assert_true(fabs(dx) < 3.01 && fabs(dy) < 3.01 && fabs(spot.mass - 5000) < 60);
        least = fmin(least, fmin(dx, dy));
        most = fmax(most, fmax(dx, dy));
        square += (dx * dx + dy * dy) / (2 * EPOCHS);
        product += dx * dy / EPOCHS;
    }
    assert_true(least < -2.9 && most > 2.9 && fabs(square - 3) < 0.5 && fabs(product) < 0.6);
}

/* The spot stays at its distance from the centre and turns by up to 20 degrees, either way. */
static void test_rotation(void **state) {
    (void)state;
    const Augmentation rotation = {.rotation = 20};
    double least = 0, most = 0;
    for (uint32_t epoch = 1; epoch <= EPOCHS; epoch++) {
        const Spot spot = augmented(&rotation, 15, 0, epoch);
        const double angle = atan2(spot.y, spot.x) * 57.29578;
        assert_true(fabs(hypot(spot.x, spot.y) - 15) < 0.1 && fabs(angle) < 20.1);
        least = fmin(least, angle);
        most = fmax(most, angle);
    }
    assert_true(least < -19 && most > 19);
}

static void test_scale(void **state) {
    (void)state;
    const Augmentation scale = {.scale = 0.2};
    double least = 1, most = 1;
    for (uint32_t epoch = 1; epoch <= EPOCHS; epoch++) {
        const Spot spot = augmented(&scale, 12, 9, epoch);
        const double factor = hypot(spot.x, spot.y) / 15;
        assert_true(fabs(spot.y / spot.x - 0.75) < 0.02 && factor > 0.795 && factor < 1.205);
        assert_true(fabs(spot.mass / 5000 - factor * factor) < 0.05);
        least = fmin(least, factor);
        most = fmax(most, factor);
    }
    assert_true(least < 0.82 && most > 1.18);
}

/* Bent by some pixels, differently in different places, and alike for neighbours. */
static void test_elastic(void **state) {
    (void)state;
    const Augmentation elastic = {.elastic = 3};
    double square = 0, together = 0, apart = 0;
    for (uint32_t epoch = 1; epoch <= EPOCHS; epoch++) {
        const Spot a = augmented(&elastic, -10, 0, epoch), b = augmented(&elastic, -8, 0, epoch);
        const Spot c = augmented(&elastic, 18, 0, epoch);
        square += (a.x + 10) * (a.x + 10) / EPOCHS;
        together += (a.x + 10) * (b.x + 8) / EPOCHS;
        apart += (a.x + 10) * (c.x - 18) / EPOCHS;
    }
    /* the spline averages some six control points, the spot some more: a third to two thirds of 3 pixels */
    assert_true(square > 0.7 && square < 5);
    assert_true(together > 0.6 * square && fabs(apart) < 0.3 * square);
}

/* Pinned: a training that goes on must see what it saw. */
static void test_pictures_are_pinned(void **state) {
    (void)state;
    const struct {
        int height, width, channels;
        Augmentation augmentation;
        const char *hash;
    } expected[] = {{HEIGHT, WIDTH, CHANNELS, {2, 10, 0.1, 2}, "660d94315fc1709079c78abf6e1ecd50"},
                    {28, 28, 1, {0, 7, 0.07, 1}, "c58c0fccb98de4197277e985881ee70c"},
                    {3, 5, 1, {1, 20, 0.2, 0}, "ccbe378d9b6af11ad44d4cf89dc86b90"},
                    {32, 64, 3, {1, 180, 0.9, 9}, "ac4a3ec40027a58752a4cff93427e9dc"}};
    for (int i = 0; i < 4; i++) {
        const int height = expected[i].height, width = expected[i].width, channels = expected[i].channels;
        const size_t bytes = (size_t)height * (size_t)width * (size_t)channels;
        uint8_t *image = malloc(bytes), *out = malloc(10 * bytes);
        float *scratch = malloc(augment_scratch(height, width, channels) * sizeof *scratch);
        for (size_t k = 0; k < bytes; k++) image[k] = (uint8_t)(k * k * 37);
        for (uint32_t epoch = 0; epoch < 10; epoch++)
            augment_image(&expected[i].augmentation, (DrawKey){.seed = 3, .purpose = DRAW_AUGMENT, .epoch = epoch},
                          height, width, channels, image, scratch, out + epoch * bytes);
        char hash[HASH_TEXT];
        hash_memory(out, 10 * bytes, hash);
        assert_string_equal(hash, expected[i].hash);
        free(scratch);
        free(out);
        free(image);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_off_is_the_image),
        cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_shift),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_scale),
        cmocka_unit_test(test_elastic),
        cmocka_unit_test(test_pictures_are_pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
