#include "base/log.h"
#include "base/memory.h"
#include "store/manifest.h"
#include "store/step_folder.h"
#include "view/run.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- which trace shows the run's result */

static const char *fact_of(const Recording *recording, const char *name) {
    return inspect_text(&recording->content.facts.scalars, name);
}

/* Whether a trace of another value shows another model, or other images. */
static bool matters(int key) {
    const KeyInfo *info = config_key(key);
    if (strcmp(info->section, "eval") == 0) return strncmp(info->name, "eval.sigma", 10) == 0; /* or sigma_many */
    return info->type != KEY_TEXT && (strcmp(info->section, "model") == 0 || strcmp(info->section, "data") == 0);
}

/* The next key after `key` (-1: from the first) in which the trace is not as the run is configured; -1: none. */
static int next_difference(const Run *run, const Recording *recording, int key) {
    if (!run->has_config) return -1;
    while ((key = config_next_difference(&run->config, &recording->config, key)) >= 0 && !matters(key)) {}
    return key;
}

/* Whether the run has the checkpoint that the trace is of. One that a training records has none, and goes with it. */
static bool is_held(const Run *run, const Recording *recording) {
    char checkpoints[FILE_PATH], folder[FILE_PATH], name[STEP_NAME], hash[HASH_TEXT];
    const char *wanted = fact_of(recording, "trace/checkpoint_hash");
    Manifest manifest;
    if (!*wanted) return true;
    step_folder_name(name, recording->step);
    Status status = atomic_file_join(checkpoints, run->path, "checkpoints");
    if (!status_failed(&status)) status = atomic_file_join(folder, checkpoints, name);
    if (!status_failed(&status)) status = manifest_read(folder, MANIFEST_CHECKPOINT, &manifest);
    if (status_failed(&status)) return false;
    manifest_hash(&manifest, hash);
    manifest_free(&manifest);
    return strcmp(hash, wanted) == 0;
}

/* How much of what the run's result is of the trace is of, what weighs most first. */
static int likeness(const Run *run, const Recording *recording) {
    char policy[16];
    run_own_policy(run, policy);
    return (recording->split == SPLIT_TEST) << 3 | (next_difference(run, recording, -1) < 0) << 2 |
           (strcmp(recording->policy, policy) == 0) << 1 | (int)is_held(run, recording);
}

/* Whether it shows the run's result better than what is there: it is more like it, newer, or of more images. */
static bool tells_more(const Run *run, const Recording *recording) {
    const Recording *than = &run->recording;
    const int likes = likeness(run, recording), likes_than = likeness(run, than);
    if (likes != likes_than) return likes > likes_than;
    if (recording->step != than->step) return recording->step > than->step;
    return recording->content.facts.shape.samples >= than->content.facts.shape.samples;
}

static void add_text(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void add_text(char *text, size_t size, const char *format, ...) {
    const size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + used, size - used, format, arguments);
    va_end(arguments);
}

void run_tell_difference(const Run *run, char *text, size_t size) {
    const Recording *recording = &run->recording;
    *text = 0;
    for (int key = -1; (key = next_difference(run, recording, key)) >= 0;) {
        char here[CONFIG_TEXT], there[CONFIG_TEXT];
        config_get_text(&recording->config, key, here, sizeof here);
        config_get_text(&run->config, key, there, sizeof there);
        add_text(text, size, "%s%s is %.64s here (%.64s in the run)",
                 *text ? ", " : "This trace is of another configuration: ", config_key(key)->name, here, there);
    }
    if (*text) add_text(text, size, ".");
    if (!is_held(run, recording))
        add_text(text, size, "%s is of a checkpoint that the run has no longer.", *text ? " It" : "This trace");
}

/* --- the traces of a folder */

/* Hidden names are traces that are being written. */
static int is_shown(const struct dirent *entry) { return entry->d_name[0] != '.'; }

/* Whether the training made it: of its probe set, under the name of its epoch. */
static bool is_probe(const Recording *recording) {
    char name[TRACE_EPOCH_NAME];
    trace_epoch_name(name, recording->epoch);
    return strcmp(recording_name(recording), name) == 0 && !*fact_of(recording, "trace/checkpoint");
}

