/* Terminal: a run's state and curves as text. Must not know whether anybody looks, nor control a terminal. */
#ifndef RAM_VIEW_TERMINAL_H
#define RAM_VIEW_TERMINAL_H

#include "view/curves.h"

#include <stdio.h>

/* The run's last figures and curves, for a screen of `columns` (at least 40 are taken) x `lines`, with a line to spare
 * for the cursor: curves become lower, and are left out, the loss first, where there is no room for them. UTF-8. */
void terminal_show(FILE *out, const Run *run, int columns, int lines);

#endif
