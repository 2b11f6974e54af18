#include "cmd/session.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/version.h"
#include "cmd/restart.h"
#include "config/text.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Ended by NULL; free() it. */
static char **full_line(const ArgumentsSpec *spec, int argc, char **argv) {
    char **line = memory_new((size_t)argc + 2, sizeof *line);
    line[0] = "ram_dist";
    line[1] = (char *)(uintptr_t)spec->command;
    for (int i = 1; i < argc; i++) line[i + 1] = argv[i];
    return line;
}

/* The end of a process that has no communicator yet; rank 0 tells the error. */
static int end_alone(Session *session, Status status) {
    if (status_failed(&status) && session->launch.rank == 0) log_error(&status);
    free(session->line);
    return (int)status.code;
}

/* Faults that a test wants, of numbers (train/fault.h) or of storage (base/atomic_file.h); RAM_FAULT is documented in
 * the README. */
static Status arm_fault(Session *session) {
    const char *text = launch_fault();
    FileFault fault;
    if (!text || train_fault_parse(text, &session->fault)) return status_ok();
    const Status parsed = atomic_file_parse_fault(text, comm_rank(session->comm), &fault);
    if (status_failed(&parsed))
        return status_error(RAM_USAGE,
                            "RAM_FAULT is '%s': give KIND:N[+][@RANK] with kill, enospc, eio or short, nan:STEP[+] or "
                            "flip:STEP@RANK",
                            text_excerpt(text).text);
    atomic_file_set_fault(fault);
    return status_ok();
}

/* What was closed (`>&-`) would be the number of the next file that is opened, which would get what is printed. Here
 * too writing fails, and reading finds the end. */
static void occupy_standard(void) {
    int descriptor;
    do descriptor = open("/dev/null", O_RDONLY);
    while (descriptor >= 0 && descriptor <= STDERR_FILENO);
    if (descriptor >= 0) close(descriptor);
}

void session_begin(void) {
    Launch launch;
    occupy_standard();
    signal(SIGXFSZ, SIG_IGN); /* a write beyond the limit on a file's size (ulimit -f) is an error like others */
    launch_detect(&launch);   /* a failure is told by the commands that need ranks */
    log_open(launch.rank, launch.size, launch_terminal(&launch), NULL);
}

/* Whether threads have the stack that LIBXSMM takes to make its code, more than half a MiB, and the sums over lanes. */
static Status check_stack(void) {
    enum { LEAST = 2 << 20 };
    struct rlimit limit;
    if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur >= LEAST) return status_ok();
    return status_error(RAM_USAGE, "the limit of a stack (ulimit -s) is %llu KiB: allow %d or more",
                        (unsigned long long)limit.rlim_cur / 1024, LEAST / 1024);
}

/* What ranks that compute together must have been asked for, or they would wait for each other. */
typedef struct {
    char program[128];    /* version, revision, compiler */
    char line[HASH_TEXT]; /* of the arguments */
} Request;

static Request own_request(const Session *session) {
    Request request;
    char *text = NULL;
    size_t bytes = 0;
    memset(&request, 0, sizeof request);
    snprintf(request.program, sizeof request.program, "%s, revision %s, %s", version_number(), version_revision(),
             version_compiler());
    FILE *memory = memory_stream_open(&text, &bytes);
    for (int i = 1; session->line[i]; i++) fprintf(memory, "%s%c", session->line[i], 0);
    memory_stream_close(memory);
    hash_memory(text, bytes, request.line);
    free(text);
    return request;
}

static Status compare_requests(const Request *request, int ranks) {
    for (int rank = 1; rank < ranks; rank++) {
        if (strcmp(request[0].program, request[rank].program) != 0)
            return status_error(RAM_UNAVAILABLE,
                                "rank 0 is ram_dist %s, rank %d is %s: install the same build on all hosts",
                                request[0].program, rank, request[rank].program);
        if (strcmp(request[0].line, request[rank].line) != 0)
            return status_error(RAM_USAGE, "rank 0 and rank %d were given different arguments: give all the same",
                                rank);
    }
    return status_ok();
}

