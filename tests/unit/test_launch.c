/* What is made of a launcher's environment, of affinity masks, and of mpirun's ways to end (a script plays mpirun). */
#define _GNU_SOURCE
#include "base/log.h"
#include "mpi/cores.h"
#include "mpi/launch.h"

#include <dlfcn.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Replaces the environment by `NAME=value` strings, ending with NULL, and asks launch_detect. */
static Status detect(Launch *launch, char *const *variables) {
    clearenv();
    for (int i = 0; variables[i]; i++) putenv(variables[i]);
    return launch_detect(launch);
}
#define DETECT(launch, ...) detect(launch, (char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void expect(const Launch *launch, LaunchKind kind, int rank, int size, int local_size) {
    assert_int_equal(launch->kind, kind);
    assert_int_equal(launch->rank, rank);
    assert_int_equal(launch->size, size);
    assert_int_equal(launch->local_size, local_size);
}

static void test_alone(void **state) {
    (void)state;
    Launch launch;
    assert_int_equal(DETECT(&launch).code, RAM_OK);
    expect(&launch, LAUNCH_ALONE, 0, 1, 1);
    /* a batch script: Slurm sets PROCID and NTASKS there as well */
    assert_int_equal(DETECT(&launch, "SLURM_JOB_ID=7", "SLURM_PROCID=0", "SLURM_NTASKS=4", "SLURM_NPROCS=4").code,
                     RAM_OK);
    expect(&launch, LAUNCH_ALONE, 0, 1, 1);
    /* a shell by `salloc -n 4` or `srun --pty`: a step of one task in a job of four */
    assert_int_equal(
        DETECT(&launch, "SLURM_STEP_ID=0", "SLURM_PROCID=0", "SLURM_STEP_NUM_TASKS=1", "SLURM_NTASKS=4").code, RAM_OK);
    expect(&launch, LAUNCH_ALONE, 0, 1, 1);
}

static void test_mpirun(void **state) {
    (void)state;
    Launch launch;
    assert_int_equal(
        DETECT(&launch, "OMPI_COMM_WORLD_RANK=3", "OMPI_COMM_WORLD_SIZE=8", "OMPI_COMM_WORLD_LOCAL_SIZE=4").code,
        RAM_OK);
    expect(&launch, LAUNCH_MPIRUN, 3, 8, 4);
    /* inside an allocation: the daemon's own step must not count */
    assert_int_equal(DETECT(&launch, "OMPI_COMM_WORLD_RANK=1", "OMPI_COMM_WORLD_SIZE=2", "SLURM_STEP_ID=0",
                            "SLURM_PROCID=0", "SLURM_STEP_NUM_TASKS=2")
                         .code,
                     RAM_OK);
    expect(&launch, LAUNCH_MPIRUN, 1, 2, 0);
    /* nonsense is no launcher */
    static char *const nonsense[][2] = {{"OMPI_COMM_WORLD_RANK=", "OMPI_COMM_WORLD_SIZE=2"},
                                        {"OMPI_COMM_WORLD_RANK=2", "OMPI_COMM_WORLD_SIZE=2"},
                                        {"OMPI_COMM_WORLD_RANK=-1", "OMPI_COMM_WORLD_SIZE=2"},
                                        {"OMPI_COMM_WORLD_RANK=0", "OMPI_COMM_WORLD_SIZE=0"},
                                        {"OMPI_COMM_WORLD_RANK=0", "OMPI_COMM_WORLD_SIZE=99999999999999999999"},
                                        {"OMPI_COMM_WORLD_RANK=0x0", "OMPI_COMM_WORLD_SIZE=2"}};
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        assert_int_equal(DETECT(&launch, nonsense[i][0], nonsense[i][1]).code, RAM_OK);
        expect(&launch, LAUNCH_ALONE, 0, 1, 1);
    }
}

