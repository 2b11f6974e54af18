/* SVG: a canvas that writes text. Colours are classes, so that one style sheet makes a figure light or dark. Must not
 * know what is drawn. Nothing here is collective. */
#ifndef RAM_VIEW_SVG_H
#define RAM_VIEW_SVG_H

#include "view/canvas.h"

#include <stdio.h>

typedef struct {
    Canvas canvas; /* first: the operations get it */
    FILE *out;
    bool clipped;
} Svg;

/* Begins a figure with a text alternative. `whole`: a file of its own, with namespace, style and paper; else a part of
 * an HTML page that has svg_style() in its style sheet. */
void svg_begin(Svg *svg, FILE *out, double width, double height, const char *alternative, bool whole);
void svg_end(Svg *svg);

/* The rules of all inks: light, and dark for who prefers it. */
void svg_style(FILE *out);

#endif
