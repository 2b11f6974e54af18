/* Gallery: the pictures that a recording is of, from the data set, and what the retina saw of them. A trace holds where
 * the model looked, not the pixels, so the data set must be the one it was recorded on. Must not know the environment
 * (the caller says where data lie otherwise). Nothing here is collective. */
#ifndef RAM_VIEW_GALLERY_H
#define RAM_VIEW_GALLERY_H

#include "data/task.h"
#include "view/canvas.h"
#include "view/recording.h"

typedef struct {
    Dataset dataset;
    Task task;
    int height, width;
    int channels;       /* as shown: 1 or 3 */
    uint8_t outside[3]; /* what a pixel outside the picture counts as: the mean */
} Gallery;

/* `directory`, `prefix`: "" for the recording's own data.dir and data.prefix; `fallback`: $RAM_DATA. RAM_USAGE: no data
 * set there; RAM_DATA: not the recording's. gallery_close() the result. */
Status gallery_open(Gallery *gallery, const Recording *recording, const char *directory, const char *prefix,
                    const char *fallback);
void gallery_close(Gallery *gallery); /* a zeroed one is allowed */

/* The picture of a sample; free() its pixels. */
Bitmap gallery_draw(const Gallery *gallery, const Recording *recording, int64_t sample);

/* The pixels that scale `scale` of a glimpse covers, in pixels of the picture; may lie outside in part or wholly. */
typedef struct {
    int left, top, side;
} Window;
Window gallery_window(const Gallery *gallery, const Recording *recording, const float location[2], int scale);

/* What the retina makes of that window: (G, G), pooled; free() its pixels. */
Bitmap gallery_patch(const Gallery *gallery, const Recording *recording, const Bitmap *picture, Window window);

#endif
