#define _GNU_SOURCE /* pipe2 */
#include "mpi/mpirun.h"
#include "base/clock.h"
#include "base/memory.h"
#include "mpi/mpirun_output.h"
#include "mpi/stop_signals.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* The shell's code for a command that cannot be run; no rank ends with it. */
enum { CANNOT_RUN = 127 };

static const int64_t ASK_AGAIN = 1000, LOOK_AGAIN = 1000;
static const int64_t STUCK = 10000;    /* milliseconds that mpirun may go on with fewer ranks than it had, */
static const int64_t BARREN = 60000;   /* or without any, */
static const int64_t DEAF = 5000;      /* or after it was told to end */
static const int64_t LEFT_OVER = 3000; /* milliseconds that processes have to end after mpirun */

typedef struct {
    pid_t process; /* mpirun, or the one rank; 0: it has ended */
    bool is_rank;
    int signals; /* descriptor that tells of signals */
    int output;  /* mpirun's stderr; -1: none */
    MpirunOutput words;
    int first;           /* signal that asked to stop; 0: none */
    int64_t interrupted; /* when the first Ctrl-C came; 0: not yet */
    int64_t asked;       /* when the request was last passed on */
    int64_t ended;       /* when mpirun was told to end its ranks; 0: not yet */
    int ranks;           /* most that were seen alive */
    bool rank_ended;     /* fewer are alive now */
    int64_t short_since; /* when they were last seen all */
    bool stuck;          /* mpirun went on without some, and was ended */
} Child;

static int64_t milliseconds(void) { return (int64_t)(1000 * clock_now()); }

/* The command, ending with NULL: mpirun's where `np` is more than one. `count` and `program` live as long as the
 * result. To be freed. */
static char **command_new(int np, char *count, char *program, char **argv) {
    char *fixed[] = {
        "mpirun",
        "--oversubscribe", /* more ranks than cores is the user's choice */
        "--bind-to",       /* else rank 0 of every run on this host sits on core 0 */
        "none",
        "--mca",
        "orte_base_help_aggregate", /* else a second banner becomes two lines that say where to learn more */
        "0",
        "-x",
        MPIRUN_MARK,
        "-np",
        count,
        program,
    };
    size_t fixed_count = sizeof fixed / sizeof *fixed, skipped = np > 1 ? 0 : fixed_count - 1, arguments = 0;
    while (argv[0] && argv[arguments + 1]) arguments++;
    char **command = memory_new(fixed_count + arguments + 1, sizeof *command);
    memcpy(command, fixed + skipped, (fixed_count - skipped) * sizeof *command);
    if (arguments > 0) memcpy(command + fixed_count - skipped, argv + 1, arguments * sizeof *argv);
    return command;
}

/* The signals to pass on: those that this process was not told to ignore (nohup), and the child's end. */
static sigset_t watched_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    for (int i = 0; i < STOP_SIGNALS_COUNT; i++)
        if (!stop_signal_ignored(STOP_SIGNALS[i].number)) sigaddset(&set, STOP_SIGNALS[i].number);
    return set;
}

/* In the child: never returns. `parent` is who started it, `mask` the signal mask to give it, `errors` its stderr (-1:
 * ours). */
static _Noreturn void become_child(char **command, bool terminal, pid_t parent, const sigset_t *mask, int errors) {
    setpgid(0, 0); /* a terminal's Ctrl-C reaches us alone, and is passed on as a request to stop */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(CANNOT_RUN);
    close(STDIN_FILENO);
    open("/dev/null", O_RDONLY); /* takes the lowest free number, which is stdin's */
    if (errors >= 0) dup2(errors, STDERR_FILENO);
    setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 0); /* where there is none, mpirun finds no parts of its own */
    setenv(MPIRUN_MARK, terminal ? MPIRUN_MARK_TERMINAL : "0", 1);
    if (geteuid() == 0) { /* mpirun refuses root without both */
        setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
        setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    }
    sigprocmask(SIG_SETMASK, mask, NULL);
    execvp(command[0], command);
    _exit(CANNOT_RUN);
}

/* Starts the command; false, with errno, where that fails. */
static bool start(Child *child, int np, char **command, bool terminal, const sigset_t *watched,
                  const sigset_t *before) {
    int ends[2] = {-1, -1};
    const bool listen = np > 1;
    *child = (Child){.process = -1, .is_rank = np == 1, .output = -1};
    child->signals = signalfd(-1, watched, SFD_CLOEXEC | SFD_NONBLOCK);
    if (child->signals < 0 || (listen && pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)) return false;
    if (listen) fcntl(ends[1], F_SETFL, 0); /* the child's end may wait for us */
    child->output = ends[0];
    fflush(NULL);
    const pid_t parent = getpid();
    child->process = fork();
    if (child->process == 0) become_child(command, terminal, parent, before, ends[1]);
    const int error = errno;
    child->words.process = (int)child->process;
    if (listen) close(ends[1]);
    errno = error;
    return child->process > 0;
}

