/* Figure: something that can be drawn, of a known size, and how it becomes a part of a page or a file. Must not know
 * what it shows. Nothing here is collective. */
#ifndef RAM_VIEW_FIGURE_H
#define RAM_VIEW_FIGURE_H

#include "base/status.h"
#include "view/canvas.h"

#include <stdio.h>

typedef struct {
    double width, height;  /* units */
    int frames;            /* at least one; the last shows all */
    char alternative[400]; /* what it shows, for who does not see it */
    void (*draw)(Canvas *canvas, const void *data, int frame);
    const void *data; /* borrowed */
} Figure;

/* Writes the last frame into an HTML page. */
void figure_put(const Figure *figure, FILE *out);

/* Writes a file; its name's ending says of which kind: .svg, .png (two pixels a unit) or .gif (one; it moves when there
 * are several frames). RAM_USAGE: another ending, or a picture that would be too large. RAM_IO. */
Status figure_save(const Figure *figure, const char *path);

/* Whether `path` has one of these endings: for who wants to know before computing. RAM_USAGE. */
Status figure_check_path(const char *path);

#endif
