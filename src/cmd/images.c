#include "cmd/images.h"
#include "config/text.h"

#include <stdio.h>
#include <string.h>

Status images_take(const char *text, int most, int *count, int64_t *image) {
    *count = 0;
    for (const char *at = text;; at++) {
        const size_t length = strcspn(at, ",");
        char number[24];
        snprintf(number, sizeof number, "%.*s", (int)(length < sizeof number ? length : sizeof number - 1), at);
        if (*count == most) return status_error(RAM_USAGE, "--images names more than %d samples; name fewer", most);
        if (length >= sizeof number || !text_parse_int(number, &image[*count]) || image[*count] < 0)
            return status_error(RAM_USAGE, "--images is '%s', not numbers of samples like 3,17,42",
                                text_excerpt(text).text);
        (*count)++;
        at += length;
        if (!*at) return status_ok();
    }
}
