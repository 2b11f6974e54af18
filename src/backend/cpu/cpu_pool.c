#include "backend/cpu/cpu_pool.h"
#include "base/log.h"
#include "base/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Turns of the busy loop before a thread blocks: some 50 us, longer than the gaps between the parts of a
 * step, and too short to matter where more threads than cores make others wait (measured: no loss). */
enum { SPIN_TURNS = 2000 };

typedef struct {
    CpuPool *pool;
    int worker;
    pthread_t thread;
} Worker;

/* A thread belongs to one pool for its whole life, or to none and then is worker 0 of those it calls. */
static _Thread_local int this_worker;

struct CpuPool {
    int threads;
    Worker *worker;
    void (*work)(void *context, int worker);
    void *context;
    atomic_int round;   /* counts cpu_pool_run calls; -1 ends the threads */
    atomic_int running; /* workers that have not finished this round */
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* signalled after every change of round, and when running becomes 0 */
};

static inline void pause_core(void) { __builtin_ia32_pause(); }

/* Waits until *value differs from (or, with `equal`, equals) `reference`; returns the value seen. */
static int wait_for(CpuPool *pool, atomic_int *value, int reference, bool equal) {
    int seen;
    for (int turn = 0; turn < SPIN_TURNS; turn++) {
        seen = atomic_load_explicit(value, memory_order_acquire);
        if ((seen == reference) == equal) return seen;
        pause_core();
    }
    pthread_mutex_lock(&pool->mutex);
    while (((seen = atomic_load(value)) == reference) != equal) pthread_cond_wait(&pool->changed, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
    return seen;
}

/* Wakes all after a change of round or running. Under the mutex, so that a thread about to block cannot miss it; it
 * must not change the values itself: by now others may have begun the next round. */
static void announce(CpuPool *pool) {
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->mutex);
}

static void *worker_main(void *argument) {
    Worker *worker = argument;
    CpuPool *pool = worker->pool;
    this_worker = worker->worker;
    for (int round = 0;;) {
        round = wait_for(pool, &pool->round, round, false);
        if (round < 0) return NULL;
        pool->work(pool->context, worker->worker);
        if (atomic_fetch_sub(&pool->running, 1) == 1) announce(pool);
    }
}

Status cpu_pool_new(int threads, CpuPool **pool) {
    require(threads >= 1);
    CpuPool *new = memory_new(1, sizeof *new);
    new->worker = memory_new((size_t)threads, sizeof *new->worker);
    pthread_mutex_init(&new->mutex, NULL);
    pthread_cond_init(&new->changed, NULL);
    for (new->threads = 1; new->threads < threads; new->threads++) {
        Worker *worker = &new->worker[new->threads];
        *worker = (Worker){.pool = new, .worker = new->threads};
        const int error = pthread_create(&worker->thread, NULL, worker_main, worker);
        if (error == 0) continue;
        const int started = new->threads;
        cpu_pool_free(new);
        return status_error(RAM_USAGE,
                            "cannot start thread %d of %d: %s; lower `threads`, or raise what limits processes or "
                            "memory (ulimit -u, -v)",
                            started + 1, threads, strerror(error));
    }
    *pool = new;
    return status_ok();
}

void cpu_pool_free(CpuPool *pool) {
    if (!pool) return;
    atomic_store(&pool->round, -1);
    announce(pool);
    for (int i = 1; i < pool->threads; i++) pthread_join(pool->worker[i].thread, NULL);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->worker);
    free(pool);
}

int cpu_pool_worker(void) { return this_worker; }

void cpu_pool_run(CpuPool *pool, void (*work)(void *context, int worker), void *context) {
    if (pool->threads == 1) {
        work(context, 0);
        return;
    }
    pool->work = work;
    pool->context = context;
    atomic_store(&pool->running, pool->threads - 1);
    /* after 2^30 rounds the count starts anew; it only has to differ from the one before */
    atomic_store(&pool->round, atomic_load(&pool->round) % (1 << 30) + 1);
    announce(pool);
    work(context, 0);
    wait_for(pool, &pool->running, 0, true);
}
