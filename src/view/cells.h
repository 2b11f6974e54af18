/* Cells: figures made of shaded cells: the confusion matrix, and heat maps of where glimpses go. Must not know where
 * the figures go. Nothing here is collective. */
#ifndef RAM_VIEW_CELLS_H
#define RAM_VIEW_CELLS_H

#include "view/figure.h"
#include "view/run.h"

typedef struct {
    int classes;
    int64_t *count; /* (classes, classes): label, said; owned */
    int64_t images, wrong;
} Confusion;

/* confusion_free() the result. */
Confusion confusion_make(const Recording *recording);
void confusion_free(Confusion *confusion);
Figure confusion_figure(const Confusion *confusion); /* borrowed until the figure is drawn */

enum { HEAT_MAPS = 15 };
typedef struct {
    const char *what; /* "glimpse" or "epoch": each map's title has its number behind it */
    int maps, of;     /* there are `of` glimpses or epochs */
    int64_t number[HEAT_MAPS];
    HeatMap *map; /* (maps), owned */
} HeatMaps;

/* heat_free() the result. */
HeatMaps heat_make(const Recording *recording); /* one for each glimpse; of many, some evenly spread */
HeatMaps heat_make_epochs(const Run *run);      /* at most six, from the first epoch that was recorded to the last */
void heat_free(HeatMaps *maps);
Figure heat_figure(const HeatMaps *maps); /* borrowed until the figure is drawn */

#endif
