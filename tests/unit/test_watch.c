/* Watch: processes that play the ranks of a run, each with its place in a file: what is said, by one of them, and not
 * too soon, when others do not come; what is no reason to end; which files are left. */
#define _GNU_SOURCE
#include "base/clock.h"
#include "mpi/watch.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { RANKS_MOST = 8, SAID = 2000, DEADLINE = 30 /* seconds after which a forgotten process ends by itself */ };
static const double TIMEOUT = 2; /* seconds: a look every tenth, which a busy machine keeps up with */

/* What a rank does after a broadcast and an exchange. */
typedef enum {
    WAITS,       /* in the barrier that follows */
    WAITS_AHEAD, /* in the gathering behind it */
    WORKS,       /* in none */
    SLEEPS,      /* stopped in the barrier */
    GONE         /* it has left nothing */
} Part;

static char home[] = "/tmp/ram_test_watch_XXXXXX", folder[64], host[64];

static int make_home(void **state) {
    (void)state;
    gethostname(host, sizeof host - 1);
    if (!mkdtemp(home)) return -1;
    snprintf(folder, sizeof folder, "%s/.ranks", home);
    return 0;
}

static int remove_home(void **state) {
    (void)state;
    watch_clear(folder);
    return rmdir(home);
}

static void sleep_for(double seconds) { usleep((useconds_t)(1e6 * seconds)); }

static void collective(Watch *watch, Collective which, double seconds) {
    watch_enter(watch, which);
    sleep_for(seconds);
    watch_leave(watch);
}

/* The life of one rank; `files`: it keeps its place in one. */
static _Noreturn void play(int rank, int size, Part part, bool files) {
    Watch *watch = watch_new(rank, size);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a stopped process heeds no alarm */
    alarm(DEADLINE);
    collective(watch, IN_BROADCAST, 0);
    collective(watch, IN_EXCHANGE, 0);
    const Status status = files && part != GONE ? watch_open(watch, folder, rank % 2) : status_ok();
    if (status_failed(&status)) _exit(1);
    watch_start(watch, part == GONE ? 0 : TIMEOUT);
    if (part == WAITS_AHEAD) collective(watch, IN_BARRIER, 0);
    if (part == WAITS || part == SLEEPS) watch_enter(watch, IN_BARRIER);
    if (part == WAITS_AHEAD) watch_enter(watch, IN_GATHER);
    if (part == SLEEPS) raise(SIGSTOP);
    for (;;) pause();
}

/* Plays until the first rank ends, and a little longer; returns that one, what was said by then, and all processes. */
static pid_t perform(int size, const Part *part, bool files, char said[SAID], pid_t *process) {
    int output[2], code;
    const double begun = clock_now();
    watch_clear(folder);
    assert_int_equal(pipe(output), 0);
    for (int rank = 0; rank < size; rank++) {
        process[rank] = fork();
        if (process[rank] == 0) {
            dup2(output[1], STDERR_FILENO);
            play(rank, size, part[rank], files);
        }
    }
    close(output[1]);
    const pid_t first = wait(&code);
    const double taken = clock_now() - begun;
    sleep_for(TIMEOUT / 4); /* who thinks that it is the one to tell does so at the same time */
    for (int rank = 0; rank < size; rank++) kill(process[rank], SIGKILL);
    while (wait(NULL) > 0) continue;
    size_t used = 0;
    for (ssize_t n; (n = read(output[0], said + used, SAID - 1 - used)) > 0;) used += (size_t)n;
    said[used] = '\0';
    close(output[0]);
    assert_true(first > 0 && WIFEXITED(code));
    assert_int_equal(WEXITSTATUS(code), RAM_TIMEOUT);
    assert_true(taken >= TIMEOUT);
    return first;
}

/* The one line of an error, with `what` between its beginning and the advice at its end. */
static void assert_said(const char *said, const char *what) {
    static const char before[] = "ram_dist: error: no answer for 2 s (comm.timeout): ",
                      after[] = "; --resume auto goes on from the last checkpoint\n";
    char expected[SAID + sizeof before + sizeof after];
    snprintf(expected, sizeof expected, "%s%s%s", before, what, after);
    assert_string_equal(said, expected);
}

