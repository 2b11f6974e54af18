#define _GNU_SOURCE /* newlocale */
#include "config/text.h"
#include "base/log.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool text_parse_int(const char *text, int64_t *value) {
    const char *digits = text[0] == '-' ? text + 1 : text;
    if (digits[0] == '\0' || digits[strspn(digits, "0123456789")] != '\0') return false;
    errno = 0;
    long long number = strtoll(text, NULL, 10);
    if (errno == ERANGE) return false;
    *value = number;
    return true;
}

bool text_parse_real(const char *text, double *value) {
    /* keeps out what strtod takes besides: spaces, hexadecimals, inf, nan */
    if (text[0] == '\0' || text[strspn(text, "0123456789+-.eE")] != '\0') return false;
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    require(plain != (locale_t)0);
    char *end;
    double number = strtod_l(text, &end, plain);
    bool lost = !isfinite(number) || fpclassify(number) == FP_SUBNORMAL;
    /* rounded to zero: a digit other than 0 stands before the exponent */
    if (number == 0) lost = strcspn(text, "123456789") < strcspn(text, "eE");
    freelocale(plain);
    if (end == text || *end != '\0' || lost) return false;
    *value = number == 0 ? 0.0 : number; /* no minus zero */
    return true;
}

static void write_shortest(double value, char text[TEXT_REAL]) {
    if (fabs(value) < 1e15 && value == floor(value)) {
        snprintf(text, TEXT_REAL, "%.0f", value);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, TEXT_REAL, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    char *exponent = strchr(text, 'e');
    if (exponent && !strchr(text, '.')) { /* YAML 1.1 takes 1e-06 for a string and 1.0e-06 for a number */
        memmove(exponent + 2, exponent, strlen(exponent) + 1);
        memcpy(exponent, ".0", 2);
    }
}

void text_write_real(double value, char text[TEXT_REAL]) {
    require(isfinite(value));
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    require(plain != (locale_t)0);
    locale_t before = uselocale(plain);
    write_shortest(value, text);
    uselocale(before);
    freelocale(plain);
}

/* Bytes of the character at `text`: 1 to 4, or 0 when it is none (overlong forms, surrogates, beyond U+10FFFF). */
static int utf8_bytes(const unsigned char *text) {
    int bytes = text[0] < 0x80   ? 1
                : text[0] < 0xC2 ? 0
                : text[0] < 0xE0 ? 2
                : text[0] < 0xF0 ? 3
                : text[0] < 0xF5 ? 4
                                 : 0;
    for (int i = 1; i < bytes; i++)
        if ((text[i] & 0xC0) != 0x80) return 0;
    if ((text[0] == 0xE0 && text[1] < 0xA0) || (text[0] == 0xED && text[1] > 0x9F)) return 0;
    if ((text[0] == 0xF0 && text[1] < 0x90) || (text[0] == 0xF4 && text[1] > 0x8F)) return 0;
    return bytes;
}

bool text_is_utf8(const char *text) {
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        int bytes = utf8_bytes(at);
        if (bytes == 0) return false;
        at += bytes;
    }
    return true;
}

int text_shown_bytes(const char *text) {
    const unsigned char *at = (const unsigned char *)text;
    const bool control = *at < ' ' || *at == 0x7F || (at[0] == 0xC2 && at[1] < 0xA0);
    return control ? 0 : utf8_bytes(at);
}

Excerpt text_excerpt(const char *text) {
    Excerpt excerpt = {""};
    size_t length = 0;
    const unsigned char *at = (const unsigned char *)text;
    while (*at && length < 57) {
        int bytes = utf8_bytes(at);
        bool shown = text_shown_bytes((const char *)at) > 0;
        if (shown)
            memcpy(excerpt.text + length, at, (size_t)bytes);
        else
            excerpt.text[length] = '?';
        length += shown ? (size_t)bytes : 1;
        at += bytes > 0 ? bytes : 1;
    }
    if (*at) strcpy(excerpt.text + length, "...");
    return excerpt;
}

int text_find_word(const char *words, const char *word) {
    size_t length = strlen(word);
    for (int index = 0;; index++) {
        size_t here = strcspn(words, " ");
        if (here == length && memcmp(words, word, length) == 0) return index;
        if (words[here] == '\0') return -1;
        words += here + 1;
    }
}

bool text_word(const char *words, int index, char *word, size_t size) {
    for (; index > 0; index--) {
        words += strcspn(words, " ");
        if (*words == '\0') return false;
        words++;
    }
    snprintf(word, size, "%.*s", (int)strcspn(words, " "), words);
    return true;
}
