/* A pool of threads that run one function together. Owns its threads; must not know what they compute.
 * Nothing is collective over ranks. One thread, the one that made the pool, may call cpu_pool_run. */
#ifndef RAM_BACKEND_CPU_POOL_H
#define RAM_BACKEND_CPU_POOL_H

#include "base/status.h"

typedef struct CpuPool CpuPool;

/* threads >= 1, the caller being one of them. RAM_USAGE: the system gives no more. */
Status cpu_pool_new(int threads, CpuPool **pool);
void cpu_pool_free(CpuPool *pool); /* NULL is allowed */

/* Which worker of its pool the calling thread is; 0 outside of any. */
int cpu_pool_worker(void);

/* Runs work(context, worker) on every thread, worker 0 on the caller's; returns when all have returned. */
void cpu_pool_run(CpuPool *pool, void (*work)(void *context, int worker), void *context);

#endif
