/* OptionValues: the values of options that several commands take. Prints nothing. */
#ifndef RAM_CMD_OPTION_VALUES_H
#define RAM_CMD_OPTION_VALUES_H

#include "base/status.h"

#include <stdint.h>

/* --OPTION N: a whole number from 1 to `most`. RAM_USAGE. */
Status option_take_count(const char *option, const char *text, int64_t most, int64_t *count);

/* --images 3,17,42: which samples of a trace are to be shown. At most `most` numbers. RAM_USAGE. */
Status option_take_images(const char *text, int most, int *count, int64_t *image);

/* --OPTION PATH, borrowed. RAM_USAGE: it is empty. */
Status option_take_path(const char *option, const char *text, const char **path);

/* What --OPTION names is to be made, so nothing may be there. RAM_USAGE. */
Status option_check_new(const char *option, const char *path);

#endif
