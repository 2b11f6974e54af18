/* Images: which samples of a trace are to be shown, as `--images 3,17,42` says. Prints nothing. */
#ifndef RAM_CMD_IMAGES_H
#define RAM_CMD_IMAGES_H

#include "base/status.h"

#include <stdint.h>

/* At most `most` numbers, with commas between them. RAM_USAGE. */
Status images_take(const char *text, int most, int *count, int64_t *image);

#endif