static void test_slurm(void **state) {
    (void)state;
    Launch launch;
    Status status = DETECT(&launch, "SLURM_STEP_ID=0", "SLURM_PROCID=2", "SLURM_STEP_NUM_TASKS=4", "SLURM_NODEID=0",
                           "SLURM_STEP_TASKS_PER_NODE=4");
    assert_int_equal(status.code, RAM_USAGE);
    assert_non_null(strstr(status.message, "srun --mpi=pmix"));
    expect(&launch, LAUNCH_SLURM, 2, 4, 4); /* filled, so that rank 0 alone prints */
    static const struct {
        char *list, *node;
        int local_size;
    } cases[] = {{"SLURM_STEP_TASKS_PER_NODE=2(x2),5", "SLURM_NODEID=1", 2},
                 {"SLURM_STEP_TASKS_PER_NODE=2(x2),5", "SLURM_NODEID=2", 5},
                 {"SLURM_STEP_TASKS_PER_NODE=1,3(x2)", "SLURM_NODEID=2", 3},
                 {"SLURM_STEP_TASKS_PER_NODE=2(x2),5", "SLURM_NODEID=3", 0},
                 {"SLURM_STEP_TASKS_PER_NODE=", "SLURM_NODEID=0", 0},
                 {"SLURM_STEP_TASKS_PER_NODE=x", "SLURM_NODEID=0", 0},
                 {"SLURM_STEP_TASKS_PER_NODE=2(x0)", "SLURM_NODEID=0", 0},
                 {"SLURM_STEP_TASKS_PER_NODE=2(x2", "SLURM_NODEID=7", 0},
                 {"SLURM_OTHER=1", "SLURM_NODEID=0", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        status = DETECT(&launch, "SLURM_STEP_ID=0", "SLURM_PROCID=8", "SLURM_STEP_NUM_TASKS=9", "PMIX_RANK=8",
                        cases[i].list, cases[i].node);
        assert_int_equal(status.code, RAM_OK);
        expect(&launch, LAUNCH_SLURM, 8, 9, cases[i].local_size);
    }
}

static void test_other_launcher(void **state) {
    (void)state;
    Launch launch;
    assert_int_equal(DETECT(&launch, "PMI_RANK=1", "PMI_SIZE=3").code, RAM_OK);
    expect(&launch, LAUNCH_PMI, 1, 3, 0);
    assert_int_equal(DETECT(&launch, "PMI_RANK=0", "PMI_SIZE=1").code, RAM_OK);
    expect(&launch, LAUNCH_ALONE, 0, 1, 1);
}

static bool asked_before;

static bool was_asked(void) { return asked_before; }

static void test_np(void **state) {
    (void)state;
    clearenv();
    char *arguments[] = {"test", NULL};
    Launch alone = {LAUNCH_ALONE, 0, 1, 1}, mpirun = {LAUNCH_MPIRUN, 0, 4, 4};
    const struct {
        Launch *launch;
        int np;
        ExitCode code;
    } cases[] = {{&alone, LAUNCH_NP_NONE, RAM_OK},  {&alone, 1, RAM_OK},
                 {&mpirun, LAUNCH_NP_NONE, RAM_OK}, {&mpirun, 4, RAM_OK},
                 {&mpirun, 3, RAM_USAGE},           {&mpirun, 1, RAM_USAGE}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        RanksEnd end = {.code = 99};
        Status status = launch_ranks(cases[i].launch, cases[i].np, false, arguments, was_asked, &end);
        assert_int_equal(status.code, cases[i].code);
        assert_int_equal(end.code, -1);
        if (status_failed(&status)) assert_non_null(strstr(status.message, "--np"));
    }
    char *colon[] = {"test", "--np", "2", ":", NULL};
    RanksEnd end = {.code = 99};
    assert_int_equal(launch_ranks(&alone, 2, false, colon, was_asked, &end).code, RAM_USAGE);
    assert_int_equal(end.code, -1);
    /* a rank that a foreign mpirun started must not start ranks itself */
    setenv("RAM_TERMINAL", "0", 1);
    end.code = 99;
    assert_int_equal(launch_ranks(&alone, 4, false, arguments, was_asked, &end).code, RAM_UNAVAILABLE);
    assert_int_equal(end.code, -1);
    assert_true(launch_is_watched());
    assert_int_equal(launch_ranks(&alone, 1, true, arguments, was_asked, &end).code,
                     RAM_OK); /* itself watched, it watches no one */
    assert_int_equal(end.code, -1);
}

static char folder[PATH_MAX];
static RanksEnd last; /* of run_fake() */

/* Puts a script in mpirun's place and runs two ranks. */
static Status run_fake(const char *script, int *code) {
    char path[PATH_MAX + 16];
    clearenv();
    setenv("OUT", folder, 1);
    snprintf(path, sizeof path, "%s:/usr/bin:/bin", folder);
    setenv("PATH", path, 1);
    snprintf(path, sizeof path, "%s/mpirun", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\n%s\n", script);
    assert_int_equal(fchmod(fileno(file), 0755), 0);
    fclose(file);
    char *arguments[] = {"test", "--np", "2", "two words", "", "--set=a=b", NULL};
    Launch alone = {LAUNCH_ALONE, 0, 1, 1};
    Status status = launch_ranks(&alone, 2, false, arguments, was_asked, &last);
    *code = last.code;
    return status;
}

static void test_command(void **state) {
    (void)state;
    int code = 99;
    Status status = run_fake("printf '%s|' \"$@\" >\"$OUT/seen\"; printf '%s' \"$RAM_TERMINAL\" >>\"$OUT/seen\"; "
                             "read line && exit 1; exit 0",
                             &code);
    assert_int_equal(status.code, RAM_OK);
    assert_int_equal(code, 0); /* stdin is empty */
    char path[PATH_MAX + 16], seen[PATH_MAX + 256] = "", program[PATH_MAX] = "";
    snprintf(path, sizeof path, "%s/seen", folder);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(seen, sizeof seen, file));
    fclose(file);
    assert_true(readlink("/proc/self/exe", program, sizeof program - 1) > 0);
    char tail[PATH_MAX + 64];
    snprintf(tail, sizeof tail, "|-np|2|%s|--np|2|two words||--set=a=b|0", program);
    assert_string_equal(seen + strlen(seen) - strlen(tail), tail);
    assert_non_null(strstr(seen, "--oversubscribe|"));
}

static void test_exit_codes(void **state) {
    (void)state;
    static const int own[] = {0, 64, 65, 69, 70, 74, 75, 76, 124};
    char script[64];
    int code;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        snprintf(script, sizeof script, "exit %d", own[i]);
        assert_int_equal(run_fake(script, &code).code, RAM_OK);
        assert_int_equal(code, own[i]);
        const bool curable = own[i] == RAM_INTERNAL || own[i] == RAM_TIMEOUT;
        assert_true((*last.cause != '\0') == curable);
    }
    static const struct {
        const char *script;
        ExitCode code;
        const char *word;
    } strange[] = {{"exit 1", RAM_UNAVAILABLE, "exit code 1"},    {"exit 137", RAM_UNAVAILABLE, "signal 9"},
                   {"exit 139", RAM_INTERNAL, "signal 11"},       {"exit 134", RAM_INTERNAL, "signal 6"},
                   {"exit 127", RAM_UNAVAILABLE, "openmpi-bin"},  {"kill -9 $$", RAM_UNAVAILABLE, "signal 9"},
                   {"exit 255", RAM_UNAVAILABLE, "exit code 255"}};
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        Status status = run_fake(strange[i].script, &code);
        assert_int_equal(status.code, strange[i].code);
        assert_non_null(strstr(status.message, strange[i].word));
        assert_int_equal(code, -1);
    }
}

