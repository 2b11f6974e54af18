#include "data/idx_folder.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES_MOST = 16, NAME = 32, COLOUR = 4 /* among the names of images: the first in colour */ };

/* The names of a file without the prefix: how sets, kinds and packing may be spelt. The first that is there is read. */
typedef struct {
    int count;
    char name[NAMES_MOST][NAME];
} Names;

static bool holds_labels(IdxFile file) { return file == IDX_TRAIN_LABELS || file == IDX_TEST_LABELS; }

static Names names_of(IdxFile file) {
    static const char *const sets[2][2] = {{"train", NULL}, {"t10k", "test"}};
    static const char *const kinds[2][4] = {
        {"-images-idx3-ubyte", "-images.idx3-ubyte", "-images-idx4-ubyte", "-images.idx4-ubyte"},
        {"-labels-idx1-ubyte", "-labels.idx1-ubyte", NULL, NULL}};
    const bool tests = file == IDX_TEST_IMAGES || file == IDX_TEST_LABELS;
    const bool labels = holds_labels(file);
    Names names = {0};
    for (int set = 0; set < 2 && sets[tests][set]; set++)
        for (int kind = 0; kind < 4 && kinds[labels][kind]; kind++)
            for (int packed = 0; packed < 2; packed++)
                snprintf(names.name[names.count++], NAME, "%s%s%s", sets[tests][set], kinds[labels][kind],
                         packed ? ".gz" : "");
    return names;
}

/* Bytes of what stands before one of the names in `entry`; -1: it ends in none. */
static int prefix_length(const Names *names, const char *entry) {
    for (int i = 0; i < names->count; i++) {
        const size_t length = strlen(entry), end = strlen(names->name[i]);
        if (length >= end && strcmp(entry + length - end, names->name[i]) == 0) return (int)(length - end);
    }
    return -1;
}

/* The first entry by name, with its prefix, that another data.prefix would find; "" where there is none. */
static void find_prefixed(const IdxFolder *folder, const Names *names, char entry[DATASET_PATH]) {
    entry[0] = '\0';
    DIR *directory = opendir(folder->directory);
    if (!directory) return;
    for (const struct dirent *next; (next = readdir(directory));)
        if (prefix_length(names, next->d_name) >= 0 && (!entry[0] || strcmp(next->d_name, entry) < 0))
            snprintf(entry, DATASET_PATH, "%s", next->d_name);
    closedir(directory);
}

static Status missing(const IdxFolder *folder, IdxFile file) {
    const Names names = names_of(file);
    char entry[DATASET_PATH], colour[DATASET_PATH] = "";
    if (!holds_labels(file)) snprintf(colour, sizeof colour, " (in colour: %s%s)", folder->prefix, names.name[COLOUR]);
    find_prefixed(folder, &names, entry);
    if (entry[0])
        return status_error(
            RAM_USAGE, "no file %s%s%s, plain or .gz, in the data folder %s, but %s is: set data.prefix=%.*s",
            folder->prefix, names.name[0], colour, folder->directory, entry, prefix_length(&names, entry), entry);
    char working[DATASET_PATH] = ""; /* a checkpoint's configuration may name a folder of another working folder */
    const bool relative = folder->directory[0] != '/' && getcwd(working, sizeof working);
    return status_error(
        RAM_USAGE,
        "no file %s%s%s, plain or .gz, in the data folder %.120s%s%.100s: run data/fetch_mnist.sh, or name the "
        "folder of your IDX files with data.dir, or with $RAM_DATA where data.dir is empty",
        folder->prefix, names.name[0], colour, folder->directory, relative ? " of " : "", relative ? working : "");
}

static void note_unread(IdxFolder *folder, const char *read, const char *unread) {
    const size_t length = strlen(folder->unread);
    snprintf(folder->unread + length, sizeof folder->unread - length, "%s%s%s, not %s%s", length ? "; " : "",
             folder->prefix, read, folder->prefix, unread);
}

Status idx_folder_find(IdxFolder *folder, IdxFile file, char path[DATASET_PATH]) {
    const Names names = names_of(file);
    const char *found = NULL;
    for (int i = 0; i < names.count; i++) {
        char candidate[DATASET_PATH];
        const int length =
            snprintf(candidate, DATASET_PATH, "%s/%s%s", folder->directory, folder->prefix, names.name[i]);
        if (length >= DATASET_PATH)
            return status_error(RAM_USAGE, "the data folder's path, with data.prefix, is too long: %.300s...",
                                folder->directory);
        struct stat info;
        const bool there = lstat(candidate, &info) == 0; /* of a link that leads nowhere, too */
        if (found && there) note_unread(folder, found, names.name[i]);
        if (found || (!there && errno != EACCES)) continue; /* reading it will say why not */
        memcpy(path, candidate, DATASET_PATH);
        found = names.name[i];
    }
    return found ? status_ok() : missing(folder, file);
}

void idx_folder_warn(const IdxFolder *folder) {
    if (folder->unread[0])
        log_warning("the data folder %s has files twice, under two names; read are %s%s", folder->directory,
                    folder->unread, strlen(folder->unread) + 1 == sizeof folder->unread ? "..." : "");
}
