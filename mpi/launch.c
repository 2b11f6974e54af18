#define _GNU_SOURCE /* process_vm_readv */
#include "mpi/launch.h"
#include "base/log.h"
#include "base/memory.h"
#include "mpi/cores.h"

#include <errno.h>
#include <execinfo.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* --- what the launcher says */

/* The number in environment variable `name`, or -1 where it is not there or not a number. */
static int environment_int(const char *name) {
    const char *text = getenv(name);
    if (!text || *text < '0' || *text > '9') return -1;
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    return errno == 0 && *end == '\0' && value <= INT_MAX ? (int)value : -1;
}

/* Tasks of node `node` by Slurm's run-length list "4(x2),3" (nodes 0 and 1 have 4, node 2 has 3); 0 where unknown. */
static int slurm_local_size(const char *list, int node) {
    while (list && node >= 0) {
        int tasks = 0, repeat = 1, used = 0;
        if (sscanf(list, "%d%n(x%d)%n", &tasks, &used, &repeat, &used) < 1 || tasks < 0 || repeat < 1) return 0;
        if (node < repeat) return tasks;
        node -= repeat;
        list = list[used] == ',' ? list + used + 1 : NULL;
    }
    return 0;
}

static bool told(Launch *launch, LaunchKind kind, const char *rank, const char *size) {
    int the_rank = environment_int(rank), the_size = environment_int(size);
    if (the_size < 1 || the_rank < 0 || the_rank >= the_size) return false;
    *launch = (Launch){.kind = kind, .rank = the_rank, .size = the_size};
    return true;
}

