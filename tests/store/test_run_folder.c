/* Two processes and one run folder: the second is told who holds it; the lock goes with its owner, however it ends. */
#define _GNU_SOURCE /* F_OFD_SETLK */
#include "sample.h"
#include "store/run_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int lock_error; /* what a lock ends with; 0: as it comes */

/* In the place of the C library's. */
int fcntl(int file, int command, ...) {
    va_list list;
    va_start(list, command);
    void *argument = va_arg(list, void *);
    va_end(list);
    if (command != F_OFD_SETLK || !lock_error) return (int)syscall(SYS_fcntl, file, command, argument);
    errno = lock_error;
    return -1;
}

/* A process that holds the run folder until it is killed. */
static pid_t hold(Comm *comm, const char *path) {
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        RunFolder folder;
        Status status = run_folder_open(comm, path, &folder);
        char code = (char)status.code;
        if (write(ready[1], &code, 1) != 1) _exit(1);
        for (;;) pause();
    }
    char code = 1;
    assert_int_equal(read(ready[0], &code, 1), 1);
    assert_int_equal(code, RAM_OK);
    close(ready[0]);
    close(ready[1]);
    return child;
}

static void test_lock(void **state) {
    (void)state;
    Comm *comm = comm_self_new();
    char parent[FILE_PATH], path[FILE_PATH], host[256], owner[400];
    RunFolder folder;
    struct stat facts;
    sample_folder(comm, "runs", parent);
    assert_int_equal(atomic_file_join(path, parent, "deep/mnist").code, RAM_OK);
    pid_t child = hold(comm, path);
    gethostname(host, sizeof host);
    snprintf(owner, sizeof owner, "process %d on %s", (int)child, host);
    Status status = run_folder_open(comm, path, &folder);
    assert_int_equal(status.code, RAM_USAGE);
    assert_non_null(strstr(status.message, owner));
    assert_non_null(strstr(status.message, path));
    assert_int_equal(folder.lock, -1);
    assert_true(run_folder_in_use(path));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_false(run_folder_in_use(path));
    assert_int_equal(run_folder_open(comm, path, &folder).code, RAM_OK);
    assert_true(stat(folder.checkpoints, &facts) == 0 && S_ISDIR(facts.st_mode));
    assert_true(stat(folder.traces, &facts) == 0 && S_ISDIR(facts.st_mode));
    RunFolder second; /* another open file of the same process is another owner */
    assert_int_equal(run_folder_open(comm, path, &second).code, RAM_USAGE);
    run_folder_close(&folder);
    assert_int_equal(run_folder_open(comm, path, &second).code, RAM_OK);
    run_folder_close(&second);
    lock_error = ENOLCK; /* a file system without locks: nobody is known to hold it */
    assert_false(run_folder_in_use(path));
    lock_error = 0;
    comm_free(comm);
}

static void test_impossible_folders(void **state) {
    (void)state;
    Comm *comm = comm_self_new();
    char parent[FILE_PATH], path[FILE_PATH], *too_long = calloc(1, 6000);
    RunFolder folder;
    sample_folder(comm, "runs", parent);
    assert_int_equal(atomic_file_join(path, parent, "file").code, RAM_OK);
    assert_int_equal(atomic_file_write(path, "x", 1).code, RAM_OK);
    Status status = run_folder_open(comm, path, &folder);
    assert_int_equal(status.code, RAM_IO);
    assert_non_null(strstr(status.message, path));
    memset(too_long, 'a', 5000);
    assert_int_equal(run_folder_open(comm, too_long, &folder).code, RAM_USAGE);
    assert_int_equal(run_folder_open(comm, "/proc/no/such", &folder).code, RAM_IO);
    free(too_long);
    comm_free(comm);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lock), cmocka_unit_test(test_impossible_folders)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
