/* Stroke font: letters as strokes, for text in pixels of any size without a font file. Owns the glyphs (A. V.
 * Hershey's, see the .c file for their terms). Must not know pixels: whoever draws is told each stroke. */
#ifndef RAM_VIEW_STROKE_FONT_H
#define RAM_VIEW_STROKE_FONT_H

#include "view/canvas.h"

/* Width of UTF-8 `text`; what is not ASCII shows as '?'. */
double stroke_font_width(const char *text, double size);

/* Calls `stroke` for each straight stroke, from the start of the base line at (0, 0); y down. */
void stroke_font_draw(const char *text, double size, void (*stroke)(void *context, Point from, Point to),
                      void *context);

#endif
