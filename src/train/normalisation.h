/* Normalisation: the mean and standard deviation of each channel that a model is trained with, as a text that goes with
 * it, since `auto` measures them on the images of the day. Nothing here is collective. */
#ifndef RAM_TRAIN_NORMALISATION_H
#define RAM_TRAIN_NORMALISATION_H

#include "backend/backend.h"
#include "config/config.h"

enum { NORMALISATION_TEXT = 128 };

/* "MEAN STDDEV" for each channel, to the bit; "" where the retina has none yet. */
void normalisation_print(const Retina *retina, char text[NORMALISATION_TEXT]);

/* Gives the retina what such a text says of what the configuration leaves to `auto`; "" changes nothing. RAM_DATA for a
 * text that is none of its channels', which comes from `source`. */
Status normalisation_take(const char *text, const char *source, const Config *config, Retina *retina);

#endif
