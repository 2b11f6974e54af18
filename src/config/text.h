/* Numbers and names as text: strict, whole-string, the same in every locale. Owns the rules of how a value is spelt.
 * Must not know keys, files or YAML. Nothing here is collective. */
#ifndef RAM_CONFIG_TEXT_H
#define RAM_CONFIG_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Digits with an optional minus. False when it is not that, or does not fit. */
bool text_parse_int(const char *text, int64_t *value);

/* A decimal number, finite and not so small that it would lose digits. False otherwise. */
bool text_parse_real(const char *text, double *value);

/* The shortest text that reads back as the same bits, spelt so that every YAML 1.1 and 1.2 reader takes it for a
 * number. */
enum { TEXT_REAL = 32 };
void text_write_real(double value, char text[TEXT_REAL]);

bool text_is_utf8(const char *text);

/* Bytes of the character at `text` where it may be shown; 0: it is a control character or no UTF-8. */
int text_shown_bytes(const char *text);

/* `text` as it may stand in a one-line message: at most 60 bytes, control characters and broken UTF-8 replaced. */
enum { TEXT_EXCERPT = 64 };
typedef struct {
    char text[TEXT_EXCERPT];
} Excerpt;
Excerpt text_excerpt(const char *text);

/* Words separated by single spaces. The index of `word` in `words`, or -1. */
int text_find_word(const char *words, const char *word);

/* Copies word `index` and returns true, or false when there are fewer. */
bool text_word(const char *words, int index, char *word, size_t size);

#endif
