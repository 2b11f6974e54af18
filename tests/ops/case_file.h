/* Reads a file of the reference layout (HDF5): a batch of RAM with all that follows from it. Must not know the engine.
 * Nothing here is collective. */
#ifndef RAM_TESTS_CASE_FILE_H
#define RAM_TESTS_CASE_FILE_H

#include "base/status.h"
#include "plain_ram.h"

/* Opens *c and *out: of the outcome glimpse, location, hidden, baseline, log_pi, log_prob, reward, gradient and the
 * terms nll, baseline, reinforce and total. RAM_DATA for anything but such a case; then nothing is left open. */
Status case_file_read(const char *path, PlainCase *c, PlainOutcome *out);

#endif
