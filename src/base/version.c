#include "base/version.h"
#include "revision.h"

const char *version_number(void) { return RAM_VERSION; }
const char *version_revision(void) { return RAM_REVISION; }
const char *version_compiler(void) { return RAM_COMPILER; }
