/* One rank killed before every file operation of save, mark_best and prune in turn: the set from before or the new one
 * is found, whole, and the next save goes through. kill_campaign.sh does the same on several ranks. */
#include "sample.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void assert_ok(Status status) {
    if (status_failed(&status)) fail_msg("%s", status.message);
}

/* The work that is killed, at its n-th operation. */
static void save_and_tidy(Comm *comm, const char *folder, int64_t step, int64_t n) {
    Sample *sample = sample_new(7);
    atomic_file_set_fault((FileFault){FAULT_KILL, n, false});
    Status status = checkpoint_save(comm, folder, step, &sample->snapshot);
    if (!status_failed(&status)) status = checkpoint_mark_best(comm, folder, step);
    if (!status_failed(&status)) status = checkpoint_prune(comm, folder, 1, 0);
    _exit(status.code);
}

/* `step` 6 replaces a set that is there; 7 is new. */
static void kill_everywhere(Comm *comm, int64_t step) {
    char folder[FILE_PATH], path[FILE_PATH];
    bool killed = true;
    int64_t n = 0;
    while (killed) {
        n++;
        Sample *sample = sample_new(6), *loaded = sample_new(0), *next = sample_new(8);
        sample_folder(comm, "kill", folder);
        assert_ok(checkpoint_save(comm, folder, 5, &next->snapshot));
        assert_ok(checkpoint_save(comm, folder, 6, &sample->snapshot));
        assert_ok(checkpoint_mark_best(comm, folder, 6));
        pid_t child = fork();
        if (child == 0) save_and_tidy(comm, folder, step, n);
        int end;
        assert_int_equal(waitpid(child, &end, 0), child);
        killed = WIFSIGNALED(end) && WTERMSIG(end) == SIGKILL;
        if (!killed) assert_true(WIFEXITED(end) && WEXITSTATUS(end) == 0);

        const char *const requests[] = {"auto", "best"};
        for (int i = 0; i < 2; i++) {
            assert_ok(checkpoint_find(comm, folder, requests[i], path));
            assert_ok(sample_load(comm, path, &loaded->snapshot));
            /* between the two renames of a set that is replaced, the one before it is the newest */
            bool is_old = sample_is(loaded, 6) || (step == 6 && sample_is(loaded, 8));
            assert_true(sample_is(loaded, 7) || (killed && is_old));
        }
        assert_ok(checkpoint_save(comm, folder, 8, &next->snapshot));
        assert_ok(checkpoint_prune(comm, folder, 1, 0));
        assert_ok(checkpoint_find(comm, folder, "auto", path));
        assert_ok(sample_load(comm, path, &loaded->snapshot));
        assert_true(sample_is(loaded, 8));
        sample_free(sample);
        sample_free(loaded);
        sample_free(next);
    }
    assert_true(n > 20);
}

static void test_new_step(void **state) {
    (void)state;
    Comm *comm = comm_self_new();
    kill_everywhere(comm, 7);
    comm_free(comm);
}

static void test_same_step(void **state) {
    (void)state;
    Comm *comm = comm_self_new();
    kill_everywhere(comm, 6);
    comm_free(comm);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_new_step), cmocka_unit_test(test_same_step)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
