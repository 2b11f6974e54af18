#include "random_case.h"

#include <math.h>

uint64_t dice_bits(Dice *dice) {
    uint64_t z = dice->state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

double dice_signed(Dice *dice) { return (double)(dice_bits(dice) >> 40) * 0x1p-23 - 1; }

double dice_normal(Dice *dice) {
    const double radius = sqrt(-2 * log((double)((dice_bits(dice) >> 40) + 1) * 0x1p-24));
    return (double)(float)(radius * cos(3.14159265358979323846 * dice_signed(dice)));
}

/* The log-probabilities that decide about `row`. */
static const double *deciding(const PlainCase *c, const PlainOutcome *out, int64_t row) {
    return out->log_prob + ((c->dims.glimpses - 1) * plain_rows(c) + row) * c->dims.classes;
}

/* Takes most of the classes' means off the classifier's biases, so that rows differ in what they predict; all of it
 * would make the classes of a single row equal. */
static void balance_classes(PlainCase *c, PlainOutcome *out) {
    double *bias = c->values + c->parameters.layout.field[c->parameters.classifier.bias].offset;
    plain_forward(c, &(PlainGiven){0}, out);
    for (int i = 0; i < c->dims.classes; i++) {
        double mean = 0;
        for (int64_t row = 0; row < plain_rows(c); row++) mean += deciding(c, out, row)[i] / (double)plain_rows(c);
        bias[i] = (double)(float)(bias[i] - 0.9 * mean);
    }
}

static void label_right(PlainCase *c, PlainOutcome *out) {
    plain_forward(c, &(PlainGiven){0}, out);
    for (int64_t image = 0; image < c->batch; image += 2) {
        const double *row = deciding(c, out, image * c->samples);
        c->labels[image] = 0;
        for (int i = 1; i < c->dims.classes; i++)
            if (row[i] > row[c->labels[image]]) c->labels[image] = (uint8_t)i;
    }
}

void random_case_open(PlainCase *c, uint64_t seed) {
    Dice dice = {seed};
    plain_case_open(c);
    const Retina *retina = &c->dims.retina;
    const int64_t rows = plain_rows(c);
    for (int64_t i = 0; i < c->batch * retina->height * retina->width * retina->channels; i++)
        c->pixels[i] = (uint8_t)dice_bits(&dice);
    for (int64_t i = 0; i < c->batch; i++) c->labels[i] = (uint8_t)(dice_bits(&dice) % (uint64_t)c->dims.classes);
    for (int i = 0; i < c->parameters.layout.fields; i++) {
        const Field *field = &c->parameters.layout.field[i];
        const double bound = field->dimensions == 2 ? sqrt(3 / (double)field->shape[1]) : 0.3;
        for (size_t j = 0; j < field->count; j++)
            c->values[field->offset + j] = (double)(float)(bound * dice_signed(&dice));
    }
    for (int64_t i = 0; i < rows * 2; i++) c->start[i] = dice_signed(&dice);
    for (int64_t i = 0; i < c->dims.glimpses * rows * 2; i++) c->noise[i] = dice_normal(&dice);
    PlainOutcome out;
    plain_outcome_open(&out, c);
    balance_classes(c, &out);
    label_right(c, &out);
    plain_outcome_close(&out);
}