/* mpirun says who died, in a banner of its own; other words of it and of the ranks are passed on as they are. */
static void test_output(void **state) {
    (void)state;
    char seen[256] = "", path[PATH_MAX + 16];
    int code, saved = dup(STDERR_FILENO);
    snprintf(path, sizeof path, "%s/stderr", folder);
    assert_non_null(freopen(path, "w+", stderr));
    Status status =
        run_fake("rule=----------------------------------------------------------------------\n"
                 "say() { echo $rule; echo \"$1\"; echo $rule; } >&2; echo before >&2\n"
                 "say 'Primary job  terminated normally, but 1 process returned'\n"
                 "echo 'mpirun: Forwarding signal 10 to job' >&2; printf 'a word' >&2; echo ' more' >&2\n"
                 "say 'There are not enough slots'\n"
                 "say 'mpirun noticed that process rank 2 with PID 0 on node vm-1 exited on signal 9 (Killed).'\n"
                 "printf after >&2; exit 137",
                 &code);
    fflush(stderr);
    rewind(stderr);
    size_t bytes = fread(seen, 1, sizeof seen - 1, stderr);
    seen[bytes] = '\0';
    dup2(saved, STDERR_FILENO);
    close(saved);
    unlink(path);
    assert_int_equal(status.code, RAM_UNAVAILABLE);
    assert_string_equal(last.cause, "rank 2 on vm-1 was ended by signal 9 (Killed)");
    assert_non_null(strstr(status.message, last.cause));
    char *rule = strstr(seen, "---");
    assert_non_null(rule);
    assert_memory_equal(seen, "before\na word more\n", (size_t)(rule - seen));
    assert_non_null(strstr(rule, "There are not enough slots"));
    assert_null(strstr(seen, "noticed"));
    assert_null(strstr(seen, "Primary"));
    assert_string_equal(seen + bytes - 5, "after");
}

