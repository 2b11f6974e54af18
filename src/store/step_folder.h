/* Step folders: how checkpoints/ is laid out (step-NNNNNNNN, latest, best, and what crashes leave: .tmp-*, .bad-*,
 * .trash-*), and moving sets in and out of it. Must not know what is in a set. Nothing here is collective: rank 0. */
#ifndef RAM_STORE_STEP_FOLDER_H
#define RAM_STORE_STEP_FOLDER_H

#include "base/atomic_file.h"

enum { STEP_NAME = 64 };

typedef struct {
    int64_t step;
    char name[STEP_NAME]; /* "step-00017724", or ".bad-step-00017724", ".bad-step-00017724-2", ... */
    bool set_aside;       /* .bad-* */
} StepFolder;

typedef struct {
    int count;
    StepFolder *folder; /* those in use before those set aside, each newest first; free() it */
} StepList;

/* "step-00017724" */
void step_folder_name(char name[STEP_NAME], int64_t step);

/* Renames `name` .bad-*, the first such name that is free. RAM_IO. */
Status step_folder_rename_bad(const char *folder, const char *name);

/* Points the link `link` (latest, best) at `name`. What stands there and is no link, in a run copied without its links,
 * is renamed .bad-*. Not synced. RAM_IO. */
Status step_folder_point(const char *folder, const char *link, const char *name);

/* RAM_DATA where the folder at `path`, which links may lead to, has the name of a set of another step than `step`. */
Status step_folder_check(const char *path, int64_t step);

/* The sets in `folder`; a missing folder has none. RAM_DATA: it is no folder. RAM_IO. */
Status step_folder_list(const char *folder, StepList *list);

/* Deletes .tmp-* and .trash-*, all that can be deleted. RAM_IO. */
Status step_folder_sweep(const char *folder);

/* Renames the sets in use from `step` on .bad-*. RAM_IO. */
Status step_folder_set_aside(const char *folder, int64_t step);

/* Reads the link `name` (latest, best); target "" where there is none. */
void step_folder_read_link(const char *folder, const char *name, char target[STEP_NAME]);

/* Where `path` is such a link, it becomes the path of the set that the link names now: it may name another before all
 * of a set is read. Slashes at its end are cut off. RAM_USAGE: it is too long. */
Status step_folder_follow(char path[FILE_PATH]);

#endif
