#include "mpi/watch.h"
#include "base/log.h"
#include "base/memory.h"
#include "mpi/comm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { WATCH_PATH = 4096, HOST = 64, RECORD_BYTES = 4096 /* a page */ };
static const double LOOKS = 20, LEAST = 0.02, MOST = 5; /* looks in the time-out; seconds between two of them */
static const double LAST_WORDS = 10;                    /* seconds that the end of the run may take */

/* What a rank leaves for others to read. */
typedef struct {
    int64_t process;
    char host[HOST];
    atomic_uint_least64_t place; /* number << 8 | collective << 1 | inside */
    atomic_uint_least64_t beats; /* looks of the thread so far */
} Record;

struct Watch {
    int rank, size;
    uint64_t number;              /* of the collective, from 1; the main thread's */
    atomic_uint_least64_t *place; /* in one of the next two */
    Record own, *mapped;
    bool shared;
    char folder[WATCH_PATH], path[WATCH_PATH + 32];
    double seconds, interval;
    _Atomic double grace; /* seconds more */
    bool running, stop;
    pthread_t thread;
    pthread_mutex_t lock; /* of `stop` */
    pthread_cond_t wake;
};

Watch *watch_new(int rank, int size) {
    Watch *watch = memory_new(1, sizeof *watch);
    pthread_condattr_t attributes;
    watch->rank = rank;
    watch->size = size;
    watch->own.process = getpid();
    gethostname(watch->own.host, HOST - 1);
    watch->place = &watch->own.place;
    pthread_mutex_init(&watch->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&watch->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    return watch;
}

void watch_enter(Watch *watch, Collective collective) {
    const uint64_t place = ++watch->number << 8 | (uint64_t)collective << 1 | 1;
    atomic_store_explicit(watch->place, place, memory_order_relaxed);
}

void watch_leave(Watch *watch) {
    const uint64_t place = atomic_load_explicit(watch->place, memory_order_relaxed);
    atomic_store_explicit(watch->place, place & ~(uint64_t)1, memory_order_relaxed);
}

void watch_grace(Watch *watch, double seconds) { atomic_store(&watch->grace, seconds); }

static void stop_thread(Watch *watch) {
    if (!watch->running) return;
    pthread_mutex_lock(&watch->lock);
    watch->stop = true;
    pthread_cond_signal(&watch->wake);
    pthread_mutex_unlock(&watch->lock);
    pthread_join(watch->thread, NULL);
    watch->running = watch->stop = false;
}

/* --- the files */

static const char CLAIM[] = "told"; /* who makes it tells, for all */

static void record_path(const char *folder, int rank, char *path, size_t bytes) {
    snprintf(path, bytes, "%s/rank-%05d", folder, rank);
}

void watch_clear(const char *folder) {
    char path[WATCH_PATH + 256];
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (strncmp(entry->d_name, "rank-", 5) == 0 || strcmp(entry->d_name, CLAIM) == 0) unlink(path);
    }
    if (entries) closedir(entries);
    rmdir(folder);
}

