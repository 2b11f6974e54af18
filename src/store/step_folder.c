#include "store/step_folder.h"
#include "base/log.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char BAD[] = ".bad-";

void step_folder_name(char name[STEP_NAME], int64_t step) {
    require(step >= 0);
    snprintf(name, STEP_NAME, "step-%08" PRId64, step);
}

/* Whether `name` is that of a set: at least eight digits, and after BAD perhaps a counter. */
static bool parse_name(const char *name, StepFolder *folder) {
    char expected[STEP_NAME];
    int64_t step;
    *folder = (StepFolder){.set_aside = strncmp(name, BAD, strlen(BAD)) == 0};
    const char *plain = folder->set_aside ? name + strlen(BAD) : name;
    if (strlen(name) >= STEP_NAME || sscanf(plain, "step-%18" SCNd64, &step) != 1 || step < 0) return false;
    step_folder_name(expected, step);
    const char *rest = plain + strlen(expected);
    if (strncmp(plain, expected, strlen(expected)) != 0) return false;
    if (*rest && !(folder->set_aside && *rest == '-')) return false;
    folder->step = step;
    snprintf(folder->name, STEP_NAME, "%s", name);
    return true;
}

Status step_folder_check(const char *path, int64_t step) {
    StepFolder named;
    char *real = realpath(path, NULL);
    const char *slash = real ? strrchr(real, '/') : NULL;
    const bool differs = slash && parse_name(slash + 1, &named) && named.step != step;
    free(real);
    if (!differs) return status_ok();
    return status_error(RAM_DATA,
                        "%.400s holds the checkpoint of step %" PRId64 ", not of %" PRId64
                        ": give the folder its own name, or move it away",
                        path, step, named.step);
}

static int newest_first(const void *left, const void *right) {
    const StepFolder *a = left, *b = right;
    if (a->set_aside != b->set_aside) return a->set_aside ? 1 : -1;
    if (a->step != b->step) return a->step > b->step ? -1 : 1;
    return strcmp(a->name, b->name);
}

Status step_folder_list(const char *folder, StepList *list) {
    *list = (StepList){0};
    DIR *directory = opendir(folder);
    if (!directory && errno == ENOENT) return status_ok();
    if (!directory)
        return status_error(errno == ENOTDIR ? RAM_DATA : RAM_IO,
                            "cannot look into %.400s: %s; make it a folder that can be read", folder, strerror(errno));
    struct dirent *entry;
    int room = 0;
    while ((entry = readdir(directory)) != NULL) {
        StepFolder found;
        if (!parse_name(entry->d_name, &found)) continue;
        if (list->count == room) {
            room = 2 * room + 16;
            list->folder = realloc(list->folder, (size_t)room * sizeof found);
            require(list->folder);
        }
        list->folder[list->count++] = found;
    }
    closedir(directory);
    if (list->count) qsort(list->folder, (size_t)list->count, sizeof *list->folder, newest_first);
    return status_ok();
}

Status step_folder_sweep(const char *folder) {
    DIR *directory = opendir(folder);
    if (!directory) return status_error(RAM_IO, "cannot look into %.400s: %s", folder, strerror(errno));
    Status first = status_ok();
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        char path[FILE_PATH];
        if (strncmp(entry->d_name, ".tmp-", 5) != 0 && strncmp(entry->d_name, ".trash-", 7) != 0) continue;
        Status status = atomic_file_join(path, folder, entry->d_name);
        if (!status_failed(&status)) status = atomic_file_remove_tree(path);
        if (!status_failed(&first)) first = status;
    }
    closedir(directory);
    return first;
}

/* The first free name .bad-NAME, .bad-NAME-2, ... */
Status step_folder_rename_bad(const char *folder, const char *name) {
    char from[FILE_PATH], to[FILE_PATH], bad[NAME_MAX + 1];
    TRY(atomic_file_join(from, folder, name));
    for (int copy = 1;; copy++) {
        snprintf(bad, sizeof bad, copy == 1 ? "%s%.200s" : "%s%.200s-%d", BAD, name, copy);
        TRY(atomic_file_join(to, folder, bad));
        if (access(to, F_OK) != 0) return atomic_file_rename(from, to);
    }
}

Status step_folder_point(const char *folder, const char *link, const char *name) {
    char path[FILE_PATH];
    struct stat facts;
    TRY(atomic_file_join(path, folder, link));
    if (lstat(path, &facts) == 0 && !S_ISLNK(facts.st_mode)) TRY(step_folder_rename_bad(folder, link));
    return atomic_file_switch_link(name, path);
}

Status step_folder_set_aside(const char *folder, int64_t step) {
    StepList list;
    TRY(step_folder_list(folder, &list));
    Status status = status_ok();
    for (int i = 0; i < list.count && !status_failed(&status); i++)
        if (!list.folder[i].set_aside && list.folder[i].step >= step)
            status = step_folder_rename_bad(folder, list.folder[i].name);
    free(list.folder);
    return status;
}

void step_folder_read_link(const char *folder, const char *name, char target[STEP_NAME]) {
    char path[FILE_PATH];
    StepFolder found;
    target[0] = 0;
    Status joined = atomic_file_join(path, folder, name);
    if (status_failed(&joined)) return;
    ssize_t length = readlink(path, target, STEP_NAME - 1);
    target[length > 0 ? length : 0] = 0;
    if (!parse_name(target, &found) || found.set_aside) target[0] = 0;
}

Status step_folder_follow(char path[FILE_PATH]) {
    char folder[FILE_PATH], target[STEP_NAME];
    for (size_t length = strlen(path); length > 1 && path[length - 1] == '/'; length--) path[length - 1] = 0;
    const char *slash = strrchr(path, '/');
    TRY(atomic_file_parent(path, folder));
    step_folder_read_link(folder, slash ? slash + 1 : path, target);
    return *target ? atomic_file_join(path, folder, target) : status_ok();
}
