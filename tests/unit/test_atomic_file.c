/* Atomic files: whatever fails or is cut short, the old content or the new one, never a mixture; and the seam itself.
 */
#include "base/atomic_file.h"
#include "base/hash.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char OLD[] = "the old content", NEW[] = "something new and longer than what was there before";

static void assert_ok(Status status) {
    if (status_failed(&status)) fail_msg("%s", status.message);
}

static void join(char path[FILE_PATH], const char *folder, const char *name) {
    assert_ok(atomic_file_join(path, folder, name));
}

/* What reaches the disk, and in which order: f for a file that is synced, d for a folder, r for a rename. A crash of
 * the machine is nothing that a test can stage, so it is the calls that are looked at: these take the C library's
 * place. */
static char the_calls[32];
static int64_t the_bytes; /* of the file that was synced last */

static void note_call(char call) {
    const size_t length = strlen(the_calls);
    if (length + 1 < sizeof the_calls) the_calls[length] = call;
}

int fsync(int file) {
    struct stat facts;
    if (fstat(file, &facts) != 0) return -1;
    note_call(S_ISDIR(facts.st_mode) ? 'd' : 'f');
    if (!S_ISDIR(facts.st_mode)) the_bytes = facts.st_size;
    return (int)syscall(SYS_fsync, file);
}

