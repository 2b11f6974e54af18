/* Checked: a backend that passes every kernel on to another one, whose memory it keeps apart from the host's: addresses
 * that it hands out cannot be dereferenced, every operand must lie within one array, new memory holds NaN, and guards
 * around all arrays are verified after each kernel. It finds what would only fail on a GPU: host and device mixed up,
 * memory taken as zeroed, a kernel or a caller beyond an array's end. Results are the other backend's, bit for bit.
 * Must not know what is computed. Nothing is collective. */
#ifndef RAM_BACKEND_CHECKED_H
#define RAM_BACKEND_CHECKED_H

#include "backend/backend.h"

/* Takes `inner` (whose memory must be the host's) over; backend_close() the result. */
Backend *checked_new(Backend *inner);

#endif