/* Passes on what mpirun has written so far. */
static void take_output(Child *child) {
    char data[4096];
    ssize_t bytes = -1;
    while (child->output >= 0 && (bytes = read(child->output, data, sizeof data)) > 0)
        mpirun_output_take(&child->words, data, (size_t)bytes);
    if (bytes != 0) return;
    close(child->output); /* its end, which poll() would tell of for ever */
    child->output = -1;
}

static void finish(Child *child) {
    take_output(child); /* its last words, which may have come with its end */
    mpirun_output_end(&child->words);
    if (child->signals >= 0) close(child->signals);
    if (child->output >= 0) close(child->output);
}

/* Takes the signals that have come. */
static void take_signals(Child *child) {
    struct signalfd_siginfo info;
    while (read(child->signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGCHLD) continue;
        const bool interrupt = info.ssi_signo == SIGINT;
        if (child->first == 0) child->first = (int)info.ssi_signo;
        const bool again = interrupt && child->interrupted && milliseconds() - child->interrupted > ONE_CTRL_C;
        if (interrupt && !child->interrupted) child->interrupted = milliseconds();
        if (!again || child->process <= 0) continue;
        kill(child->process, child->is_rank ? SIGKILL : SIGTERM); /* on SIGTERM mpirun ends its ranks */
        if (!child->ended) child->ended = milliseconds();
    }
}

/* Passes the request to stop on, again and again, since mpirun may not have started the ranks yet when the first comes;
 * not once a rank has ended, since an mpirun that is ending too would die of it. */
static void ask_to_stop(Child *child) {
    if (child->first == 0 || child->rank_ended || milliseconds() - child->asked < ASK_AGAIN) return;
    child->asked = milliseconds();
    kill(child->process, SIGUSR1); /* mpirun hands it to all ranks */
}

static void wait_a_moment(Child *child, int most) {
    struct pollfd sources[] = {{.fd = child->signals, .events = POLLIN}, {.fd = child->output, .events = POLLIN}};
    poll(sources, 2, most);
    take_output(child);
}

static bool is_alive(int process) {
    char path[64], state = 'Z';
    snprintf(path, sizeof path, "/proc/%d/stat", process);
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = 'Z';
    if (file) fclose(file);
    return state != 'Z';
}

/* mpirun's children that live: its ranks; -1: the system does not tell. */
static int living_ranks(pid_t mpirun) {
    char path[300];
    int living = -1, process;
    snprintf(path, sizeof path, "/proc/%ld/task", (long)mpirun);
    DIR *threads = opendir(path);
    for (struct dirent *thread; threads && (thread = readdir(threads));) {
        snprintf(path, sizeof path, "/proc/%ld/task/%s/children", (long)mpirun, thread->d_name);
        FILE *file = *thread->d_name == '.' ? NULL : fopen(path, "re");
        if (file && living < 0) living = 0;
        while (file && fscanf(file, "%d", &process) == 1) living += is_alive(process);
        if (file) fclose(file);
    }
    if (threads) closedir(threads);
    return living;
}

/* Sees whether a rank has ended, and ends an mpirun that is stuck: where a rank dies before it has said hello, or
 * cannot be started for want of descriptors, mpirun 4.1 may wait for it for ever, deaf to signals. */
static void look_at_ranks(Child *child) {
    const int living = living_ranks(child->process);
    const int64_t now = milliseconds();
    child->rank_ended = living >= 0 && living < child->ranks;
    if (living < 0) {
        child->short_since = now;
    } else if (!child->rank_ended && living > 0) {
        child->ranks = living;
        child->short_since = now;
    }
    const bool deaf = child->ended && now - child->ended > DEAF;
    if (!deaf && now - child->short_since < (child->rank_ended ? STUCK : BARREN)) return;
    child->stuck = true;
    kill(child->process, SIGKILL); /* what it leaves behind is ended by wait_for_left_over */
}

/* Waits for the child and passes signals on; returns its wait status. */
static int wait_for_end(Child *child) {
    child->short_since = milliseconds();
    for (;;) {
        int status = 0;
        if (waitpid(child->process, &status, WNOHANG) == child->process) {
            child->process = 0;
            return status;
        }
        wait_a_moment(child, (int)LOOK_AGAIN);
        take_signals(child);
        if (!child->is_rank) look_at_ranks(child);
        ask_to_stop(child);
    }
}

/* Kills our children; they are ranks that mpirun left behind. */
static void kill_left_over(void) {
    char path[64];
    int process;
    snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long)getpid());
    FILE *file = fopen(path, "re");
    while (file && fscanf(file, "%d", &process) == 1) kill(process, SIGKILL);
    if (file) fclose(file);
}

/* Waits for what is left of the run: ranks that have lost their mpirun become our children (PR_SET_CHILD_SUBREAPER) and
 * end by themselves, or are ended. */
