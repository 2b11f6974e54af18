#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/version.h"
#include "cmd/commands.h"
#include "cmd/resume.h"
#include "cmd/run_start.h"
#include "mpi/comm_check.h"
#include "mpi/host.h"
#include "store/folder_check.h"
#include "train/stop.h"
#include "train/train.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const ArgumentsSpec SPEC = {
    .command = "doctor",
    .summary = "Judges the surroundings of a training with the same arguments: ranks, cores and GPUs, messages, data, "
               "run folder, clocks, limits. The exit code is 0 where it would start, else what it would end with.",
    .takes = TAKES_NP | TAKES_RESUME | TAKES_DEVICE,
};

enum { MOST_ROWS = 32, LEAST_FILES = 64 };
static const double SLOW_REDUCTION = 0.02, SLOW_SYNC = 1, CLOCK_SPREAD = 1; /* seconds */
static const double MEGABYTE = 1048576;

/* What was found, a line per finding; the first fault decides the exit code. */
typedef struct {
    Session *session;
    Status fault;
} Page;

typedef enum { FINE, NOTE, WRONG } Verdict;

static void tell(Verdict verdict, const char *what, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void tell(Verdict verdict, const char *what, const char *format, ...) {
    static const char *const names[] = {"ok", "NOTE", "WRONG"};
    char text[600];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    log_info("%-6s %-10s %s", names[verdict], what, text);
}

/* Tells a failure, which all ranks share, and remembers the first; true where there was none. */
static bool passed(Page *page, const char *what, Status status) {
    if (!status_failed(&status)) return true;
    tell(WRONG, what, "%s", status.message);
    if (!status_failed(&page->fault)) page->fault = status;
    return false;
}

/* --- launcher and ranks */

static void judge_launcher(const Session *session) {
    static const char *const names[] = {"none", "mpirun", "srun", "one that speaks PMI"};
    const Comm *comm = session->comm;
    const char *job = launch_job_id();
    tell(FINE, "program", "ram_dist %s, revision %s, %s", version_number(), version_revision(), version_compiler());
    tell(FINE, "launcher", "%s%s%s; %d rank%s, messages by %s", names[session->launch.kind],
         job ? ", in Slurm job " : "", job ? job : "", comm_size(comm), comm_size(comm) == 1 ? "" : "s",
         comm_library(comm));
}

/* Two ranks of a host that take the same GPU wait for each other, and NCCL refuses them. */
static void judge_devices(const HostFacts *facts, int ranks) {
    int without = 0;
    for (int rank = 0; rank < ranks; rank++) {
        without += *facts[rank].device == '\0';
        for (int other = 0; *facts[rank].device && other < rank; other++) {
            if (strcmp(facts[rank].name, facts[other].name) != 0) continue;
            if (strcmp(facts[rank].device, facts[other].device) != 0) continue;
            tell(NOTE, "GPUs",
                 "ranks %d and %d of %s both take GPU %s: start one rank per GPU, with --gpus-per-node rather than "
                 "--gpus-per-task under mpirun",
                 other, rank, facts[rank].name, facts[rank].device);
            return;
        }
    }
    if (without == ranks)
        tell(FINE, "GPUs", "none");
    else if (without > 0)
        tell(NOTE, "GPUs", "%d of %d ranks have none: ask for one per rank (--gpus-per-node)", without, ranks);
    else
        tell(FINE, "GPUs", "one for each rank");
}

/* Where CUDA shows GPUs, the ones that a training would take, in place of what the environment lets expect. Returns
 * whether every rank can compute on its own. @collective */
static Status find_gpus(Comm *comm, HostFacts *facts) {
    GpuList seen;
    backend_gpus(&seen);
    Devices *devices = devices_new(comm, &seen);
    for (int rank = 0; devices_any(devices) && rank < devices->ranks; rank++) {
        *facts[rank].device = '\0';
        if (devices->gpu[rank] != DEVICE_NONE) devices_uuid_text(devices_gpu(devices, rank), facts[rank].device);
    }
    const int own = devices->gpu[comm_rank(comm)];
    devices_free(devices);
    return comm_agree(comm, backend_probe(own == DEVICE_NONE ? 0 : own));
}

static void judge_cuda(const HostFacts *facts, Status status) {
    if (!status_failed(&status)) {
        tell(FINE, "CUDA", "works"); /* jobs/common.bash looks for this line (ranks_here) */
        return;
    }
    /* The message is an error's: of it only the reason is told, without "device cuda: " and the advice. */
    static const char SUBJECT[] = "device cuda: ";
    const char *why = status.message;
    if (strncmp(why, SUBJECT, sizeof SUBJECT - 1) == 0) why += sizeof SUBJECT - 1;
    tell(*facts->device ? NOTE : FINE, "CUDA", "no GPU can be used here (%.*s): device auto takes the CPU",
         (int)strcspn(why, ";"), why);
}

static void print_ranks(const HostFacts *facts, int ranks, int threads) {
    const int rows = ranks < MOST_ROWS ? ranks : MOST_ROWS;
    log_info("       %-10s %-16s %-16s %-16s %s", "rank", "host", "cores", "GPUs it sees", "its own");
    for (int rank = 0; rank < rows; rank++)
        log_info("       %-10d %-16s %-16s %-16s %s", rank, facts[rank].name, facts[rank].cores, facts[rank].visible,
                 *facts[rank].device ? facts[rank].device : "-");
    if (rows < ranks) log_info("       and %d more", ranks - rows);
    tell(FINE, "threads", "%d a rank (rank 0)", threads);
}

/* --- clocks and limits */

/* Read by all ranks at once, as well as a barrier allows. @collective */
static void judge_clocks(Comm *comm) {
    const int ranks = comm_size(comm);
    comm_barrier(comm);
    const double mine = clock_date();
    double *all = memory_new((size_t)ranks, sizeof *all);
    comm_gather(comm, &mine, sizeof mine, all);
    double least = mine, most = mine;
    for (int rank = 0; rank < ranks; rank++) {
        if (all[rank] < least) least = all[rank];
        if (all[rank] > most) most = all[rank];
    }
    free(all);
    if (most - least > CLOCK_SPREAD)
        tell(NOTE, "clocks", "differ by %.1f s between hosts: dates of files and logs will not agree (NTP?)",
             most - least);
    else
        tell(FINE, "clocks", "within %.0f ms of each other", 1e3 * (most - least));
}

static void print_limit(int64_t limit, double unit, char text[32]) {
    if (limit == HOST_UNLIMITED)
        snprintf(text, 32, "unlimited");
    else
        snprintf(text, 32, "%.0f", (double)limit / unit);
}

static int64_t tighter(int64_t a, int64_t b) {
    if (a == HOST_UNLIMITED || b == HOST_UNLIMITED) return a == HOST_UNLIMITED ? b : a;
    return a < b ? a : b;
}

/* The tightest of all ranks. */
static void judge_limits(const HostFacts *facts, int ranks) {
    HostFacts least = facts[0];
    char files[32], locked[32], file_size[32], space[32];
    for (int rank = 1; rank < ranks; rank++) {
        least.files = tighter(least.files, facts[rank].files);
        least.locked = tighter(least.locked, facts[rank].locked);
        least.file_size = tighter(least.file_size, facts[rank].file_size);
        least.address_space = tighter(least.address_space, facts[rank].address_space);
        least.memory = tighter(least.memory, facts[rank].memory);
        least.shared_memory = tighter(least.shared_memory, facts[rank].shared_memory);
    }
    print_limit(least.files, 1, files);
    print_limit(least.locked, MEGABYTE, locked);
    print_limit(least.file_size, MEGABYTE, file_size);
    print_limit(least.address_space, MEGABYTE, space);
    tell(FINE, "limits", "open files %s; in MB: locked memory %s, file size %s, address space %s", files, locked,
         file_size, space);
    tell(FINE, "memory", "%.0f MB available, %.0f MB in /dev/shm (the least of all hosts)",
         (double)least.memory / MEGABYTE, (double)least.shared_memory / MEGABYTE);
    if (least.files != HOST_UNLIMITED && least.files < LEAST_FILES)
        tell(NOTE, "limits", "%s open files are few: ulimit -n 1024", files);
    if (least.file_size != HOST_UNLIMITED)
        tell(NOTE, "limits", "files end at %s MB, checkpoints and traces too: ulimit -f unlimited", file_size);
}

/* --- messages, store, data */

static void judge_messages(Page *page, Comm *comm) {
    double seconds;
    if (!passed(page, "messages", comm_check(comm, &seconds))) return;
    if (seconds > SLOW_REDUCTION)
        tell(NOTE, "messages",
             "right, but an all-reduce of 1 MB takes %.1f ms: more ranks than free cores, or a slow "
             "network",
             1e3 * seconds);
    else
        tell(FINE, "messages", "right; an all-reduce of 1 MB takes %.2f ms", 1e3 * seconds);
}

/* `path` is the run folder's; true where a training would open it. */
static bool judge_folder(Page *page, char path[FILE_PATH]) {
    FolderFacts facts;
    char hdf5[PROVENANCE_TEXT];
    Comm *comm = page->session->comm;
    provenance_hdf5(hdf5);
    tell(FINE, "store", "%s; a run needs neither parallel nor thread-safe", hdf5);
    Status status = arguments_run_path(&page->session->arguments, path);
    if (!status_failed(&status)) status = run_start_agree(page->session, path);
    if (!status_failed(&status)) status = folder_check(comm, path, &facts);
    if (!passed(page, "run folder", status)) return false;
    if (!log_is_first()) return true;
    tell(FINE, "run folder",
         "%.200s: %s at %.200s, seen by all ranks, %.1f GB free; write, sync and rename take %.1f ms", path,
         facts.system, facts.path, (double)facts.free_bytes / 1e9, 1e3 * facts.seconds);
    if (facts.seconds > SLOW_SYNC)
        tell(NOTE, "run folder", "is slow: save less often (checkpoint.epochs, checkpoint.seconds)");
    if (facts.clock_ahead > CLOCK_SPREAD || facts.clock_ahead < -CLOCK_SPREAD)
        tell(NOTE, "run folder", "its clock is %.1f s ahead of this host's", facts.clock_ahead);
    if (stop_file_lies_in(path)) tell(NOTE, "run folder", "has a file `stop`: a training would stop after one step");
    return true;
}

/* Data, device, and the way of the gradients, for the configuration as it is now. */
static void judge_experiment(Page *page, Resume *resume) {
    Experiment experiment;
    Provenance provenance;
    Session *session = page->session;
    if (!passed(page, "training", session_open_experiment(session, &experiment))) return;
    const Dataset *dataset = &experiment.dataset;
    tell(FINE, "data",
         "%.200s: %" PRId64 " training, %" PRId64 " validation, %" PRId64 " test images, the same on all ranks",
         dataset->directory, dataset->count[SPLIT_TRAIN], dataset->count[SPLIT_VALIDATION], dataset->count[SPLIT_TEST]);
    for (int split = 0; split < SPLITS; split++)
        log_info("       %-10s %s", split_name((Split)split), dataset->hash[split]);
    tell(FINE, "device", "%s (%s, %s)", experiment.backend->kernels->name, experiment.backend->library,
         experiment.backend->note);
    session_provenance(session, &experiment, &provenance);
    Status status = experiment_link(&experiment);
    if (!status_failed(&status))
        status = comm_agree(session->comm, resume_check_data(resume, &experiment, &provenance));
    if (!status_failed(&status)) status = train_room(&experiment);
    passed(page, "training", status);
    experiment_close(&experiment);
}

/* What a training would do once it has the run folder at `path`; NULL: it would not get that far. */
static void judge_training(Page *page, const char *path) {
    Resume resume = {0};
    Session *session = page->session;
    const bool settled =
        !path || passed(page, "training", comm_agree(session->comm, resume_open(&resume, session, path)));
    if (settled && resume.finished)
        tell(NOTE, "training", "this run is finished: nothing is left to train");
    else if (settled)
        judge_experiment(page, &resume);
    resume_close(&resume);
}

/* Everything, in the order in which a training would meet it. @collective */
static Status judge_all(Session *session) {
    Page page = {.session = session};
    char path[FILE_PATH] = "";
    Comm *comm = session->comm;
    const int ranks = comm_size(comm), threads = launch_threads(comm, session->arguments.config._threads);
    HostFacts mine, *facts = memory_new((size_t)ranks, sizeof *facts);
    host_facts(comm_local_rank(comm), &mine);
    comm_gather(comm, &mine, sizeof mine, facts);
    const Status usable = find_gpus(comm, facts);
    judge_launcher(session);
    print_ranks(facts, ranks, threads);
    judge_devices(facts, ranks);
    judge_cuda(facts, usable);
    judge_messages(&page, comm);
    judge_clocks(comm);
    judge_limits(facts, ranks);
    free(facts);
    judge_training(&page, judge_folder(&page, path) ? path : NULL);
    if (!status_failed(&page.fault)) log_info("a training with these arguments would start");
    return page.fault;
}

int command_doctor(int argc, char **argv) {
    Session session;
    int code;
    if (!session_open(&session, &SPEC, argc, argv, &code)) return code;
    return session_close(&session, judge_all(&session));
}
