#include "view/markup.h"
#include "config/text.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

void markup_text(FILE *out, const char *text) {
    while (*text) {
        const int bytes = text_shown_bytes(text);
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
