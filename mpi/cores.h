/* Cores: which CPUs of this host a process may use, and how the ranks of a host share them.
 * Owns affinity masks and the container's quota. Must not know MPI or launchers.
 * Nothing here is collective. */
#ifndef RAM_MPI_CORES_H
#define RAM_MPI_CORES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { CORE_WORDS = 64 }; /* 4096 CPUs */

typedef struct {
    uint64_t bits[CORE_WORDS];
} CoreMask;

/* The affinity mask of process `pid` (0: this one); empty where the kernel does not tell. */
CoreMask cores_mask(pid_t pid);

int cores_count(const CoreMask *mask);

/* "0-3,8"; what does not fit ends in ",...". `bytes` is at least 16. */
void cores_text(const CoreMask *mask, char *text, size_t bytes);

/* CPUs' worth of time that this process's control groups (version 2) grant, rounded up: a container on a large host
 * sees all CPUs in its mask and may use two. INT_MAX without a limit. */
int cores_quota(void);

/* Threads for the rank with mask `mine` of a host whose `ranks` ranks have `masks`: its own cores when no two masks
 * overlap, else an equal share of them all; never more than an equal share of `quota`; at least 1. */
int cores_share(const CoreMask *masks, int ranks, int mine, int quota);

#endif