/* Builds, arguments, and what a file of configuration says. @collective */
static Status check_request(const Session *session) {
    const int ranks = comm_size(session->comm);
    const Request mine = own_request(session);
    Request *all = memory_new((size_t)ranks, sizeof *all);
    comm_gather(session->comm, &mine, sizeof mine, all);
    const Status status = compare_requests(all, ranks);
    free(all);
    TRY(status); /* the same on every rank */
    return experiment_compare_configs(session->comm, &session->arguments.config);
}

/* The part that needs no communicator. *code: of what is over with it, help or ranks that it started; -1: go on. */
static Status begin(Session *session, int *code) {
    const Arguments *arguments = &session->arguments;
    *code = -1;
    TRY(arguments_parse(&session->arguments, session->spec, session->argc, session->argv));
    if (arguments->help) {
        *code = RAM_OK;
        return status_ok();
    }
    TRY(check_stack());
    if (session->launch.kind == LAUNCH_ALONE && arguments->np > 1 && session->spec->check)
        TRY(session->spec->check(arguments, arguments->np));
    return restart_ranks(&session->launch, arguments, session->line, code);
}

bool session_open(Session *session, const ArgumentsSpec *spec, int argc, char **argv, int *code) {
    *session = (Session){
        .spec = spec, .argc = argc, .argv = argv, .line = full_line(spec, argc, argv), .started = clock_now()};
    Status launched = launch_detect(&session->launch);
    if (status_failed(&launched)) {
        *code = end_alone(session, launched);
        return false;
    }
    Status status = begin(session, code);
    if (*code >= 0) {
        end_alone(session, status_ok());
        return false;
    }
    if (status_failed(&status) && session->launch.kind == LAUNCH_ALONE) {
        *code = end_alone(session, status);
        return false;
    }
    Status opened = launch_comm(&session->launch, (CommChoice)session->arguments.config.comm_backend,
                                session->arguments.config.comm_timeout, &session->comm);
    log_open(comm_rank(session->comm), comm_size(session->comm), launch_terminal(&session->launch), comm_abort);
    if (!status_failed(&status)) status = opened;
    if (!status_failed(&status)) status = arm_fault(session);
    status = comm_agree(session->comm, status);
    if (!status_failed(&status)) status = comm_watch(session->comm, session->arguments.config.comm_timeout, NULL);
    if (!status_failed(&status)) status = check_request(session);
    if (status_failed(&status)) *code = session_close(session, status);
    return !status_failed(&status);
}

Status session_parse_again(Session *session, const Config *base) {
    ArgumentsSpec spec = *session->spec;
    spec.base = base;
    return arguments_parse(&session->arguments, &spec, session->argc, session->argv);
}

Status session_open_experiment(const Session *session, Experiment *experiment) {
    const Config *config = &session->arguments.config;
    const int threads = launch_threads(session->comm, config->_threads);
    return experiment_open(experiment, config, session->comm, threads, launch_data_directory());
}

void session_provenance(const Session *session, const Experiment *experiment, Provenance *provenance) {
    const Backend *backend = experiment->backend;
    const char *job = launch_job_id();
    *provenance = (Provenance){0};
    provenance_collect(provenance, comm_size(session->comm), session->argc + 1, session->line);
    snprintf(provenance->mpi, sizeof provenance->mpi, "%s", comm_library(session->comm));
    snprintf(provenance->products, sizeof provenance->products, "%s, %s", backend->library, backend->note);
    if (experiment->device == DEVICE_CUDA)
        snprintf(provenance->device, sizeof provenance->device, "%s", backend->kernels->name);
    else
        snprintf(provenance->device, sizeof provenance->device, "%s, %d thread%s", backend->kernels->name,
                 backend->workers, backend->workers == 1 ? "" : "s");
    snprintf(provenance->slurm_job, sizeof provenance->slurm_job, "%s", job ? job : "");
    dataset_hashes(&experiment->dataset, provenance->data_hashes);
}

int session_close(Session *session, Status status) {
    if (status_failed(&status)) log_error(&status);
    comm_free(session->comm);
    free(session->line);
    log_detach();
    return (int)status.code;
}