Status launch_detect(Launch *launch) {
    *launch = (Launch){.kind = LAUNCH_ALONE, .rank = 0, .size = 1, .local_size = 1};
    /* First mpirun: inside an allocation its ranks also see the Slurm step of their daemon. */
    if (told(launch, LAUNCH_MPIRUN, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")) {
        int local = environment_int("OMPI_COMM_WORLD_LOCAL_SIZE");
        launch->local_size = local > 0 ? local : 0;
        return status_ok();
    }
    /* A batch script has SLURM_PROCID and SLURM_NTASKS too; only a step has a step id and its own number of tasks. */
    if (getenv("SLURM_STEP_ID") && environment_int("SLURM_STEP_NUM_TASKS") > 1 &&
        told(launch, LAUNCH_SLURM, "SLURM_PROCID", "SLURM_STEP_NUM_TASKS")) {
        launch->local_size = slurm_local_size(getenv("SLURM_STEP_TASKS_PER_NODE"), environment_int("SLURM_NODEID"));
        if (getenv("PMIX_RANK")) return status_ok();
        return status_error(RAM_USAGE,
                            "this Slurm step has %d tasks that cannot find each other (no PMIx): start it with "
                            "`srun --mpi=pmix`, or start one task with --np %d",
                            launch->size, launch->size);
    }
    if (environment_int("PMI_SIZE") > 1) told(launch, LAUNCH_PMI, "PMI_RANK", "PMI_SIZE");
    return status_ok();
}

/* --- from one process to its ranks */

bool launch_is_watched(void) { return getenv(MPIRUN_MARK) != NULL; }

Status launch_ranks(const Launch *launch, int np, bool watched, char **argv, StopAsked *asked, RanksEnd *end) {
    *end = (RanksEnd){.code = -1};
    if (np == LAUNCH_NP_NONE) return status_ok();
    if (launch->kind != LAUNCH_ALONE) {
        if (np == launch->size) return status_ok();
        return status_error(RAM_USAGE, "--np %d disagrees with the launcher, which started %d rank%s: leave --np out",
                            np, launch->size, launch->size == 1 ? "" : "s");
    }
    if (np == 1 && (!watched || launch_is_watched())) return status_ok();
    if (launch_is_watched())
        return status_error(RAM_UNAVAILABLE,
                            "mpirun in PATH is not that of Open MPI: it started a rank without telling it its number. "
                            "Put Open MPI's mpirun first in PATH (Debian: openmpi-bin)");
    return mpirun_run(np, argv, launch_terminal(launch), asked, end);
}

/* --- communicator and threads */

Status launch_comm(const Launch *launch, CommChoice choice, double seconds, Comm **comm) {
    if (launch->size == 1 && choice != COMM_MPI) {
        *comm = comm_self_new();
        return status_ok();
    }
    *comm = comm_mpi_new(launch->rank, seconds);
    if (choice == COMM_SELF)
        return status_error(RAM_USAGE, "comm.backend is self, which is one rank, but %d were started: use auto or mpi",
                            launch->size);
    if (comm_size(*comm) != launch->size)
        return status_error(
            RAM_UNAVAILABLE,
            "the launcher started %d ranks but %s sees %d: start them with the mpirun that belongs to it", launch->size,
            comm_library(*comm), comm_size(*comm));
    return status_ok();
}

int launch_threads(Comm *comm, int64_t wanted) {
    typedef struct {
        CoreMask mask;
        int quota;
    } Usable;
    int size = comm_size(comm);
    Usable mine = {cores_mask(0), cores_quota()};
    Usable *all = memory_new((size_t)size, sizeof *all);
    int *hosts = memory_new((size_t)size, sizeof *hosts);
    CoreMask *local = memory_new((size_t)comm_local_size(comm), sizeof *local);
    int host = comm_host(comm), ranks = 0, own = 0;
    comm_gather(comm, &mine, sizeof mine, all);
    comm_gather(comm, &host, sizeof host, hosts);
    for (int rank = 0; rank < size; rank++) {
        if (hosts[rank] != host) continue;
        if (rank == comm_rank(comm)) own = ranks;
        require(ranks < comm_local_size(comm));
        local[ranks++] = all[rank].mask;
    }
    int share = cores_share(local, ranks, own, mine.quota);
    free(local);
    free(hosts);
    free(all);
    return wanted > 0 ? (int)wanted : share;
}

/* --- the launcher's process: it is the one that sees the host and the terminal as the user gave them */

/* Parent and name of process `pid` from /proc; false when it is gone. */
static bool process_parent(pid_t pid, pid_t *parent, char name[32]) {
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    FILE *file = fopen(path, "re");
    if (!file) return false;
    bool read = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    /* "pid (name) state parent ..."; the name may hold anything, so the last parenthesis counts */
    char *open = strchr(line, '('), *close = strrchr(line, ')');
    int number;
    if (!read || !open || !close || close < open || sscanf(close + 1, " %*c %d", &number) != 1) return false;
    *parent = number;
    snprintf(name, 32, "%.*s", (int)(close - open - 1), open + 1);
    return true;
}

/* The nearest ancestor that is mpirun or a daemon of a launcher (scripts may stand between), or 0. */
static pid_t launcher_process(void) {
    static const char *const names[] = {"mpirun", "mpiexec", "orterun", "orted", "prterun", "prted", "slurmstepd"};
    pid_t pid = getppid();
    for (int depth = 0; depth < 16 && pid > 1; depth++) {
        char name[32];
        pid_t parent;
        if (!process_parent(pid, &parent, name)) return 0;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (strncmp(name, names[i], strlen(names[i])) == 0) return pid;
        pid = parent;
    }
    return 0;
}

/* Whether stdout of process `pid` is a terminal. Its name is enough: opening it could disturb its owner. */
static bool shows_terminal(pid_t pid) {
    char path[64], target[64];
    snprintf(path, sizeof path, "/proc/%ld/fd/1", (long)pid);
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length < 0) return false;
    target[length] = '\0';
    return strncmp(target, "/dev/pts/", 9) == 0 || strncmp(target, "/dev/tty", 8) == 0 ||
           strcmp(target, "/dev/console") == 0;
}

