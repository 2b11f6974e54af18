/* Random batches for the tests: pictures, labels, parameters, start locations and noise, all representable in float32,
 * the same on every machine. Must not know who computes them. Nothing here is collective. */
#ifndef RAM_TESTS_RANDOM_CASE_H
#define RAM_TESTS_RANDOM_CASE_H

#include "plain_ram.h"

/* SplitMix64 (Steele et al. 2014). */
typedef struct {
    uint64_t state;
} Dice;

uint64_t dice_bits(Dice *dice);
double dice_signed(Dice *dice); /* uniform in [-1, 1), float32 */
double dice_normal(Dice *dice); /* standard normal, float32 */

/* Opens a case whose dims, batch and samples are set and fills its arrays. Predictions differ between rows, and every
 * second image's label is what its first roll-out predicts: there are right and wrong answers. */
void random_case_open(PlainCase *c, uint64_t seed);

#endif
