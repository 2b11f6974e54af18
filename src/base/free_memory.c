#include "base/free_memory.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* The number behind `key` at the beginning of a line ("" for a file that is a number alone). */
static bool read_number(const char *path, const char *key, int64_t *number) {
    char line[256];
    const size_t length = strlen(key);
    bool found = false;
    FILE *file = fopen(path, "re");
    while (file && !found && fgets(line, sizeof line, file))
        found = strncmp(line, key, length) == 0 && sscanf(line + length, " %" SCNd64, number) == 1;
    if (file) fclose(file);
    return found;
}

enum { DROPPABLE = 3 };

/* The files of a control group, and what of its usage the kernel drops before it kills: version 2, version 1. */
typedef struct {
    const char *limit, *usage, *droppable[DROPPABLE];
} GroupFiles;

static const GroupFiles UNIFIED = {"memory.max",
                                   "memory.current",
                                   {"inactive_file ", "active_file ", "slab_reclaimable "}},
                        SEPARATE = {"memory.limit_in_bytes",
                                    "memory.usage_in_bytes",
                                    {"total_inactive_file ", "total_active_file "}};

static bool group_number(const char *group, const char *name, const char *key, int64_t *number) {
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", group, name);
    return read_number(path, key, number);
}

/* What the group leaves; a limit "max" is no number. */
static int64_t left_by_group(const char *group, const GroupFiles *files) {
    int64_t limit, usage, droppable;
    if (!group_number(group, files->limit, "", &limit) || !group_number(group, files->usage, "", &usage))
        return INT64_MAX;
    for (int i = 0; i < DROPPABLE && files->droppable[i]; i++)
        if (group_number(group, "memory.stat", files->droppable[i], &droppable)) usage -= droppable;
    if (usage < 0) usage = 0; /* the files are of different moments */
    return limit > usage ? limit - usage : 0;
}

/* The least that the group `path` of `root` and those above it leave. In a container `path` may be the host's name of
 * what is `root` there; then only that counts. */
static int64_t left_by_groups(const char *root, const char *path, const GroupFiles *files) {
    char group[PATH_MAX];
    const size_t top = strlen(root);
    int64_t least = INT64_MAX;
    snprintf(group, sizeof group, "%s%s", root, path);
    for (;;) {
        const int64_t left = left_by_group(group, files);
        if (left < least) least = left;
        char *name = strrchr(group, '/');
        if (!name || name < group + top) return least;
        *name = '\0';
    }
}

/* Cuts up a list like "cpuset,memory". */
static bool lists_memory(char *controllers) {
    for (char *name; (name = strsep(&controllers, ","));)
        if (strcmp(name, "memory") == 0) return true;
    return false;
}

int64_t free_memory_by(const char *meminfo, const char *cgroup, const char *hierarchy) {
    int64_t kib, least = INT64_MAX;
    char line[PATH_MAX + 64], root[PATH_MAX];
    if (read_number(meminfo, "MemAvailable:", &kib)) least = kib * 1024;
    FILE *file = fopen(cgroup, "re");
    while (file && fgets(line, sizeof line, file)) { /* NUMBER:CONTROLLERS:PATH */
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path) continue;
        *controllers++ = *path++ = '\0';
        const bool unified = *controllers == '\0';
        if (!unified && !lists_memory(controllers)) continue;
        snprintf(root, sizeof root, "%s%s", hierarchy, unified ? "" : "/memory");
        const int64_t left = left_by_groups(root, path, unified ? &UNIFIED : &SEPARATE);
        if (left < least) least = left;
    }
    if (file) fclose(file);
    return least;
}

int64_t free_memory(void) {
    struct rlimit limit;
    int64_t left = free_memory_by("/proc/meminfo", "/proc/self/cgroup", "/sys/fs/cgroup"), pages;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur < INT64_MAX &&
        read_number("/proc/self/statm", "", &pages)) {
        const int64_t space = (int64_t)limit.rlim_cur - pages * sysconf(_SC_PAGESIZE);
        if (space < left) left = space > 0 ? space : 0;
    }
    return left;
}