static Status map_record(Watch *watch) {
    const int file = open(watch->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    /* all of it now: a full disk would show as SIGBUS later */
    int error = file < 0 ? errno : posix_fallocate(file, 0, RECORD_BYTES);
    void *memory = error ? MAP_FAILED : mmap(NULL, RECORD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (!error && memory == MAP_FAILED) error = errno;
    if (file >= 0) close(file);
    if (!error) {
        watch->mapped = memory;
        return status_ok();
    }
    unlink(watch->path);
    return status_error(RAM_IO, "cannot keep the place of a rank in %.300s: %s", watch->path, strerror(error));
}

Status watch_open(Watch *watch, const char *folder, bool shared) {
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return status_error(RAM_IO, "cannot make the folder %.300s: %s", folder, strerror(errno));
    snprintf(watch->folder, sizeof watch->folder, "%s", folder);
    record_path(folder, watch->rank, watch->path, sizeof watch->path);
    watch->shared = shared;
    TRY(map_record(watch));
    watch->mapped->process = watch->own.process;
    memcpy(watch->mapped->host, watch->own.host, HOST);
    atomic_store(&watch->mapped->place, atomic_load(&watch->own.place));
    watch->place = &watch->mapped->place;
    return status_ok();
}

void watch_close(Watch *watch) {
    stop_thread(watch);
    if (!watch->mapped) return;
    atomic_store(&watch->own.place, atomic_load(&watch->mapped->place));
    watch->place = &watch->own.place;
    munmap(watch->mapped, RECORD_BYTES);
    watch->mapped = NULL;
    unlink(watch->path);
    rmdir(watch->folder); /* succeeds for the last one */
}

/* --- the last words */

static void pause_for(double seconds) {
    struct timespec time = {.tv_sec = (time_t)seconds, .tv_nsec = (long)(1e9 * (seconds - (double)(time_t)seconds))};
    nanosleep(&time, NULL);
}

/* A sign of life. */
static void beat(Watch *watch) {
    atomic_fetch_add(watch->mapped ? &watch->mapped->beats : &watch->own.beats, 1);
    if (watch->mapped && watch->shared) msync(watch->mapped, RECORD_BYTES, MS_SYNC);
}

static void pause_beating(Watch *watch, double seconds) {
    for (double paused = 0; paused < seconds; paused += watch->interval) {
        pause_for(watch->interval);
        beat(watch);
    }
}

/* What is known of a rank. */
typedef struct {
    Record record;
    uint64_t place;
    bool known, alive; /* alive: its thread still looks */
} Peer;

static void read_peer(const Watch *watch, int rank, Record *record, bool *known) {
    char path[WATCH_PATH + 32];
    record_path(watch->folder, rank, path, sizeof path);
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    *known = file >= 0 && pread(file, record, sizeof *record, 0) == sizeof *record;
    if (file >= 0) close(file);
}

/* Seconds in which every rank that lives has looked. */
static double reading_time(const Watch *watch) { return 3 * watch->interval + 0.2; }

/* Reads all records twice, so that it shows whose heart beats, whatever the hosts' clocks say. To be freed. */
static Peer *read_peers(Watch *watch) {
    Peer *peer = memory_new((size_t)watch->size, sizeof *peer);
    Record earlier;
    for (int rank = 0; rank < watch->size; rank++) read_peer(watch, rank, &peer[rank].record, &peer[rank].known);
    pause_beating(watch, reading_time(watch));
    for (int rank = 0; rank < watch->size; rank++) {
        if (!peer[rank].known) continue;
        memcpy(&earlier, &peer[rank].record, sizeof earlier);
        read_peer(watch, rank, &peer[rank].record, &peer[rank].known);
        peer[rank].place = atomic_load(&peer[rank].record.place);
        peer[rank].alive = atomic_load(&peer[rank].record.beats) != atomic_load(&earlier.beats);
    }
    return peer;
}

static uint64_t number_of(uint64_t place) { return place >> 8; }

static const char *name_of(uint64_t place) {
    static const char *const names[COLLECTIVES] = {
        [IN_INIT] = "MPI_Init",         [IN_BARRIER] = "barrier",      [IN_BROADCAST] = "broadcast",
        [IN_GATHER] = "gathering",      [IN_REDUCTION] = "reduction",  [IN_EXCHANGE] = "exchange",
        [IN_SHARED] = "sharing memory", [IN_FINALIZE] = "MPI_Finalize"};
    return names[place >> 1 & 127];
}

/* One rank that never came: which, where, what is known of it. */
static void describe_absent(const Peer *peer, int rank, char *text, size_t bytes) {
    if (!peer->known)
        snprintf(text, bytes, "rank %d has left no word", rank);
    else
        snprintf(text, bytes, "rank %d (process %lld on %s) %s, last seen %s %s %llu", rank,
                 (long long)peer->record.process, peer->record.host,
                 peer->alive ? "is at other work" : "gives no sign of life", peer->place & 1 ? "in" : "after",
                 name_of(peer->place), (unsigned long long)number_of(peer->place));
}

/* "ranks 0-2, 5" of those for which which[rank]. */
static void print_ranks(const bool *which, int size, char *text, size_t bytes) {
    int count = 0;
    for (int rank = 0; rank < size; rank++) count += which[rank];
    size_t used = (size_t)snprintf(text, bytes, "%s", count == 1 ? "rank" : "ranks");
    const char *separator = " ";
    for (int rank = 0, end; rank < size && used < bytes; rank = end) {
        for (end = rank + 1; which[rank] && end < size && which[end];) end++;
        if (!which[rank]) continue;
        used +=
            (size_t)snprintf(text + used, bytes - used, end - rank > 1 ? "%s%d-%d" : "%s%d", separator, rank, end - 1);
        separator = ", ";
    }
}

static bool waits(const Peer *peer) { return peer->known && peer->alive && peer->place & 1; }

/* "ranks 0-1, 3 wait in exchange 7" of the ranks that wait in that place; returns the text's length. */
static size_t describe_waiting(const Watch *watch, const Peer *peer, uint64_t place, char *text, size_t bytes) {
    char ranks[96];
    bool *here = memory_new((size_t)watch->size, sizeof *here);
    int count = 0;
    for (int rank = 0; rank < watch->size; rank++)
        count += here[rank] = waits(&peer[rank]) && peer[rank].place == place;
    print_ranks(here, watch->size, ranks, sizeof ranks);
    free(here);
    return (size_t)snprintf(text, bytes, "%s wait%s in %s %llu; ", ranks, count == 1 ? "s" : "", name_of(place),
                            (unsigned long long)number_of(place));
}

/* "ranks 0-1, 3 wait in exchange 7; rank 2 (...) ...; and 3 more; ": who waits where and who never came. */
static void describe(const Watch *watch, const Peer *peer, char *text, size_t bytes) {
    enum { NAMED = 2 }; /* places, and absent ranks, told one by one */
    char absent[160];
    uint64_t place[NAMED] = {0};
    int places = 0, absences = 0;
    size_t used = 0;
    for (int rank = 0; rank < watch->size && places < NAMED; rank++)
        if (waits(&peer[rank]) && (places == 0 || peer[rank].place != place[0])) place[places++] = peer[rank].place;
    for (int i = 0; i < places && used < bytes; i++)
        used += describe_waiting(watch, peer, place[i], text + used, bytes - used);
    for (int rank = 0; rank < watch->size && used < bytes; rank++) {
        if (waits(&peer[rank]) || absences++ >= NAMED) continue;
        describe_absent(&peer[rank], rank, absent, sizeof absent);
        used += (size_t)snprintf(text + used, bytes - used, "%s; ", absent);
    }
    if (absences > NAMED && used < bytes) snprintf(text + used, bytes - used, "and %d more; ", absences - NAMED);
}

/* Seconds that a wait may take. */
static double patience(const Watch *watch) { return watch->seconds + atomic_load(&watch->grace); }

static void tell(Watch *watch) {
    static const char ADVICE[] = "--resume auto goes on from the last checkpoint";
    char text[380];
    if (watch->mapped) {
        Peer *peer = read_peers(watch);
        describe(watch, peer, text, sizeof text);
        free(peer);
    } else {
        const uint64_t place = atomic_load(watch->place);
        snprintf(text, sizeof text, "rank %d waits in %s %llu; who never came is not known; ", watch->rank,
                 name_of(place), (unsigned long long)number_of(place));
    }
    const Status status =
        status_error(RAM_TIMEOUT, "no answer for %g s (comm.timeout): %s%s", patience(watch), text, ADVICE);
    log_last_words(&status);
}

/* Seconds for which a rank lets another one tell: rank 0, which has the log, or where no claim can be made, the first
 * one that lives. */
static double courtesy(const Watch *watch) {
    if (watch->mapped) return watch->rank > 0 ? watch->interval + 0.5 : 0;
    return LAST_WORDS * (watch->rank < 8 ? watch->rank : 8);
}

/* Whether this rank is the one that tells. */
static bool claim(const Watch *watch) {
    char path[WATCH_PATH + 32];
    if (!watch->mapped) return true;
    snprintf(path, sizeof path, "%s/%s", watch->folder, CLAIM);
    const int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file >= 0) close(file);
    return file >= 0 || errno != EEXIST;
}

static void *end_all(void *nothing) {
    comm_abort(RAM_TIMEOUT);
    return nothing;
}

/* The library is stuck, and asked from another thread than the one that it knows: it may not obey. */
static _Noreturn void end_run(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, end_all, NULL) == 0) pause_for(LAST_WORDS);
    _Exit(RAM_TIMEOUT);
}

