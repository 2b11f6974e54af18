/* Picture files: pixels as the bytes of a PNG (libpng) or a GIF (cgif). Must not know what the pixels show, nor where
 * the bytes go. Nothing here is collective. */
#ifndef RAM_VIEW_PICTURE_FILE_H
#define RAM_VIEW_PICTURE_FILE_H

#include "view/canvas.h"

#include <stddef.h>

/* free() *data. */
void picture_file_png(const Bitmap *bitmap, void **data, size_t *bytes);

/* Frames of one size in RGB; the last stays longer before all begins again. A GIF has 256 colours: the most frequent
 * ones; the others become the nearest of these. free() *data. */
void picture_file_gif(int frames, const Bitmap *frame, void **data, size_t *bytes);

#endif
