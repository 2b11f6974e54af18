/* Raster: a canvas of pixels, smoothed lines and letters over RGB. Boxes keep hard edges: a box of whole units covers
 * exactly its pixels. Must not know what is drawn. Nothing here is collective. */
#ifndef RAM_VIEW_RASTER_H
#define RAM_VIEW_RASTER_H

#include "view/canvas.h"

typedef struct {
    Canvas canvas; /* first: the operations get it */
    int scale;     /* pixels of a unit */
    int width, height;
    int left, top, right, bottom; /* where drawing shows */
    bool hidden;                  /* nothing shows */
    uint8_t *pixels;              /* (height, width, 3) */
} Raster;

/* An empty sheet of `width` x `height` units. */
void raster_begin(Raster *raster, double width, double height, int scale);
void raster_free(Raster *raster);

/* Its pixels, borrowed. */
Bitmap raster_bitmap(const Raster *raster);

#endif