/* --- the thread */

/* Sleeps until the next look; false when the watch ends. */
static bool sleep_until_look(Watch *watch) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    const int64_t time = (int64_t)until.tv_sec * 1000000000 + until.tv_nsec + (int64_t)(1e9 * watch->interval);
    until = (struct timespec){.tv_sec = (time_t)(time / 1000000000), .tv_nsec = (long)(time % 1000000000)};
    int error = 0;
    pthread_mutex_lock(&watch->lock);
    while (!watch->stop && error != ETIMEDOUT) error = pthread_cond_timedwait(&watch->wake, &watch->lock, &until);
    const bool stop = watch->stop;
    pthread_mutex_unlock(&watch->lock);
    return !stop;
}

static void *watch_run(void *argument) {
    Watch *watch = argument;
    uint64_t last = 0;
    int looks = 0; /* that have found this rank in the same collective; a process that was itself stopped counts none */
    while (sleep_until_look(watch)) {
        const uint64_t place = atomic_load_explicit(watch->place, memory_order_relaxed);
        beat(watch);
        looks = place & 1 && place == last ? looks + 1 : 0;
        last = place;
        if (looks * watch->interval < patience(watch)) continue;
        pause_beating(watch, courtesy(watch));
        if (atomic_load(watch->place) != place) continue; /* the one who was waited for has come */
        if (claim(watch))
            tell(watch);
        else
            pause_beating(watch, reading_time(watch) + LAST_WORDS); /* ended by the one who tells */
        end_run();
    }
    return NULL;
}

void watch_start(Watch *watch, double seconds) {
    sigset_t all, before;
    if (seconds <= 0) return;
    watch->seconds = seconds;
    watch->interval = seconds / LOOKS;
    if (watch->interval < LEAST) watch->interval = LEAST;
    if (watch->interval > MOST) watch->interval = MOST;
    sigfillset(&all); /* signals are the main thread's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&watch->thread, NULL, watch_run, watch);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) fatal("pthread_create: %s", strerror(error));
    watch->running = true;
}

void watch_free(Watch *watch) {
    if (!watch) return;
    watch_close(watch);
    pthread_cond_destroy(&watch->wake);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}
