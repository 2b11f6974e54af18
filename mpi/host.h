/* Host: what a rank finds where it runs: host, cores, GPUs, limits. Owns what the kernel and the launcher's environment
 * say about them. Must not know CUDA (which device a program sees is the environment's choice) nor who judges.
 * Nothing here is collective; the struct has no pointers, so that ranks can gather it. */
#ifndef RAM_MPI_HOST_H
#define RAM_MPI_HOST_H

#include <stdint.h>

enum { HOST_TEXT = 96, HOST_UNLIMITED = -1 };

typedef struct {
    char name[HOST_TEXT];
    char cores[HOST_TEXT]; /* of this rank: "0-3,8" */
    /* GPUs: those that CUDA would show this rank ("0,1,2,3", "all" where nothing restricts it, "none"), and the one
     * that it takes of them (the one with its local rank, in a circle): its number on the host, or its UUID; "" without
     * one. */
    char visible[HOST_TEXT], device[HOST_TEXT];
    int64_t files, locked, file_size, address_space; /* limits (ulimit -n -l -f -v), or HOST_UNLIMITED */
    int64_t memory, shared_memory;                   /* bytes: available, free in /dev/shm; 0 where nobody tells */
} HostFacts;

/* `local_rank`: of the ranks of this host. */
void host_facts(int local_rank, HostFacts *facts);

#endif
