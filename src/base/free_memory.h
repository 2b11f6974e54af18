/* How much memory this process can still have: the host's, within what its control groups (a Slurm job's --mem, a
 * container's limit) and the limit of its address space leave it. Nothing here is collective. */
#ifndef RAM_BASE_FREE_MEMORY_H
#define RAM_BASE_FREE_MEMORY_H

#include <stdint.h>

/* Bytes, an estimate: other processes take and give back; caches that the kernel would drop count as free, swap space
 * does not. INT64_MAX where nobody tells. */
int64_t free_memory(void);

/* The same without the address space, from other places than /proc/meminfo, /proc/self/cgroup and /sys/fs/cgroup. */
int64_t free_memory_by(const char *meminfo, const char *cgroup, const char *hierarchy);

#endif
