/* Gpu: what tells one GPU from another, for those who choose one (mpi/devices.h) and those who compute on it (backend).
 * Must not know CUDA. */
#ifndef RAM_BASE_GPU_H
#define RAM_BASE_GPU_H

typedef struct {
    char name[64];          /* "NVIDIA H200" */
    unsigned char uuid[16]; /* unique in the world */
} Gpu;

/* The GPUs that a process sees, in the order of their indices. */
enum { GPUS_MOST = 16 };
typedef struct {
    int count;
    Gpu gpu[GPUS_MOST];
    char why[160]; /* none although there is a driver: what it says; else "" */
} GpuList;

#endif
