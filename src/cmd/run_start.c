#include "cmd/run_start.h"
#include "store/checkpoint.h"
#include "store/manifest.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool run_start_holds_run(const char *path) {
    char checkpoints[FILE_PATH];
    const Status joined = atomic_file_join(checkpoints, path, "checkpoints");
    return atomic_file_is_in(path, "metrics.jsonl") || (!status_failed(&joined) && checkpoint_any(checkpoints));
}

/* Whether `path` may be a checkpoint or a file of one, or a folder of sets or a run folder that has any. */
static bool may_be_checkpoint(const char *path) {
    char folder[FILE_PATH];
    struct stat facts;
    if (stat(path, &facts) != 0) return false;
    if (S_ISDIR(facts.st_mode)) {
        const Status joined = atomic_file_join(folder, path, "checkpoints");
        return manifest_exists(path) || checkpoint_any(path) || (!status_failed(&joined) && checkpoint_any(folder));
    }
    const Status cut = atomic_file_parent(path, folder);
    return !status_failed(&cut) && manifest_exists(folder);
}

/* A file where a run needs a folder, or a folder where it needs a file, would end the run once it came to it. */
static Status check_names(const char *path) {
    static const struct {
        const char *name;
        bool is_folder;
    } needed[] = {{"checkpoints", true},    {"traces", true},   {"config.yaml", false},
                  {"metrics.jsonl", false}, {"run.log", false}, {".lock", false}};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        char file[FILE_PATH];
        struct stat facts;
        TRY(atomic_file_join(file, path, needed[i].name));
        if (stat(file, &facts) == 0 && S_ISDIR(facts.st_mode) != needed[i].is_folder)
            return status_error(RAM_IO,
                                "%.400s is %s folder, and a run needs %s of that name: move it away, or choose another "
                                "folder (run.dir)",
                                file, needed[i].is_folder ? "no" : "a", needed[i].is_folder ? "one" : "a file");
    }
    return status_ok();
}

static Status check(const Arguments *arguments, int ranks, const char *path) {
    const char *resume = arguments->resume;
    TRY(check_names(path));
    const bool exists = run_start_holds_run(path);
    if (exists && !resume)
        return status_error(RAM_USAGE,
                            "%s holds a run already: add --resume auto to go on with it, or --run-dir DIR for a new "
                            "one",
                            path);
    if (exists) return status_ok(); /* the checkpoint's lanes count */
    if (resume && strcmp(resume, "auto") != 0) {
        if (may_be_checkpoint(resume)) return status_ok();
        if (access(resume, F_OK) == 0)
            return status_error(
                RAM_DATA,
                "--resume %.300s: that is no checkpoint, and there is none in it; give auto, or the path of one",
                resume);
        return status_error(RAM_DATA,
                            "--resume %.300s: %.300s holds no run, and there is no checkpoint of that name; give auto, "
                            "or the path of one",
                            resume, path);
    }
    if (resume && !arguments->config_path && atomic_file_is_in(path, "config.yaml"))
        return status_ok(); /* its lanes count */
    return experiment_check_ranks(&arguments->config, ranks);
}

Status run_start_check(const Arguments *arguments, int ranks) {
    char path[FILE_PATH];
    TRY(arguments_run_path(arguments, path));
    return check(arguments, ranks, path);
}

Status run_start_agree(const Session *session, const char *path) {
    const bool looks = comm_rank(session->comm) == 0;
    return comm_agree(session->comm, looks ? check(&session->arguments, comm_size(session->comm), path) : status_ok());
}
