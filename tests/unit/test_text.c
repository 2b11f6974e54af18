/* How values and names are spelt: numbers in and out, excerpts for messages, the nearest name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "config/nearest.h"
#include "config/text.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    return *state * 0x2545F4914F6CDD1DULL >> 8;
}

static void test_numbers(void **state) {
    (void)state;
    int64_t whole;
    double real;
    const char *bad_ints[] = {"",    "-", "+1", " 1", "1 ", "1.0", "1e3", "0x10", "1_000", "9223372036854775808",
                              "--1", "１"};
    for (size_t i = 0; i < sizeof bad_ints / sizeof *bad_ints; i++) assert_false(text_parse_int(bad_ints[i], &whole));
    assert_true(text_parse_int("-9223372036854775808", &whole) && whole == INT64_MIN);
    assert_true(text_parse_int("007", &whole) && whole == 7);
    const char *bad_reals[] = {"",    " 1",    "1 ",     "1,5",    "nan",   "inf", "-inf", "0x1p3", "1e",
                               "1e+", "1e999", "1e-999", "1e-320", "1.2.3", ".",   "e5",   "1d3",   "--1"};
    for (size_t i = 0; i < sizeof bad_reals / sizeof *bad_reals; i++)
        if (text_parse_real(bad_reals[i], &real)) fail_msg("'%s' was read as %g", bad_reals[i], real);
    assert_true(text_parse_real("1e-3", &real) && real == 0.001);
    assert_true(text_parse_real("0.000e-5", &real) && real == 0);
    assert_true(text_parse_real("-0", &real) && real == 0 && !signbit(real));
    assert_true(text_parse_real("+.5E+1", &real) && real == 5);

    const struct {
        double value;
        const char *text;
    } spelt[] = {{0.0003, "0.0003"},
                 {1e-6, "1.0e-06"},
                 {1.5e-7, "1.5e-07"},
                 {1e6, "1000000"},
                 {0.1, "0.1"},
                 {-10, "-10"},
                 {1.0 / 3, "0.3333333333333333"},
                 {1e300, "1.0e+300"}};
    char text[TEXT_REAL];
    for (size_t i = 0; i < sizeof spelt / sizeof *spelt; i++) {
        text_write_real(spelt[i].value, text);
        assert_string_equal(text, spelt[i].text);
    }
    uint64_t random = 1;
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = next_random(&random) << 32 ^ next_random(&random);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value) || fabs(value) < DBL_MIN) continue;
        text_write_real(value, text);
        assert_true(text_parse_real(text, &real) && real == value);
    }
}

static void test_excerpts(void **state) {
    (void)state;
    assert_string_equal(text_excerpt("plain é").text, "plain é");
    assert_string_equal(text_excerpt("").text, "");
    assert_string_equal(text_excerpt("a\nb\x7F\xC2\x85\xFF\xC3").text, "a?b????");
    char text[300];
    for (size_t length = 1; length + 3 < sizeof text; length++) { /* no character is cut in two */
        for (size_t i = 0; i < length; i++) text[i] = 'x';
        snprintf(text + length, sizeof text - length, "%s", "é");
        Excerpt excerpt = text_excerpt(text);
        assert_true(strlen(excerpt.text) < TEXT_EXCERPT && text_is_utf8(excerpt.text));
        if (length > TEXT_EXCERPT) assert_string_equal(excerpt.text + strlen(excerpt.text) - 4, "x...");
    }
}

static void test_words(void **state) {
    (void)state;
    char word[8];
    assert_int_equal(text_find_word("one two three", "two"), 1);
    assert_int_equal(text_find_word("one two three", "tw"), -1);
    assert_int_equal(text_find_word("one two three", "one two"), -1);
    assert_int_equal(text_find_word("one two three", ""), -1);
    assert_true(text_word("one two", 1, word, sizeof word));
    assert_string_equal(word, "two");
    assert_false(text_word("one two", 2, word, sizeof word));
}

static void test_nearest(void **state) {
    (void)state;
    const char *const names[] = {"train", "eval", "config", "report", "inspect", "import"};
    const struct {
        const char *wanted, *found;
    } cases[] = {{"trian", "train"},   {"tran", "train"},      {"TRAIN", "train"},    {"evla", "eval"},
                 {"conifg", "config"}, {"inspcet", "inspect"}, {"imports", "import"}, {"q", NULL},
                 {"", NULL},           {"zebra", NULL},        {"xx", NULL},          {"completely-different", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Nearest nearest = nearest_begin(cases[i].wanted);
        for (size_t n = 0; n < sizeof names / sizeof *names; n++) nearest_offer(&nearest, names[n]);
        if (cases[i].found) {
            assert_non_null(nearest.name);
            assert_string_equal(nearest.name, cases[i].found);
        } else if (nearest.name) {
            fail_msg("'%s' was taken for %s", cases[i].wanted, nearest.name);
        }
    }
    Nearest nearest = nearest_begin("gpu"); /* one letter off, and yet not a slip */
    nearest_offer(&nearest, "cpu");
    assert_null(nearest.name);
    nearest = nearest_begin("lr"); /* the last part of a dotted name */
    nearest_offer(&nearest, "train.lr");
    assert_string_equal(nearest_hint(&nearest).text, "; did you mean 'train.lr'?");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_numbers), cmocka_unit_test(test_excerpts),
                                       cmocka_unit_test(test_words), cmocka_unit_test(test_nearest)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