static void wait_for_left_over(Child *child) {
    const int64_t patience = milliseconds() + LEFT_OVER;
    for (;;) {
        pid_t ended = waitpid(-1, NULL, WNOHANG);
        if (ended < 0 && errno == ECHILD) return;
        if (ended > 0) continue;
        if (milliseconds() > patience) kill_left_over();
        wait_a_moment(child, 20);
        take_signals(child); /* or the next moment would be over at once */
    }
}

static bool is_crash(int signal) {
    return signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL || signal == SIGABRT;
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

/* What ended the ranks, where starting them again may help. */
static void find_cause(const Child *child, int np, int exit_code, bool mpirun_died, RanksEnd *end) {
    const int signal = exit_code - 128;
    char *cause = end->cause;
    if (exit_code == RAM_TIMEOUT || exit_code == RAM_INTERNAL)
        snprintf(cause, sizeof end->cause, "a rank %s (exit code %d)",
                 exit_code == RAM_TIMEOUT ? "stopped answering" : "met an internal error", exit_code);
    else if (is_own_code(exit_code) || exit_code == CANNOT_RUN)
        return;
    else if (child->stuck)
        snprintf(cause, sizeof end->cause, "%s while the ranks were starting, and mpirun went on waiting",
                 child->ranks > 0 ? "a rank died" : "no rank appeared");
    else if (signal <= 0 || signal >= NSIG)
        snprintf(cause, sizeof end->cause, "mpirun failed with exit code %d while running %d ranks", exit_code, np);
    else if (child->words.died && child->words.signal == signal)
        snprintf(cause, sizeof end->cause, "rank %d on %s was ended by signal %d (%s)", child->words.rank,
                 child->words.host, signal, strsignal(signal));
    else
        snprintf(cause, sizeof end->cause, "%s was ended by signal %d (%s)", mpirun_died ? "mpirun" : "a rank", signal,
                 strsignal(signal));
}

/* An end that no rank chose, as an error. */
static Status explain(const RanksEnd *end, int exit_code, int np, const Child *child) {
    const bool barren = child->stuck && child->ranks == 0;
    if (exit_code == CANNOT_RUN)
        return status_error(
            RAM_UNAVAILABLE,
            "cannot run mpirun, which --np %d needs: install Open MPI (Debian: openmpi-bin) and see that "
            "mpirun is in PATH",
            np);
    if (exit_code <= 128 || exit_code - 128 >= NSIG || barren)
        return status_error(RAM_UNAVAILABLE, "%s: `mpirun --oversubscribe%s -np %d hostname` tells more", end->cause,
                            geteuid() == 0 ? " --allow-run-as-root" : "", np);
    if (child->stuck)
        return status_error(RAM_UNAVAILABLE, "%s: start again, a training with --resume auto", end->cause);
    if (is_crash(exit_code - 128))
        return status_error(RAM_INTERNAL, "%s, so all were: please report this with the lines above", end->cause);
    return status_error(
        RAM_UNAVAILABLE,
        "%s, so all were: look for who did it (the kernel does when memory runs out), then start again, "
        "a training with --resume auto",
        end->cause);
}

/* What the child's end means. */
static Status conclude(const Child *child, int np, int status, RanksEnd *end) {
    const int exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    const bool own = is_own_code(exit_code), died = np > 1 && WIFSIGNALED(status);
    /* Of ranks that go on printing to nobody mpirun dies; another code of its own: something came before. */
    const bool unread = child->words.unread && (died || exit_code == EXIT_FAILURE);
    end->asked = unread || child->first != 0;
    end->too_early = end->asked && exit_code == 128 + SIGUSR1;
    find_cause(child, np, exit_code, died, end);
    if (!own && !end->asked) return explain(end, exit_code, np, child);
    end->code = own ? exit_code : unread ? RANKS_UNREAD : 128 + child->first; /* the user's own doing */
    return status_ok();
}

Status mpirun_run(int np, char **argv, bool terminal, StopAsked *asked, RanksEnd *end) {
    *end = (RanksEnd){.code = -1};
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

    Child child;
    int status = 0;
    sigset_t watched = watched_signals(), before;
    signal(SIGCHLD, SIG_DFL); /* an inherited SIG_IGN would lose the exit code */
    sigprocmask(SIG_BLOCK, &watched, &before);
    if (asked()) { /* before: from here on requests wait for us */
        sigprocmask(SIG_SETMASK, &before, NULL);
        *end = (RanksEnd){.code = RAM_STOPPED, .asked = true, .too_early = true};
        return status_ok();
    }
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    char **command = command_new(np, count, program, argv);
    const bool started = start(&child, np, command, terminal, &watched, &before);
    const int error = errno;
    if (started) {
        status = wait_for_end(&child);
        wait_for_left_over(&child);
    }
    finish(&child);
    sigprocmask(SIG_SETMASK, &before, NULL);
    free(command);
    if (!started) return status_error(RAM_UNAVAILABLE, "cannot start %d ranks: %s", np, strerror(error));
    return conclude(&child, np, status, end);
}
