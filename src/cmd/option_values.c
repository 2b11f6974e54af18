#include "cmd/option_values.h"
#include "config/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

Status option_take_count(const char *option, const char *text, int64_t most, int64_t *count) {
    if (text_parse_int(text, count) && *count >= 1 && *count <= most) return status_ok();
    return status_error(RAM_USAGE, "--%s is '%s', not a whole number from 1 to %" PRId64, option,
                        text_excerpt(text).text, most);
}

Status option_take_images(const char *text, int most, int *count, int64_t *image) {
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

Status option_take_path(const char *option, const char *text, const char **path) {
    *path = text;
    if (*text) return status_ok();
    return status_error(RAM_USAGE, "--%s is empty: give a name", option);
}

Status option_check_new(const char *option, const char *path) {
    struct stat facts; /* a link that leads nowhere is something, too */
    if (lstat(path, &facts) != 0) return status_ok();
    return status_error(RAM_USAGE, "--%s %.400s exists already: give another name, or remove it first", option, path);
}