static void test_at_work(void **state) {
    (void)state;
    char said[SAID], expected[SAID];
    pid_t process[RANKS_MOST];
    const pid_t first = perform(3, (Part[]){WAITS, WAITS, WORKS}, true, said, process);
    assert_int_equal(first, process[0]); /* the one with the log */
    snprintf(expected, SAID,
             "ranks 0-1 wait in barrier 3; rank 2 (process %d on %s) is at other work, last seen after exchange 2",
             (int)process[2], host);
    assert_said(said, expected);
}

/* Rank 0, which would tell, is the one that is stopped; the others wait in two places. */
static void test_two_places(void **state) {
    (void)state;
    char said[SAID], expected[SAID];
    pid_t process[RANKS_MOST];
    perform(6, (Part[]){SLEEPS, WAITS_AHEAD, WAITS, WAITS_AHEAD, WAITS_AHEAD, WAITS_AHEAD}, true, said, process);
    snprintf(expected, SAID,
             "ranks 1, 3-5 wait in gathering 4; rank 2 waits in barrier 3; rank 0 (process %d on %s) gives no sign of "
             "life, last seen in barrier 3",
             (int)process[0], host);
    assert_said(said, expected);
}

/* Two who did not come are named, the rest are counted. */
static void test_many_absent(void **state) {
    (void)state;
    char said[SAID], expected[SAID];
    pid_t process[RANKS_MOST];
    perform(5, (Part[]){WAITS, GONE, WORKS, SLEEPS, WORKS}, true, said, process);
    snprintf(expected, SAID,
             "rank 0 waits in barrier 3; rank 1 has left no word; rank 2 (process %d on %s) is at other work, last "
             "seen after exchange 2; and 2 more",
             (int)process[2], host);
    assert_said(said, expected);
    perform(3, (Part[]){WAITS, GONE, GONE}, true, said, process);
    assert_said(said, "rank 0 waits in barrier 3; rank 1 has left no word; rank 2 has left no word");
}

static void test_without_files(void **state) {
    (void)state;
    char said[SAID];
    pid_t process[RANKS_MOST];
    perform(1, (Part[]){WAITS}, false, said, process);
    assert_said(said, "rank 0 waits in barrier 3; who never came is not known");
}

/* Many short waits, a long time without any, and a long wait for which there is leave: each longer than the time-out.
 */
static void test_no_reason(void **state) {
    (void)state;
    for (int way = 0; way < 3; way++) {
        if (fork() != 0) continue;
        Watch *watch = watch_new(0, 1);
        alarm(DEADLINE);
        watch_start(watch, TIMEOUT);
        for (int i = 0; i < 12 && way == 0; i++) collective(watch, IN_BARRIER, TIMEOUT / 8);
        if (way == 1) collective(watch, IN_BARRIER, 0);
        if (way == 1) sleep_for(1.5 * TIMEOUT);
        if (way == 2) watch_grace(watch, 10 * TIMEOUT);
        if (way == 2) collective(watch, IN_BARRIER, 1.5 * TIMEOUT);
        watch_free(watch);
        _exit(0);
    }
    for (int code, way = 0; way < 3; way++) {
        assert_true(wait(&code) > 0);
        assert_int_equal(code, 0);
    }
}

static bool lies_there(const char *name) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

/* What an earlier run left, its claim to tell above all, is cleared; nothing else is. */
static void test_files(void **state) {
    (void)state;
    static const char *const names[] = {"rank-00000", "told", "mine"};
    char path[128];
    watch_clear(folder);
    assert_int_equal(mkdir(folder, 0777), 0);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        fclose(fopen(path, "w"));
    }
    watch_clear(folder);
    assert_false(lies_there("rank-00000") || lies_there("told"));
    assert_int_equal(unlink(path), 0); /* the third one was there */
    watch_clear(folder);
    assert_false(lies_there(""));

    Watch *one = watch_new(0, 2), *other = watch_new(1, 2);
    Status status = watch_open(one, folder, false);
    assert_string_equal(status.message, "");
    status = watch_open(other, folder, true);
    assert_string_equal(status.message, "");
    assert_true(lies_there("rank-00000") && lies_there("rank-00001"));
    watch_free(one);
    assert_true(!lies_there("rank-00000") && lies_there("rank-00001"));
    watch_free(other);
    assert_false(lies_there("")); /* the last one takes the folder with it */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_at_work),     cmocka_unit_test(test_two_places),
                                       cmocka_unit_test(test_many_absent), cmocka_unit_test(test_without_files),
                                       cmocka_unit_test(test_no_reason),   cmocka_unit_test(test_files)};
    return cmocka_run_group_tests(tests, make_home, remove_home);
}
