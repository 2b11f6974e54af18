#include "train/normalisation.h"

#include <math.h>
#include <stdio.h>

void normalisation_print(const Retina *retina, char text[NORMALISATION_TEXT]) {
    int length = 0;
    text[0] = '\0';
    for (int c = 0; c < retina->channels && retina->stddev[c] > 0; c++)
        length += snprintf(text + length, (size_t)(NORMALISATION_TEXT - length), "%s%.9g %.9g", c ? " " : "",
                           (double)retina->mean[c], (double)retina->stddev[c]);
}

Status normalisation_take(const char *text, const char *source, const Config *config, Retina *retina) {
    Retina taken = *retina;
    const char *at = text;
    int channels = 0, used;
    if (!*text) return status_ok();
    for (float mean, stddev; channels < retina->channels && sscanf(at, "%f %f%n", &mean, &stddev, &used) == 2;
         at += used) {
        if (!isfinite(mean) || !isfinite(stddev) || stddev <= 0) break;
        if (isnan(config->data_mean)) taken.mean[channels] = mean;
        if (isnan(config->data_stddev)) taken.stddev[channels] = stddev;
        channels++;
    }
    if (channels != retina->channels || *at)
        return status_error(RAM_DATA, "the normalisation in %.300s is no mean and standard deviation for each channel",
                            source);
    *retina = taken;
    return status_ok();
}
