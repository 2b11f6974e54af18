#include "store/trace_folder.h"
#include "store/file_lock.h"
#include "store/manifest.h"
#include "store/step_folder.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { NAME_LENGTH = 200 };
static const char PREFIX[] = ".ram_dist-", LOCK[] = ".lock", TEMPORARY[] = ".tmp", TRASH[] = ".trash-";

static bool has_control(const char *name) {
    while (*name && !iscntrl((unsigned char)*name)) name++;
    return *name;
}

static Status check_name(const char *name) {
    if (*name && *name != '.' && !strchr(name, '/') && !has_control(name) && strlen(name) <= NAME_LENGTH)
        return status_ok();
    return status_error(RAM_USAGE,
                        "'%.64s' cannot be a trace's name: give up to %d printable characters without '/' that do not "
                        "begin with '.'",
                        name, NAME_LENGTH);
}

/* FOLDER/<before>.ram_dist-NAME<after> */
static Status hidden_path(char path[FILE_PATH], const char *folder, const char *before, const char *name,
                          const char *after) {
    char hidden[NAME_MAX + 1];
    snprintf(hidden, sizeof hidden, "%s%s%s%s", before, PREFIX, name, after);
    return atomic_file_join(path, folder, hidden);
}

Status trace_folder_name(TraceFolder *trace, const char *folder, const char *name, bool replace) {
    *trace = (TraceFolder){.lock = -1, .replace = replace};
    TRY(check_name(name));
    TRY(atomic_file_join(trace->path, folder, name));
    TRY(hidden_path(trace->temporary, folder, "", name, TEMPORARY));
    TRY(hidden_path(trace->trash, folder, TRASH, name, TEMPORARY));
    return hidden_path(trace->lock_path, folder, "", name, LOCK);
}

/* Whether `path` is free, or what lies there is a trace that is to be replaced. */
static Status check_target(const TraceFolder *trace) {
    struct stat facts;
    if (lstat(trace->path, &facts) != 0) return status_ok();
    if (!trace->replace)
        return status_error(RAM_USAGE, "%.400s exists: add --force to replace it, or --name NAME for another",
                            trace->path);
    if (S_ISDIR(facts.st_mode) && manifest_claims(trace->path, MANIFEST_TRACE)) return status_ok();
    return status_error(RAM_USAGE,
                        "%.300s exists and is no trace, and only a trace is replaced: move it, or give another "
                        "--name or --output",
                        trace->path);
}

/* Deletes what a write left. */
static Status sweep(const TraceFolder *trace) {
    TRY(atomic_file_remove_tree(trace->temporary));
    return atomic_file_remove_tree(trace->trash);
}

/* Sweeps and unlocks; what cannot be deleted keeps its lock file, which tells the next write. */
static void sweep_and_unlock(TraceFolder *trace) {
    const Status status = sweep(trace);
    if (status_failed(&status))
        file_lock_release(&trace->lock);
    else
        file_lock_delete(trace->lock_path, &trace->lock);
}

/* The name of the trace whose lock file `entry` is; false where it is none. */
static bool parse_lock(const char *entry, char name[NAME_MAX + 1]) {
    const size_t before = strlen(PREFIX), after = strlen(LOCK), length = strlen(entry);
    if (length <= before + after || strncmp(entry, PREFIX, before) != 0) return false;
    if (strcmp(entry + length - after, LOCK) != 0) return false;
    snprintf(name, NAME_MAX + 1, "%.*s", (int)(length - before - after), entry + before);
    return true;
}

/* Deletes what crashes left of other traces: a lock file that nobody holds tells. A failure is none of this trace's
 * business. */
static void sweep_others(const char *folder) {
    DIR *directory = opendir(folder);
    struct dirent *entry;
    while (directory && (entry = readdir(directory)) != NULL) {
        char name[NAME_MAX + 1];
        TraceFolder other;
        if (!parse_lock(entry->d_name, name)) continue;
        const Status named = trace_folder_name(&other, folder, name, false);
        if (!status_failed(&named) && file_lock_try(other.lock_path, &other.lock)) sweep_and_unlock(&other);
    }
    if (directory) closedir(directory);
}

Status trace_folder_begin(TraceFolder *trace, const char *folder) {
    char what[300];
    TRY(check_target(trace));
    TRY(atomic_file_make_folder(folder));
    snprintf(what, sizeof what, "the trace %.200s", trace->path);
    TRY(file_lock_take(trace->lock_path, what, "wait for it to end, or give another --name", &trace->lock));
    sweep_others(folder);
    TRY(sweep(trace));
    return atomic_file_make_temporary(trace->temporary);
}

Status trace_folder_commit(const TraceFolder *trace) {
    TRY(check_target(trace));
    return trace->replace ? atomic_file_replace_folder(trace->temporary, trace->path)
                          : atomic_file_commit_folder(trace->temporary, trace->path);
}

void trace_folder_end(TraceFolder *trace) {
    if (trace->lock >= 0) sweep_and_unlock(trace);
}

Status trace_folder_set_aside(const char *folder, const char *name) {
    char path[FILE_PATH];
    TRY(atomic_file_join(path, folder, name));
    return manifest_claims(path, MANIFEST_TRACE) ? step_folder_rename_bad(folder, name) : status_ok();
}
