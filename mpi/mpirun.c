#include "mpi/mpirun.h"
#include "base/memory.h"
#include "mpi/stop_signals.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The shell's code for a command that cannot be run; no rank ends with it. */
enum { CANNOT_RUN = 127 };

/* mpirun's arguments, ending with NULL; `count` and `program` live as long as the result. To be freed. */
static char **command_new(char *count, char *program, char **argv) {
    char *fixed[] = {
        "mpirun",
        "--quiet",         /* no banner after an exit code that is ours to explain */
        "--oversubscribe", /* more ranks than cores is the user's choice */
        "--bind-to",       /* else rank 0 of every run on this host sits on core 0 */
        "none",
        "-x",
        MPIRUN_MARK,
        "-np",
        count,
        program,
    };
    size_t fixed_count = sizeof fixed / sizeof *fixed, arguments = 0;
    while (argv[0] && argv[arguments + 1]) arguments++;
    char **command = memory_new(fixed_count + arguments + 1, sizeof *command);
    memcpy(command, fixed, sizeof fixed);
    if (arguments > 0) memcpy(command + fixed_count, argv + 1, arguments * sizeof *argv);
    return command;
}

/* The signals to pass on: those that this process was not told to ignore (nohup), and the child's end. */
static sigset_t watched_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    for (int i = 0; i < STOP_SIGNALS_COUNT; i++)
        if (!stop_signal_ignored(STOP_SIGNALS[i])) sigaddset(&set, STOP_SIGNALS[i]);
    return set;
}

/* In the child: never returns. `parent` is who started it, `mask` the signal mask to give it. */
static _Noreturn void become_mpirun(char **command, bool terminal, pid_t parent, const sigset_t *mask) {
    setpgid(0, 0); /* a terminal's Ctrl-C reaches us alone, and is passed on as a request to stop */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(CANNOT_RUN);
    close(STDIN_FILENO);
    open("/dev/null", O_RDONLY); /* takes the lowest free number, which is stdin's */
    setenv(MPIRUN_MARK, terminal ? MPIRUN_MARK_TERMINAL : "0", 1);
    if (geteuid() == 0) { /* mpirun refuses root without both */
        setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
        setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    }
    sigprocmask(SIG_SETMASK, mask, NULL);
    execvp(command[0], command);
    free(command);
    _exit(CANNOT_RUN);
}

/* Waits for `child` and passes signals on; returns its wait status, and in *first the first signal to stop, or 0. */
static int wait_passing_signals(pid_t child, const sigset_t *watched, int *first) {
    *first = 0;
    for (;;) {
        int status = 0, signal = 0;
        if (waitpid(child, &status, WNOHANG) == child) return status;
        if (sigwait(watched, &signal) != 0 || signal == SIGCHLD) continue;
        bool again = *first != 0 && signal != SIGUSR1 && signal != SIGUSR2;
        if (*first == 0) *first = signal;
        kill(child, again ? SIGTERM : SIGUSR1); /* mpirun hands SIGUSR1 to all ranks, and ends them on SIGTERM */
    }
}

static Status killed(int signal) {
    bool crashed = signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL || signal == SIGABRT;
    return status_error(crashed ? RAM_INTERNAL : RAM_UNAVAILABLE, "a rank was ended by signal %d (%s), so all were: %s",
                        signal, strsignal(signal),
                        crashed ? "please report this with the lines above"
                                : "look for who did it (the kernel does when memory runs out), then start again with "
                                  "--resume auto");
}

/* Whether a rank chose this code, and so has said why. */
static bool is_own_code(int exit_code) {
    switch (exit_code) {
    case RAM_OK:
    case RAM_USAGE:
    case RAM_DATA:
    case RAM_UNAVAILABLE:
    case RAM_INTERNAL:
    case RAM_IO:
    case RAM_STOPPED:
    case RAM_NUMERIC:
    case RAM_TIMEOUT:
        return true;
    default:
        return false;
    }
}

/* What an exit code means that no rank chose. */
static Status explain(int exit_code, int np) {
    if (exit_code == CANNOT_RUN)
        return status_error(
            RAM_UNAVAILABLE,
            "cannot run mpirun, which --np %d needs: install Open MPI (Debian: openmpi-bin) and see that "
            "mpirun is in PATH",
            np);
    if (exit_code > 128 && exit_code < 128 + NSIG) return killed(exit_code - 128);
    return status_error(RAM_UNAVAILABLE,
                        "mpirun failed with exit code %d while running %d ranks: `mpirun -np %d hostname` tells more",
                        exit_code, np, np);
}

Status mpirun_run(int np, char **argv, bool terminal, int *code) {
    for (int i = 1; argv[0] && argv[i]; i++)
        if (strcmp(argv[i], ":") == 0)
            return status_error(RAM_USAGE,
                                "argument %d is a lone `:`, which mpirun takes for the start of another "
                                "program: write it another way, e.g. ./: for a path",
                                i);
    char program[PATH_MAX], count[16];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length < 0)
        return status_error(RAM_IO, "cannot read /proc/self/exe, to start %d ranks: %s", np, strerror(errno));
    program[length] = '\0';
    snprintf(count, sizeof count, "%d", np);

    sigset_t watched = watched_signals(), before;
    signal(SIGCHLD, SIG_DFL); /* an inherited SIG_IGN would lose the exit code */
    sigprocmask(SIG_BLOCK, &watched, &before);
    char **command = command_new(count, program, argv);
    fflush(NULL);
    pid_t parent = getpid(), child = fork();
    if (child == 0) become_mpirun(command, terminal, parent, &before);
    int fork_error = errno, first = 0;
    int status = child > 0 ? wait_passing_signals(child, &watched, &first) : 0;
    sigprocmask(SIG_SETMASK, &before, NULL);
    free(command);
    if (child < 0) return status_error(RAM_UNAVAILABLE, "cannot start mpirun: %s", strerror(fork_error));

    int exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    bool own = is_own_code(exit_code);
    if (!own && first == 0) return explain(exit_code, np);
    *code = own ? exit_code : 128 + first; /* the user's own signal needs no explanation */
    return status_ok();
}
