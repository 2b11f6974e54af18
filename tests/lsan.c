/* Linked into every program of a build with sanitizers: whether it looks for leaks when it ends.
 * A rank under mpirun leaves behind what Open MPI's libraries keep, some of them unloaded by then; to tell that apart
 * each allocation must be followed back through all its callers, which triples the time of the tests of whole programs.
 * RAM_LSAN=one (tests/run.sh) spares those ranks; a program of one rank never starts MPI and is always looked at. */
#include <stdlib.h>
#include <string.h>

int __lsan_is_turned_off(void);

int __lsan_is_turned_off(void) {
    const char *which = getenv("RAM_LSAN");
    return which && !strcmp(which, "one") && getenv("OMPI_COMM_WORLD_RANK");
}