bool launch_terminal(const Launch *launch) {
    const char *type = getenv("TERM");
    if (!type || *type == '\0' || strcmp(type, "dumb") == 0) return false;
    if (launch->kind != LAUNCH_MPIRUN) return isatty(STDOUT_FILENO);
    const char *mark = getenv(MPIRUN_MARK);
    if (mark) return strcmp(mark, MPIRUN_MARK_TERMINAL) == 0;
    pid_t launcher = launcher_process();
    return launcher > 0 && isatty(STDOUT_FILENO) && shows_terminal(launcher);
}

/* --- the MPI library */

/* CPUs that the ranks of this host may use together. A rank's own mask may be its share of them alone, so the
 * launcher's is asked too, which the ranks' masks are cut from. */
static int host_cores(const Launch *launch) {
    CoreMask mask = cores_mask(0);
    int cores = cores_count(&mask);
    pid_t launcher = launcher_process();
    if (launcher > 0) {
        CoreMask whole = cores_mask(launcher);
        if (cores_count(&whole) > cores) cores = cores_count(&whole);
    }
    /* Slurm's daemon sees the whole node, the step only what it was granted. */
    int granted = launch->kind == LAUNCH_SLURM ? environment_int("SLURM_CPUS_ON_NODE") : -1;
    if (granted > 0 && granted < cores) cores = granted;
    int quota = cores_quota();
    return quota < cores ? quota : cores;
}

/* Containers may forbid a process to read another one's memory, which Open MPI's shared-memory transport would do for
 * long messages, with a warning per message where it fails. What is forbidden is the call, so one on ourselves tells.
 */
static bool memory_copy_allowed(void) {
    char from = 1, to = 0;
    struct iovec local = {&to, 1}, remote = {&from, 1};
    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1;
}

void launch_prepare_mpi(void) {
    Launch launch;
    launch_detect(&launch);
    /* Waiting ranks spin. When they outnumber the cores, the one that is waited for gets no core until its turn comes
     * (18 ms instead of 10 us for a 4-byte all-reduce of 4 ranks on 2 cores), unless they yield. Open MPI knows slots,
     * not cores: inside a Slurm allocation it is wrong, and under srun it never looks. */
    if (launch.local_size > host_cores(&launch)) setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
    /* Open MPI prints the stack of a rank that crashes. The first backtrace() of a process loads a library, for which a
     * rank that has crashed inside of malloc would wait for ever, and the others for it. */
    void *frame;
    backtrace(&frame, 1);
    /* On one host shared memory carries everything; looking for fabrics takes half of MPI_Init's time. */
    if (launch.local_size == launch.size) setenv("OMPI_MCA_pml", "ob1", 0);
    if (!memory_copy_allowed()) setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 0);
}

void launch_prepare_nccl(void) {
    /* Sums inside the switch are not repeatable, and what is fast is to be so (train.reduction). */
    if (!getenv("NCCL_ALGO")) setenv("NCCL_NVLS_ENABLE", "0", 0);
    /* NCCL may register the buffers of sums that a CUDA graph holds, and cut these otherwise: a recorded sum is to have
     * the bits of one that is not. */
    setenv("NCCL_GRAPH_REGISTER", "0", 0);
    /* It would go before what the program asks for, and no wait would have a limit. */
    setenv("NCCL_COMM_BLOCKING", "0", 1);
}

/* --- the user's own variables */

static const char *variable(const char *name) {
    const char *text = getenv(name);
    return text && *text ? text : NULL;
}

const char *launch_data_directory(void) { return variable("RAM_DATA"); }

const char *launch_fault(void) { return variable("RAM_FAULT"); }

const char *launch_job_id(void) { return getenv("SLURM_JOB_ID"); }

int64_t launch_job_end(void) {
    const char *text = getenv("SLURM_JOB_END_TIME");
    long long end = 0;
    return text && sscanf(text, "%18lld", &end) == 1 && end > 0 ? end : 0;
}
