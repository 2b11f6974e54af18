/* What a process can still have of memory, by files like the kernel's; and arrays that there is no room for. */
#include "base/free_memory.h"
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { MIB = 1 << 20 };

/* Writes `text` into `path`, below the working folder, with the folders on the way. */
static void put(const char *path, const char *text) {
    char folder[256];
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
        mkdir(folder, 0777);
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int64_t free_here(void) { return free_memory_by("meminfo", "cgroup", "groups"); }

static int set_up(void **state) {
    char folder[] = "/tmp/test_memory.XXXXXX";
    if (!mkdtemp(folder) || chdir(folder) != 0) return -1;
    *state = strdup(folder);
    put("meminfo", "MemTotal:       24683656 kB\nMemFree:          100000 kB\nMemAvailable:      81920 kB\n");
    return 0;
}

static int tear_down(void **state) {
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s", (char *)*state);
    free(*state);
    return system(command);
}

static void test_the_host_alone(void **state) {
    (void)state;
    assert_int_equal(free_here(), 80 * MIB);
    assert_true(free_memory_by("absent", "absent", "absent") == INT64_MAX);
    put("cgroup", "0::/a/b\n"); /* a group without limits of memory */
    assert_int_equal(free_here(), 80 * MIB);
    assert_true(free_memory() > 0 && free_memory() < INT64_MAX);
}

/* Slurm limits the job, a group above that of the task. */
static void test_unified_groups(void **state) {
    (void)state;
    put("cgroup", "0::/slurm/job_7/step_0\n");
    put("groups/slurm/job_7/step_0/memory.max", "max\n");
    put("groups/slurm/job_7/step_0/memory.current", "1048576\n");
    assert_int_equal(free_here(), 80 * MIB);
    put("groups/slurm/job_7/memory.max", "52428800\n"); /* 50 MiB, of which 30 are used, 10 of those droppable */
    put("groups/slurm/job_7/memory.current", "31457280\n");
    assert_int_equal(free_here(), 20 * MIB);
    put("groups/slurm/job_7/memory.stat",
        "anon 1\nfile 2\ninactive_file 4194304\nactive_file 5242880\nslab_reclaimable 1048576\n");
    assert_int_equal(free_here(), 30 * MIB);
    put("groups/memory.max", "10485760\n"); /* a container's */
    put("groups/memory.current", "0\n");
    assert_int_equal(free_here(), 10 * MIB);
    put("groups/memory.current", "99999999\n");
    assert_int_equal(free_here(), 0);
}

static void test_separate_groups(void **state) {
    (void)state;
    put("cgroup", "9:memory_pressure,cpuset:/other\n4:hugetlb,memory:/job:7\n0::/\n");
    put("groups/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("groups/memory/memory.usage_in_bytes", "123456789\n");
    assert_int_equal(free_here(), 80 * MIB);
    put("groups/memory/job:7/memory.limit_in_bytes", "20971520\n");
    put("groups/memory/job:7/memory.usage_in_bytes", "5242880\n");
    put("groups/memory/job:7/memory.stat", "inactive_file 1\ntotal_inactive_file 1048576\ntotal_active_file 2097152\n");
    assert_int_equal(free_here(), 18 * MIB);
    put("groups/memory/job:7/memory.stat", "total_inactive_file 9437184\n"); /* of a later moment */
    assert_int_equal(free_here(), 20 * MIB);
}

static void test_too_large(void **state) {
    (void)state;
    assert_null(memory_new_if_free(SIZE_MAX));
    assert_null(memory_new_if_free((size_t)1 << 55));
    long long pages; /* a sanitizer's shadow takes terabytes of them */
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lld", &pages), 1);
    fclose(file);
    const rlim_t most = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + 512 * MIB;
    const struct rlimit limit = {most, most};
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    assert_null(memory_new_if_free(1024 * MIB));
    assert_true(free_memory() > 0 && free_memory() <= 512 * MIB);
    char *memory = memory_new_if_free(2 * MIB);
    assert_non_null(memory);
    for (int i = 0; i < 2 * MIB; i++) assert_int_equal(memory[i], 0);
    free(memory);
    void *none = NULL;
    const Status status = memory_new_for(1024 * MIB, &none, "reading %s", "large.h5");
    assert_int_equal(status.code, RAM_USAGE);
    assert_null(none);
    assert_non_null(strstr(status.message, "out of memory: reading large.h5 takes 1024.0 MiB, where "));
    const Status room = memory_room(1024 * MIB, "%s", "what comes");
    assert_int_equal(room.code, RAM_USAGE);
    assert_non_null(strstr(room.message, "out of memory: what comes takes 1024.0 MiB, where "));
    const Status found = memory_new_for(2 * MIB, &none, "reading %s", "small.h5");
    assert_int_equal(found.code, RAM_OK);
    free(none);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_host_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unified_groups, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_separate_groups, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_large, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
