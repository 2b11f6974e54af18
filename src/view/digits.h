/* Digits: pictures with the path of the glimpses over them and what the model thought after each, and what the retina
 * saw. Boxes lie where base/glimpse_window.h says that the retina looks. Must not know where the figures go. Nothing
 * here is collective. */
#ifndef RAM_VIEW_DIGITS_H
#define RAM_VIEW_DIGITS_H

#include "base/status.h"
#include "view/figure.h"
#include "view/gallery.h"

enum { DIGITS_MOST = 64 };

/* Which samples of a recording. Of several roll-outs path and probabilities are those of the first; what the model says
 * is of all, as an evaluation counts. */
typedef struct {
    const Recording *recording; /* borrowed, as the gallery */
    const Gallery *gallery;
    int count;
    int64_t sample[DIGITS_MOST];
} Digits;

/* Takes the samples `image` (`images` of them), or, where there are none, the first `standard`. RAM_USAGE: the
 * recording has no such sample. */
Status digits_choose(Digits *digits, int images, const int64_t *image, int standard);

/* Appends which roll-out is shown, where there are several. */
void digits_tell_rollouts(const Recording *recording, char *text, size_t size);

/* Whether pictures have bars of class probabilities: of many classes these would not be legible. */
bool digits_have_bars(const Recording *recording);

/* A grid of them; one frame for each glimpse. Borrowed until the figure is drawn. */
Figure digits_figure(const Digits *digits);

/* For each sample: its picture with all boxes, then a row for each glimpse: the picture with the boxes, and the patch
 * of each scale as the retina makes it. */
Figure retina_figure(const Digits *digits);

#endif