/* Ranks that outlive mpirun are waited for, and ended where they do not end. */
static void test_left_over(void **state) {
    (void)state;
    char path[PATH_MAX + 16];
    int code, process = 0;
    Status status = run_fake("(trap '' TERM HUP; sleep 60) & echo $! >\"$OUT/seen\"; kill -9 $$", &code);
    assert_string_equal(last.cause, "mpirun was ended by signal 9 (Killed)");
    assert_int_equal(status.code, RAM_UNAVAILABLE);
    snprintf(path, sizeof path, "%s/seen", folder);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d", &process), 1);
    fclose(file);
    assert_int_equal(kill(process, 0), -1);
}

static void test_no_mpirun(void **state) {
    (void)state;
    clearenv();
    setenv("PATH", "/nowhere", 1);
    char *arguments[] = {"test", NULL};
    Launch alone = {LAUNCH_ALONE, 0, 1, 1};
    Status status = launch_ranks(&alone, 2, false, arguments, was_asked, &last);
    assert_int_equal(status.code, RAM_UNAVAILABLE);
    assert_string_equal(last.cause, ""); /* nothing that another start would cure */
    assert_non_null(strstr(status.message, "openmpi-bin"));
}

/* The script signals this process (its parent), and sees what is passed on. */
static void test_signals(void **state) {
    (void)state;
    int code;
    Status status = run_fake("trap 'exit 75' USR1; kill -INT $PPID; while :; do sleep 0.05; done", &code);
    assert_int_equal(status.code, RAM_OK);
    assert_int_equal(code, RAM_STOPPED);
    assert_true(last.asked && !last.too_early);
    assert_string_equal(last.cause, "");
    /* other signals than Ctrl-C do no harm, however many; two SIGINT at once are one Ctrl-C */
    status = run_fake("trap 'n=1$n' USR1; trap 'exit 1' TERM; for s in TERM USR2 INT INT HUP TERM USR1; do "
                      "kill -$s $PPID; done; sleep 0.6; exit 75",
                      &code);
    assert_int_equal(status.code, RAM_OK);
    assert_int_equal(code, RAM_STOPPED);
    status = run_fake("trap '' USR1; trap 'exit 1' TERM; kill -TERM $PPID; sleep 0.2; kill -INT $PPID; sleep 0.4; "
                      "kill -INT $PPID; while :; do sleep 0.05; done",
                      &code);
    assert_int_equal(status.code, RAM_OK);
    assert_int_equal(code, 128 + SIGTERM); /* the first one counts */
    /* the request is repeated, for a mpirun that has no ranks yet; one that it ends was asked too early */
    status =
        run_fake("trap 'n=1$n; [ $n != 11 ] || exit 75' USR1; kill -TERM $PPID; while :; do sleep 0.05; done", &code);
    assert_int_equal(code, RAM_STOPPED);
    status = run_fake("kill -USR1 $PPID; while :; do sleep 0.05; done", &code);
    assert_int_equal(status.code, RAM_OK);
    assert_int_equal(code, 128 + SIGUSR1);
    assert_true(last.too_early);
    asked_before = true; /* of this process, before it began to listen for others: nothing is started */
    status = run_fake("echo started >$OUT/started; exit 0", &code);
    asked_before = false;
    assert_int_equal(status.code, RAM_OK);
    assert_int_equal(code, RAM_STOPPED);
    assert_true(last.asked && last.too_early);
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/started", folder);
    assert_int_equal(access(path, F_OK), -1);
    signal(SIGHUP, SIG_IGN); /* nohup */
    status = run_fake("trap 'exit 64' USR1; kill -HUP $PPID; sleep 0.3; exit 0", &code);
    signal(SIGHUP, SIG_DFL);
    assert_int_equal(status.code, RAM_OK);
    assert_int_equal(code, 0);
}

