/* Which backend a test runs on: its name is the test's argument. Must not know what is tested. Nothing here is
 * collective. */
#ifndef RAM_TESTS_DEVICE_H
#define RAM_TESTS_DEVICE_H

#include "backend/backend.h"

enum { TEST_SKIPPED = 77 };

/* Sets *device to the one of that name. When it cannot be had here, says so and ends the program with TEST_SKIPPED; a
 * name that is none is the end too. */
void device_choose(const char *name, DeviceChoice *device);

#endif
