#include "view/markup.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Bytes of the well-formed character at `text` (Unicode 15, table 3-7), or 0. */
static int character_bytes(const unsigned char *text) {
    const unsigned char first = text[0], second = text[1];
    const int bytes = first < 0x80 ? 1 : first >= 0xC2 && first < 0xE0 ? 2 : first >= 0xE0 && first < 0xF0 ? 3 : 4;
    if (bytes == 1) return first >= ' ' && first != 0x7F;
    if (first < 0xC2 || first > 0xF4) return 0;
    for (int i = 1; i < bytes; i++)
        if ((text[i] & 0xC0) != 0x80) return 0;
    if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) || (first == 0xF0 && second < 0x90) ||
        (first == 0xF4 && second > 0x8F) || (first == 0xC2 && second < 0xA0))
        return 0;
    return bytes;
}

void markup_text(FILE *out, const char *text) {
    while (*text) {
        const int bytes = character_bytes((const unsigned char *)text);
        if (bytes == 0)
            fputs("\xEF\xBF\xBD", out);
        else if (*text == '<')
            fputs("&lt;", out);
        else if (*text == '>')
            fputs("&gt;", out);
        else if (*text == '&')
            fputs("&amp;", out);
        else if (*text == '"')
            fputs("&quot;", out);
        else if (*text == '\'')
            fputs("&#39;", out);
        else
            fwrite(text, 1, (size_t)bytes, out);
        text += bytes ? bytes : 1;
    }
}

void markup_number(FILE *out, double value) {
    char text[32];
    snprintf(text, sizeof text, "%.2f", isfinite(value) ? value : 0);
    char *end = text + strlen(text);
    while (end[-1] == '0') *--end = 0;
    if (end[-1] == '.') *--end = 0;
    fputs(strcmp(text, "-0") == 0 ? "0" : text, out);
}

void markup_base64(FILE *out, const void *data, size_t bytes) {
    static const char LETTER[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *byte = data;
    for (size_t i = 0; i < bytes; i += 3) {
        const size_t left = bytes - i;
        const uint32_t word =
            (uint32_t)byte[i] << 16 | (left > 1 ? (uint32_t)byte[i + 1] << 8 : 0) | (left > 2 ? byte[i + 2] : 0);
        putc(LETTER[word >> 18], out);
        putc(LETTER[word >> 12 & 63], out);
        putc(left > 1 ? LETTER[word >> 6 & 63] : '=', out);
        putc(left > 2 ? LETTER[word & 63] : '=', out);
    }
}
