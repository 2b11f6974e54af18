/* Stop: a request to end the training in order, by signal (mpi/stop_signals.h). Owns the handlers. Each rank may see
 * it at another time; the step's reduction makes one decision of it. Nothing here is collective. */
#ifndef RAM_TRAIN_STOP_H
#define RAM_TRAIN_STOP_H

#include <stdbool.h>

/* Installs the handlers. */
void stop_watch(void);

/* Whether this rank was asked to stop. */
bool stop_requested(void);

#endif
