#define _GNU_SOURCE /* sched_getaffinity */
#include "mpi/cores.h"

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

CoreMask cores_mask(pid_t pid) {
    CoreMask mask = {{0}};
    if (sched_getaffinity(pid, sizeof mask, (cpu_set_t *)mask.bits) != 0) memset(&mask, 0, sizeof mask);
    return mask;
}

int cores_count(const CoreMask *mask) {
    int count = 0;
    for (int word = 0; word < CORE_WORDS; word++) count += __builtin_popcountll(mask->bits[word]);
    return count;
}

static bool has_core(const CoreMask *mask, int core) {
    return core < 64 * CORE_WORDS && (mask->bits[core / 64] >> core % 64 & 1) != 0;
}

void cores_text(const CoreMask *mask, char *text, size_t bytes) {
    static const char CUT[] = ",...";
    size_t length = 0;
    *text = '\0';
    for (int first = 0, last; first < 64 * CORE_WORDS; first = last + 1) {
        for (last = first; has_core(mask, first) && has_core(mask, last + 1);) last++;
        if (!has_core(mask, first)) continue;
        char range[32];
        int added = snprintf(range, sizeof range, last > first ? "%s%d-%d" : "%s%d", length ? "," : "", first, last);
        if (length + (size_t)added + sizeof CUT > bytes) {
            memcpy(text + length, CUT, sizeof CUT);
            return;
        }
        memcpy(text + length, range, (size_t)added + 1);
        length += (size_t)added;
    }
}

/* The limit of one group's cpu.max file, "200000 100000" or "max 100000". */
static int group_quota(const char *group) {
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
    FILE *file = length < (int)sizeof path ? fopen(path, "re") : NULL;
    if (!file) return INT_MAX;
    double quota, period;
    bool limited = fscanf(file, "%lf %lf", &quota, &period) == 2 && quota > 0 && period > 0;
    fclose(file);
    if (!limited || quota / period > 1e6) return INT_MAX;
    int whole = (int)(quota / period);
    return whole < quota / period ? whole + 1 : whole;
}

int cores_quota(void) {
    char group[PATH_MAX] = "";
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file) return INT_MAX;
    char line[PATH_MAX];
    while (fgets(line, sizeof line, file)) /* the line of version 2 is "0::/its/path" */
        if (strncmp(line, "0::", 3) == 0) snprintf(group, sizeof group, "%s", line + 3);
    fclose(file);
    group[strcspn(group, "\n")] = '\0';
    int least = group_quota("");
    for (char *slash; (slash = strrchr(group, '/')) != NULL; *slash = '\0') { /* a group is bound by those above it */
        int quota = group_quota(group);
        if (quota < least) least = quota;
    }
    return least;
}

int cores_share(const CoreMask *masks, int ranks, int mine, int quota) {
    CoreMask all = {{0}};
    int sum = 0;
    for (int rank = 0; rank < ranks; rank++) {
        sum += cores_count(&masks[rank]);
        for (int word = 0; word < CORE_WORDS; word++) all.bits[word] |= masks[rank].bits[word];
    }
    int usable = cores_count(&all);
    int share = usable == sum ? cores_count(&masks[mine]) : usable / ranks;
    if (share > quota / ranks) share = quota / ranks;
    return share > 1 ? share : 1;
}
