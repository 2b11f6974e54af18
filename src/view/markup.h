/* Markup: what HTML and SVG need to hold any text and any bytes. Owns escaping: whatever users named passes through
 * here. Must not know what is written. Nothing here is collective. */
#ifndef RAM_VIEW_MARKUP_H
#define RAM_VIEW_MARKUP_H

#include <stddef.h>
#include <stdio.h>

/* `text` as content or as an attribute between quotes; broken UTF-8 and control characters become U+FFFD. */
void markup_text(FILE *out, const char *text);

/* The shortest of at most two decimals. */
void markup_number(FILE *out, double value);

void markup_base64(FILE *out, const void *data, size_t bytes);

#endif