int rename(const char *from, const char *to) {
    note_call('r');
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

static void forget_calls(void) {
    memset(the_calls, 0, sizeof the_calls);
    the_bytes = -1;
}

/* A folder in /tmp or $TMPDIR for each test. */
static int make_folder(void **state) {
    char *folder = calloc(1, FILE_PATH);
    const char *root = getenv("TMPDIR");
    snprintf(folder, FILE_PATH, "%s/ram_atomic_XXXXXX", root ? root : "/tmp");
    *state = folder;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    atomic_file_set_fault((FileFault){.kind = FAULT_NONE});
    Status status = atomic_file_remove_tree(*state);
    free(*state);
    return status.code;
}

static bool holds(const char *path, const char *text) {
    void *data;
    size_t bytes;
    assert_ok(atomic_file_read(path, 1000, &data, &bytes));
    bool same = bytes == strlen(text) && memcmp(data, text, bytes) == 0;
    free(data);
    return same;
}

static bool exists(const char *folder, const char *name) {
    char path[FILE_PATH];
    struct stat facts;
    join(path, folder, name);
    return lstat(path, &facts) == 0;
}

static void test_write(void **state) {
    char path[FILE_PATH];
    join(path, *state, "file");
    assert_ok(atomic_file_write(path, OLD, strlen(OLD)));
    assert_true(holds(path, OLD));
    assert_ok(atomic_file_write(path, NEW, strlen(NEW)));
    assert_true(holds(path, NEW));
    assert_ok(atomic_file_write(path, NULL, 0));
    assert_true(holds(path, ""));
    assert_false(exists(*state, ".tmp-file"));
}

/* A name that outlasts a crash of the machine belongs to content that does: content first, then the name, then the
 * folder that holds it. */
static void test_order_of_syncs(void **state) {
    char path[FILE_PATH], folder[FILE_PATH], committed[FILE_PATH];
    join(path, *state, "file");
    forget_calls();
    assert_ok(atomic_file_write(path, NEW, strlen(NEW)));
    assert_string_equal(the_calls, "frd");
    assert_int_equal(the_bytes, strlen(NEW));
    join(folder, *state, ".tmp-set");
    join(committed, *state, "set");
    assert_ok(atomic_file_make_temporary(folder));
    join(path, folder, "file");
    forget_calls();
    assert_ok(atomic_file_create(path, OLD, strlen(OLD)));
    assert_string_equal(the_calls, "f");
    assert_int_equal(the_bytes, strlen(OLD));
    forget_calls();
    assert_ok(atomic_file_commit_folder(folder, committed));
    assert_string_equal(the_calls, "drd");
    join(folder, *state, "one/two");
    forget_calls();
    assert_ok(atomic_file_make_folder(folder));
    assert_string_equal(the_calls, "dd"); /* each in the one above it */
}

/* A rename would replace a pipe, or root's /dev/null, by a file. */
static void test_write_over_others(void **state) {
    char path[FILE_PATH];
    struct stat facts;
    join(path, *state, "pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(atomic_file_write(path, NEW, strlen(NEW)).code, RAM_IO);
    assert_int_equal(stat(path, &facts), 0);
    assert_true(S_ISFIFO(facts.st_mode));
    assert_int_equal(atomic_file_write(*state, NEW, strlen(NEW)).code, RAM_IO);
    assert_false(exists(*state, ".tmp-pipe"));
}

/* What a killed process left is written over; what another is writing is not. */
static void test_write_beside_another(void **state) {
    char path[FILE_PATH], temporary[FILE_PATH];
    join(path, *state, "file");
    join(temporary, *state, ".tmp-file");
    assert_ok(atomic_file_write(path, OLD, strlen(OLD)));
    assert_ok(atomic_file_create(temporary, NEW, strlen(NEW)));
    const int other = open(temporary, O_WRONLY);
    assert_int_equal(flock(other, LOCK_EX), 0);
    const Status status = atomic_file_write(path, "short", 5);
    assert_int_equal(status.code, RAM_IO);
    assert_non_null(strstr(status.message, "another process is writing"));
    assert_true(holds(path, OLD) && holds(temporary, NEW));
    close(other);
    assert_ok(atomic_file_write(path, "short", 5));
    assert_true(holds(path, "short"));
    assert_false(exists(*state, ".tmp-file"));
}

enum { WRITERS = 6, TURNS = 30, LONGEST = 600 };

/* Content that tells of itself whether it is whole: so many times the same byte. */
static void write_by_turns(const char *path, int writer) {
    char data[LONGEST];
    const size_t bytes = (size_t)(writer + 1) * (LONGEST / WRITERS);
    memset(data, 'a' + writer, bytes);
    for (int turn = 0; turn < TURNS;) {
        const Status status = atomic_file_write(path, data, bytes);
        if (status_failed(&status) && !strstr(status.message, "another process is writing")) _exit(1);
        turn += !status_failed(&status);
    }
    _exit(0);
}

static void test_writers_at_once(void **state) {
    char path[FILE_PATH];
    join(path, *state, "file");
    assert_ok(atomic_file_write(path, "A", 1));
    for (int writer = 0; writer < WRITERS; writer++) {
        const pid_t process = fork();
        assert_true(process >= 0);
        if (process == 0) write_by_turns(path, writer);
    }
    for (int ended = 0, status = 0; ended < WRITERS;) {
        ended += waitpid(-1, &status, WNOHANG) > 0;
        assert_int_equal(status, 0);
        void *data;
        size_t bytes;
        assert_ok(atomic_file_read(path, LONGEST, &data, &bytes));
        const char *text = data;
        const size_t whole = text[0] == 'A' ? 1 : (size_t)(text[0] - 'a' + 1) * (LONGEST / WRITERS);
        assert_int_equal(bytes, whole);
        for (size_t i = 0; i < bytes; i++) assert_int_equal(text[i], text[0]);
        free(data);
    }
    assert_false(exists(*state, ".tmp-file"));
}

static void test_relative_path(void **state) {
    char *before = getcwd(NULL, 0);
    assert_int_equal(chdir(*state), 0);
    assert_ok(atomic_file_write("file", OLD, strlen(OLD)));
    assert_ok(atomic_file_make_folder("a/b/c/"));
    assert_ok(atomic_file_remove_tree("a"));
    assert_true(holds("file", OLD));
    assert_false(exists(*state, "a"));
    assert_int_equal(chdir(before), 0);
    free(before);
}

/* Fails at the n-th operation for all n; once, and from there on. */
static void test_write_with_faults(void **state) {
    char path[FILE_PATH];
    join(path, *state, "file");
    for (int way = 0; way < 4; way++) {
        bool failed = true;
        for (int64_t n = 1; failed; n++) {
            assert_ok(atomic_file_write(path, OLD, strlen(OLD)));
            atomic_file_set_fault((FileFault){way % 2 ? FAULT_EIO : FAULT_ENOSPC, n, way / 2});
            Status status = atomic_file_write(path, NEW, strlen(NEW));
            failed = atomic_file_operations() >= n;
            atomic_file_set_fault((FileFault){.kind = FAULT_NONE});
            assert_int_equal(status.code, failed ? RAM_IO : RAM_OK);
            if (failed) assert_non_null(strstr(status.message, way % 2 ? "Input/output error" : "No space left"));
            if (failed) assert_non_null(strstr(status.message, *state));
            assert_true(holds(path, NEW) || (failed && holds(path, OLD)));
            assert_true(n < 20);
        }
    }
}

/* A short write is no error: the rest follows. */
static void test_short_writes(void **state) {
    char path[FILE_PATH];
    join(path, *state, "file");
    atomic_file_set_fault((FileFault){FAULT_SHORT, 1, true});
    assert_ok(atomic_file_write(path, NEW, strlen(NEW)));
    assert_true(atomic_file_operations() > 8); /* there were many */
    atomic_file_set_fault((FileFault){.kind = FAULT_NONE});
    assert_true(holds(path, NEW));
}

static void test_write_killed(void **state) {
    char path[FILE_PATH];
    join(path, *state, "file");
    bool killed = true;
    int64_t n = 0;
    while (killed) {
        n++;
        assert_ok(atomic_file_write(path, OLD, strlen(OLD)));
        pid_t child = fork();
        if (child == 0) {
            atomic_file_set_fault((FileFault){FAULT_KILL, n, false});
            _exit(atomic_file_write(path, NEW, strlen(NEW)).code);
        }
        int end;
        assert_int_equal(waitpid(child, &end, 0), child);
        killed = WIFSIGNALED(end) && WTERMSIG(end) == SIGKILL;
        assert_true(killed || (WIFEXITED(end) && WEXITSTATUS(end) == 0));
        assert_true(holds(path, NEW) || (killed && holds(path, OLD)));
    }
    assert_int_equal(n, 6); /* open, write, fsync, rename, fsync of the folder, and none */
}

static void test_links(void **state) {
    char path[FILE_PATH], target[64] = "";
    join(path, *state, "latest");
    bool failed = true;
    assert_ok(atomic_file_switch_link("one", path));
    for (int64_t n = 1; failed; n++) {
        atomic_file_set_fault((FileFault){FAULT_EIO, n, false});
        Status status = atomic_file_switch_link("two", path);
        failed = atomic_file_operations() >= n;
        assert_int_equal(status.code, failed ? RAM_IO : RAM_OK);
        ssize_t length = readlink(path, target, sizeof target - 1);
        target[length > 0 ? length : 0] = 0;
        assert_true(strcmp(target, "two") == 0 || (failed && strcmp(target, "one") == 0));
    }
}

static void test_folders(void **state) {
    char folder[FILE_PATH], inner[FILE_PATH], file[FILE_PATH];
    join(folder, *state, "a/b");
    assert_ok(atomic_file_make_folder(folder));
    assert_ok(atomic_file_make_folder(folder));
    join(file, folder, "file");
    assert_ok(atomic_file_create(file, OLD, strlen(OLD)));
    join(inner, file, "below");
    Status status = atomic_file_make_folder(inner);
    assert_int_equal(status.code, RAM_IO);
    assert_non_null(strstr(status.message, file));
    join(inner, *state, "c");
    assert_ok(atomic_file_commit_folder(folder, inner));
    assert_true(exists(inner, "file") && !exists(*state, "a/b"));
    assert_ok(atomic_file_make_folder(folder));
    join(file, folder, "other");
    assert_ok(atomic_file_create(file, OLD, strlen(OLD)));
    assert_int_equal(atomic_file_commit_folder(folder, inner).code, RAM_IO); /* the name is taken */
    assert_true(exists(inner, "file") && exists(folder, "other"));
}

/* Whatever fails, the folder of that name is the old one or the new one, whole. */
static void test_replace_folder(void **state) {
    char path[FILE_PATH], temporary[FILE_PATH], file[FILE_PATH];
    join(path, *state, "set");
    join(temporary, *state, ".tmp-set");
    bool failed = true;
    int64_t n = 1;
    for (; failed; n++) {
        assert_ok(atomic_file_remove_tree(path));
        assert_ok(atomic_file_remove_tree(temporary));
        assert_ok(atomic_file_make_folder(path));
        assert_ok(atomic_file_make_folder(temporary));
        join(file, path, "old");
        assert_ok(atomic_file_create(file, OLD, strlen(OLD)));
        join(file, temporary, "new");
        assert_ok(atomic_file_create(file, OLD, strlen(OLD)));
        atomic_file_set_fault((FileFault){FAULT_EIO, n, false});
        Status status = atomic_file_replace_folder(temporary, path);
        atomic_file_set_fault((FileFault){.kind = FAULT_NONE});
        failed = status_failed(&status);
        if (failed) assert_int_equal(status.code, RAM_IO);
        assert_true(exists(path, "old") != exists(path, "new"));
    }
    assert_true(n > 5 && exists(path, "new") && !exists(*state, ".tmp-set"));
    assert_ok(atomic_file_make_folder(temporary));
    assert_ok(atomic_file_remove_tree(path)); /* nothing there to replace */
    assert_ok(atomic_file_replace_folder(temporary, path));
    assert_true(exists(*state, "set") && !exists(*state, ".tmp-set"));
    assert_int_equal(atomic_file_replace_folder(temporary, path).code, RAM_IO); /* nothing to replace it by */
    assert_true(exists(*state, "set"));
}

/* A deletion that stops anywhere leaves no half folder under the old name, and can be done again. */
static void test_remove_tree(void **state) {
    char folder[FILE_PATH], path[FILE_PATH], outside[FILE_PATH];
    join(folder, *state, "set");
    join(outside, *state, "outside");
    assert_ok(atomic_file_write(outside, OLD, strlen(OLD)));
    bool failed = true;
    for (int64_t n = 1; failed; n++) {
        join(path, folder, "deep/er");
        assert_ok(atomic_file_make_folder(path));
        join(path, folder, "deep/file");
        assert_ok(atomic_file_create(path, OLD, strlen(OLD)));
        join(path, folder, "link");
        assert_ok(atomic_file_switch_link(outside, path));
        atomic_file_set_fault((FileFault){FAULT_EIO, n, true});
        Status status = atomic_file_remove_tree(folder);
        failed = atomic_file_operations() >= n;
        atomic_file_set_fault((FileFault){.kind = FAULT_NONE});
        assert_int_equal(status.code, failed ? RAM_IO : RAM_OK);
        assert_true(!exists(*state, "set") || (exists(folder, "deep/file") && exists(folder, "deep/er")));
        assert_ok(atomic_file_remove_tree(folder));
        join(path, *state, ".trash-set");
        assert_ok(atomic_file_remove_tree(path));
        assert_false(exists(*state, "set") || exists(*state, ".trash-set"));
    }
    assert_true(holds(outside, OLD)); /* links are not followed */
}

static void test_read(void **state) {
    char path[FILE_PATH];
    void *data;
    size_t bytes;
    join(path, *state, "file");
    assert_int_equal(atomic_file_read(path, 100, &data, &bytes).code, RAM_DATA);
    assert_int_equal(atomic_file_read(*state, 100, &data, &bytes).code, RAM_DATA);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(atomic_file_read(path, 100, &data, &bytes).code, RAM_DATA); /* and does not wait */
    assert_int_equal(unlink(path), 0);
    assert_ok(atomic_file_write(path, OLD, strlen(OLD)));
    assert_int_equal(atomic_file_read(path, strlen(OLD) - 1, &data, &bytes).code, RAM_DATA);
    assert_ok(atomic_file_read(path, strlen(OLD), &data, &bytes));
    assert_string_equal(data, OLD);
    free(data);
}

static void test_long_paths(void **state) {
    (void)state;
    char path[FILE_PATH], *name = calloc(1, FILE_PATH);
    memset(name, 'a', FILE_PATH - 7);
    assert_ok(atomic_file_join(path, "/proc", name));
    assert_int_equal(atomic_file_write(path, OLD, strlen(OLD)).code, RAM_USAGE); /* no room for .tmp- */
    assert_int_equal(atomic_file_make_folder(path).code, RAM_IO);
    name[FILE_PATH - 7] = 'a';
    assert_int_equal(atomic_file_join(path, "/proc", name).code, RAM_USAGE);
    free(name);
}

static void test_parse_fault(void **state) {
    (void)state;
    FileFault fault;
    assert_ok(atomic_file_parse_fault("kill:12", 3, &fault));
    assert_true(fault.kind == FAULT_KILL && fault.operation == 12 && !fault.lasting);
    assert_ok(atomic_file_parse_fault("enospc:7+@2", 2, &fault));
    assert_true(fault.kind == FAULT_ENOSPC && fault.operation == 7 && fault.lasting);
    assert_ok(atomic_file_parse_fault("short:1@0", 2, &fault));
    assert_int_equal(fault.kind, FAULT_NONE);
    static const char *const wrong[] = {"",      "kill",      "kill:",    "kill:0",  "kill:-1",    "kill:1x", "kill:1@",
                                        "die:1", "kill:1@1x", "kill:1+x", "kill: x", "killkill:1", ":1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (atomic_file_parse_fault(wrong[i], 0, &fault).code != RAM_USAGE || fault.kind != FAULT_NONE)
            fail_msg("'%s' was taken", wrong[i]);
}

/* Known answers of xxHash's own test program: the empty input with seed 0, and a text by `xxhsum -H2`. */
static void test_hash(void **state) {
    (void)state;
    char text[HASH_TEXT];
    hash_memory("", 0, text);
    assert_string_equal(text, "99aa06d3014798d86001c324468d497f");
    hash_memory("abc", 3, text);
    assert_string_equal(text, "06b05ab6733a618578af5f94892f3950");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_write, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_order_of_syncs, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_write_over_others, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_write_beside_another, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_writers_at_once, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_relative_path, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_write_with_faults, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_short_writes, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_write_killed, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_links, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_folders, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_replace_folder, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_remove_tree, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_read, make_folder, remove_folder),
        cmocka_unit_test(test_long_paths),
        cmocka_unit_test(test_parse_fault),
        cmocka_unit_test(test_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