static void add_policy(Run *run, const Recording *recording) {
    PolicyRow *row = &run->policy[run->policies++];
    const int glimpses = recording->content.facts.shape.glimpses;
    *row = (PolicyRow){.epoch = recording->epoch,
                       .error = recording_error(recording, glimpses - 1),
                       .movement = recording_movement(recording)};
    for (int t = 1; t < glimpses; t++) recording_add_heat(recording, t, &row->heat);
}

static void take_facts(Run *run, const InspectScalars *facts) {
    static const char *const NAMES[RUN_FACTS] = {
        [FACT_PROGRAM] = "provenance/program",  [FACT_REVISION] = "provenance/revision",
        [FACT_RANKS] = "provenance/ranks",      [FACT_DEVICE] = "provenance/device",
        [FACT_PRODUCTS] = "provenance/libxsmm", [FACT_MESSAGES] = "provenance/mpi",
        [FACT_HOST] = "provenance/host",        [FACT_JOB] = "provenance/slurm_job",
        [FACT_COMMAND] = "provenance/command"};
    for (RunFact fact = 0; fact < RUN_FACTS; fact++)
        snprintf(run->fact[fact], sizeof run->fact[fact], "%s", inspect_text(facts, NAMES[fact]));
}

/* Takes over what the trace has to tell. */
static void take_recording(Run *run, Recording *recording) {
    if (is_probe(recording)) {
        add_policy(run, recording);
        take_facts(run, &recording->content.facts.scalars);
    }
    if (!run->has_recording || tells_more(run, recording)) {
        const Recording old = run->recording;
        run->recording = *recording;
        *recording = old;
        run->has_recording = true;
    }
    recording_close(recording);
}

static void read_one(Run *run, const char *folder, const char *name) {
    char path[FILE_PATH];
    Recording recording;
    Status status = atomic_file_join(path, folder, name);
    if (!status_failed(&status)) {
        if (!manifest_exists(path) && !atomic_file_is_in(path, MANIFEST_INDEX)) return;
        status = recording_open(path, &recording);
    }
    if (!status_failed(&status)) {
        take_recording(run, &recording);
        return;
    }
    log_warning("passed over: %s", status.message);
    if (run->passed_over++ == 0) snprintf(run->why_passed_over, sizeof run->why_passed_over, "%s", status.message);
}

static int by_epoch(const void *a, const void *b) {
    const PolicyRow *first = a, *second = b;
    return (first->epoch > second->epoch) - (first->epoch < second->epoch);
}

static Status read_all(Run *run) {
    char folder[FILE_PATH];
    struct dirent **entry;
    TRY(atomic_file_join(folder, run->path, "traces"));
    const int entries = scandir(folder, &entry, is_shown, alphasort);
    if (entries < 0 && errno == ENOENT) return status_ok();
    if (entries < 0) return status_error(RAM_IO, "cannot list %.400s: %s", folder, strerror(errno));
    run->policy = memory_new((size_t)entries, sizeof *run->policy);
    for (int i = 0; i < entries; i++) {
        read_one(run, folder, entry[i]->d_name);
        free(entry[i]);
    }
    free(entry);
    qsort(run->policy, (size_t)run->policies, sizeof *run->policy, by_epoch);
    return status_ok();
}

/* The newest checkpoint tells where the training ran, if it is good; else a trace of the training may. */
static void ask_checkpoint(Run *run) {
    char checkpoints[FILE_PATH], path[FILE_PATH];
    InspectScalars facts;
    Status status = atomic_file_join(checkpoints, run->path, "checkpoints");
    if (!status_failed(&status)) status = atomic_file_join(path, checkpoints, "latest");
    if (!status_failed(&status)) status = inspect_index(path, &facts);
    if (status_failed(&status)) return;
    take_facts(run, &facts);
    free(facts.scalar);
}

Status run_read_traces(Run *run) {
    const Status status = read_all(run);
    ask_checkpoint(run);
    return status;
}