/* What the stack of a crash is printed with is there before it is needed: loading it takes malloc, which may be what
 * has crashed. */
static void test_crash(void **state) {
    (void)state;
    launch_prepare_mpi();
    assert_non_null(dlopen("libgcc_s.so.1", RTLD_NOW | RTLD_NOLOAD));
}

static CoreMask mask_of(int first, int count) {
    CoreMask mask = {{0}};
    for (int core = first; core < first + count; core++) mask.bits[core / 64] |= (uint64_t)1 << core % 64;
    return mask;
}

static void test_cores(void **state) {
    (void)state;
    CoreMask apart[] = {mask_of(0, 3), mask_of(60, 8)}, same[] = {mask_of(0, 8), mask_of(0, 8), mask_of(0, 8)};
    CoreMask partly[] = {mask_of(0, 4), mask_of(3, 4)}, none[] = {mask_of(0, 0), mask_of(0, 0)};
    assert_int_equal(cores_share(apart, 2, 0, INT_MAX), 3);
    assert_int_equal(cores_share(apart, 2, 1, INT_MAX), 8);
    assert_int_equal(cores_share(apart, 2, 1, 4), 2);
    assert_int_equal(cores_share(same, 3, 2, INT_MAX), 2);
    assert_int_equal(cores_share(same, 1, 0, INT_MAX), 8);
    assert_int_equal(cores_share(same, 1, 0, 5), 5);
    assert_int_equal(cores_share(same, 3, 0, 1), 1);
    assert_int_equal(cores_share(partly, 2, 0, INT_MAX), 3);
    assert_int_equal(cores_share(none, 2, 0, INT_MAX), 1);
    CoreMask mine = cores_mask(0), gone = cores_mask(INT_MAX);
    assert_true(cores_count(&mine) >= 1 && cores_count(&mine) <= sysconf(_SC_NPROCESSORS_CONF));
    assert_int_equal(cores_count(&gone), 0);
    assert_true(cores_quota() >= 1);
}

static void test_backend(void **state) {
    (void)state;
    Launch alone = {LAUNCH_ALONE, 0, 1, 1};
    for (CommChoice choice = COMM_AUTO; choice <= COMM_SELF; choice++) {
        Comm *comm;
        assert_int_equal(launch_comm(&alone, choice, 0, &comm).code, RAM_OK);
        assert_int_equal(comm_size(comm), 1);
        assert_string_equal(comm_library(comm), "none");
        comm_free(comm);
    }
    comm_free(NULL);
}

static void test_user_variables(void **state) {
    (void)state;
    clearenv();
    assert_null(launch_data_directory());
    setenv("RAM_DATA", "", 1);
    assert_null(launch_data_directory());
    setenv("RAM_DATA", "/data", 1);
    assert_string_equal(launch_data_directory(), "/data");
    assert_null(launch_fault());
    setenv("RAM_FAULT", "", 1);
    assert_null(launch_fault());
    setenv("RAM_FAULT", "kill:3", 1);
    assert_string_equal(launch_fault(), "kill:3");
    Launch mpirun = {LAUNCH_MPIRUN, 0, 2, 2};
    setenv("RAM_TERMINAL", "1", 1);
    assert_false(launch_terminal(&mpirun)); /* no TERM */
    setenv("TERM", "dumb", 1);
    assert_false(launch_terminal(&mpirun));
    setenv("TERM", "xterm", 1);
    assert_true(launch_terminal(&mpirun));
    setenv("RAM_TERMINAL", "0", 1);
    assert_false(launch_terminal(&mpirun));
}

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "%s", "/tmp/ram_launch.XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/mpirun", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/seen", folder);
    unlink(path);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone),   cmocka_unit_test(test_mpirun),         cmocka_unit_test(test_slurm),
        cmocka_unit_test(test_np),      cmocka_unit_test(test_other_launcher), cmocka_unit_test(test_command),
        cmocka_unit_test(test_signals), cmocka_unit_test(test_exit_codes),     cmocka_unit_test(test_no_mpirun),
        cmocka_unit_test(test_cores),   cmocka_unit_test(test_user_variables), cmocka_unit_test(test_backend),
        cmocka_unit_test(test_output),  cmocka_unit_test(test_left_over),      cmocka_unit_test(test_crash),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
