#include "view/run.h"
#include "base/average.h"
#include "base/log.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { METRICS_MOST = 1 << 30 };

static const char *const EPOCH_NAMES[EPOCH_FIGURES] = {
    [EPOCH_EPOCH] = "epoch",
    [EPOCH_STEP] = "step",
    [EPOCH_LR] = "lr",
    [EPOCH_LOSS] = "loss",
    [EPOCH_NLL] = "nll",
    [EPOCH_BASELINE_LOSS] = "baseline_loss",
    [EPOCH_REINFORCE_LOSS] = "reinforce_loss",
    [EPOCH_ERROR] = "error",
    [EPOCH_REWARD] = "reward",
    [EPOCH_SECONDS] = "seconds",
};

const char *run_epoch_figure(EpochFigure figure) { return EPOCH_NAMES[figure]; }

/* --- metrics.jsonl */

/* Room for one more; rows are doubled. */
static void *grow(void *rows, int count, size_t bytes) {
    if (count & (count - 1)) return rows; /* full at the powers of two alone */
    const size_t room = count ? 2 * (size_t)count : 1;
    void *grown = memory_new(room, bytes);
    if (count) memcpy(grown, rows, (size_t)count * bytes);
    free(rows);
    return grown;
}

/* False names the figure that the line lacks. */
static bool take_epoch(json_t *line, EpochRow *row, const char **lacks) {
    for (EpochFigure figure = 0; figure < EPOCH_FIGURES; figure++) {
        json_t *value = json_object_get(line, EPOCH_NAMES[figure]);
        *lacks = EPOCH_NAMES[figure];
        if (!json_is_number(value)) return false;
        row->value[figure] = json_number_value(value);
    }
    return true;
}

static bool take_eval(json_t *line, EvalRow *row, const char **lacks) {
    const char *split, *policy;
    json_int_t epoch, step, rollouts, images, wrong;
    json_error_t error;
    *lacks = "a figure of an evaluation";
    if (json_unpack_ex(line, &error, 0, "{ss ss sI sI sI sI sI sF sF sF sF sF}", "split", &split, "policy", &policy,
                       "epoch", &epoch, "step", &step, "rollouts", &rollouts, "images", &images, "wrong", &wrong,
                       "error", &row->error, "low", &row->low, "high", &row->high, "loss", &row->loss, "reward",
                       &row->reward) != 0)
        return false;
    snprintf(row->split, sizeof row->split, "%s", split);
    snprintf(row->policy, sizeof row->policy, "%s", policy);
    row->epoch = epoch, row->step = step, row->rollouts = rollouts, row->images = images, row->wrong = wrong;
    return true;
}

/* Lines of kinds that this version does not know are passed over. */
static bool take_line(Run *run, json_t *line, const char **lacks) {
    const char *kind = json_string_value(json_object_get(line, "kind"));
    *lacks = "kind";
    if (!kind) return false;
    if (strcmp(kind, "epoch") == 0) {
        run->epoch = grow(run->epoch, run->epochs, sizeof *run->epoch);
        return take_epoch(line, &run->epoch[run->epochs++], lacks);
    }
    if (strcmp(kind, "eval") == 0) {
        run->eval = grow(run->eval, run->evals, sizeof *run->eval);
        return take_eval(line, &run->eval[run->evals++], lacks);
    }
    return true;
}

static Status take_lines(Run *run, const char *path, const char *text, size_t bytes) {
    int number = 1;
    const char *end;
    for (const char *at = text; (end = memchr(at, '\n', (size_t)(text + bytes - at))); at = end + 1, number++) {
        json_error_t error;
        const char *lacks;
        json_t *line = json_loadb(at, (size_t)(end - at), 0, &error);
        const bool is_object = json_is_object(line), taken = is_object && take_line(run, line, &lacks);
        json_decref(line);
        if (!is_object)
            return status_error(RAM_DATA, "%.300s:%d is not a JSON object: take the line out, or put the file back",
                                path, number);
        if (!taken)
            return status_error(RAM_DATA, "%.300s:%d lacks %s: take the line out, or put the file back", path, number,
                                lacks);
    }
    return status_ok();
}

static Status read_metrics(Run *run) {
    char path[FILE_PATH];
    void *text;
    size_t bytes;
    struct stat facts;
    TRY(atomic_file_join(path, run->path, "metrics.jsonl"));
    if (stat(path, &facts) != 0) return status_ok(); /* the first epoch is not over */
    run->silent = difftime(time(NULL), facts.st_mtime);
    TRY(atomic_file_read(path, METRICS_MOST, &text, &bytes));
    const Status status = take_lines(run, path, text, bytes);
    free(text);
    return status;
}

/* --- the run */

static bool lies_in(const char *folder, const char *name) {
    char path[FILE_PATH];
    const Status joined = atomic_file_join(path, folder, name);
    return !status_failed(&joined) && access(path, F_OK) == 0;
}

bool run_is(const char *path) { return lies_in(path, "metrics.jsonl") || lies_in(path, "config.yaml"); }

/* Without slashes at its end; the name is what comes after the last, also for "." and "..". */
static Status set_path(Run *run, const char *path) {
    if (snprintf(run->path, sizeof run->path, "%s", path) >= (int)sizeof run->path)
        return status_error(RAM_USAGE, "the path %.300s... is too long", path);
    for (size_t length = strlen(run->path); length > 1 && run->path[length - 1] == '/'; length--)
        run->path[length - 1] = 0;
    char *real = realpath(run->path, NULL);
    snprintf(run->whole, sizeof run->whole, "%s", real ? real : run->path);
    free(real);
    const char *slash = strrchr(run->whole, '/');
    snprintf(run->name, sizeof run->name, "%s", slash && slash[1] ? slash + 1 : run->whole);
    return status_ok();
}

/* Whether another run has the name of this one. The same run given twice has one name. */
static bool is_taken(int runs, const Run *run, int i) {
    for (int j = 0; j < runs; j++)
        if (strcmp(run[j].name, run[i].name) == 0 && strcmp(run[j].whole, run[i].whole) != 0) return true;
    return false;
}

/* Adds the next folder above to the name, if there is one. */
static bool lengthen_name(Run *run) {
    const size_t above = strlen(run->whole) - strlen(run->name);
    if (above < 2) return false; /* all of it is there, but for the first slash */
    const char *start = run->whole + above - 1;
    while (start > run->whole && start[-1] != '/') start--;
    memmove(run->name, start, strlen(start) + 1);
    return true;
}

void run_tell_apart(int runs, Run *run) {
    bool taken[16], again = true;
    require(runs <= (int)(sizeof taken / sizeof *taken));
    while (again) {
        again = false;
        for (int i = 0; i < runs; i++) taken[i] = is_taken(runs, run, i);
        for (int i = 0; i < runs; i++) again |= taken[i] && lengthen_name(&run[i]);
    }
}

static Status read_config(Run *run) {
    char path[FILE_PATH];
    TRY(atomic_file_join(path, run->path, "config.yaml"));
    run->has_config = access(path, F_OK) == 0;
    config_default(&run->config);
    return run->has_config ? config_read_file(&run->config, path) : status_ok();
}

Status run_open(const char *path, Run *run) {
    *run = (Run){.path = ""};
    if (!run_is(path))
        return status_error(RAM_DATA,
                            "there is no run in %.400s: neither metrics.jsonl nor config.yaml lies there; give "
                            "the folder of a run",
                            path);
    TRY(set_path(run, path));
    Status status = read_config(run);
    if (!status_failed(&status)) status = read_metrics(run);
    if (status_failed(&status)) run_close(run);
    return status;
}

void run_close(Run *run) {
    free(run->epoch);
    free(run->eval);
    free(run->policy);
    recording_close(&run->recording);
    *run = (Run){.path = ""};
}

/* --- traces */

/* Hidden names are traces that are being written. */
static int is_shown(const struct dirent *entry) { return entry->d_name[0] != '.'; }

static bool is_trace(const char *path) { return lies_in(path, "MANIFEST") || lies_in(path, "index.h5"); }

/* The run's own policy of evaluation (eval.policy): "sample", ... Without config.yaml the default. */
static void own_policy(const Run *run, char policy[16]) {
    config_get_text(&run->config, config_find_key("eval.policy"), policy, 16);
}

/* Whether it shows the run's result better than what is there: it is of the test set, of the run's own policy, newer,
 * or of more images, in this order. */
static bool tells_more(const Run *run, const Recording *recording) {
    const Recording *than = &run->recording;
    const bool test = recording->split == SPLIT_TEST, than_test = than->split == SPLIT_TEST;
    char policy[16];
    own_policy(run, policy);
    const bool own = strcmp(recording->policy, policy) == 0, than_own = strcmp(than->policy, policy) == 0;
    if (test != than_test) return test;
    if (own != than_own) return own;
    if (recording->step != than->step) return recording->step > than->step;
    return recording->content.facts.shape.samples >= than->content.facts.shape.samples;
}

static void add_policy(Run *run, const Recording *recording) {
    run->policy = grow(run->policy, run->policies, sizeof *run->policy);
    PolicyRow *row = &run->policy[run->policies++];
    const int glimpses = recording->content.facts.shape.glimpses;
    *row = (PolicyRow){.epoch = recording->epoch,
                       .error = recording_error(recording, glimpses - 1),
                       .movement = recording_movement(recording)};
    for (int t = 1; t < glimpses; t++) recording_add_heat(recording, t, &row->heat);
}

static void take_facts(Run *run, int scalars, const InspectScalar *scalar) {
    static const char *const NAMES[RUN_FACTS] = {
        [FACT_PROGRAM] = "provenance/program",  [FACT_REVISION] = "provenance/revision",
        [FACT_RANKS] = "provenance/ranks",      [FACT_DEVICE] = "provenance/device",
        [FACT_PRODUCTS] = "provenance/libxsmm", [FACT_MESSAGES] = "provenance/mpi",
        [FACT_HOST] = "provenance/host",        [FACT_JOB] = "provenance/slurm_job",
        [FACT_COMMAND] = "provenance/command"};
    for (RunFact fact = 0; fact < RUN_FACTS; fact++)
        snprintf(run->fact[fact], sizeof run->fact[fact], "%s", inspect_text(scalars, scalar, NAMES[fact]));
}

/* The newest checkpoint tells where the training ran, if it is good; else a trace of the training may. */
static void ask_checkpoint(Run *run) {
    char checkpoints[FILE_PATH], path[FILE_PATH];
    InspectScalar *scalar;
    int scalars;
    Status status = atomic_file_join(checkpoints, run->path, "checkpoints");
    if (!status_failed(&status)) status = atomic_file_join(path, checkpoints, "latest");
    if (!status_failed(&status)) status = inspect_index(path, &scalars, &scalar);
    if (status_failed(&status)) return;
    take_facts(run, scalars, scalar);
    free(scalar);
}

/* Takes over what the trace has to tell. */
static void take_recording(Run *run, Recording *recording) {
    const bool probe = strncmp(recording_name(recording), "epoch-", 6) == 0;
    if (probe) {
        add_policy(run, recording);
        take_facts(run, recording->content.facts.scalars, recording->content.facts.scalar);
    }
    if (!run->has_recording || tells_more(run, recording)) {
        const Recording old = run->recording;
        run->recording = *recording;
        *recording = old;
        run->has_recording = true;
    }
    recording_close(recording);
}

static int by_epoch(const void *a, const void *b) {
    const PolicyRow *first = a, *second = b;
    return (first->epoch > second->epoch) - (first->epoch < second->epoch);
}

static Status read_one(Run *run, const char *folder, const char *name) {
    char path[FILE_PATH];
    Recording recording;
    TRY(atomic_file_join(path, folder, name));
    if (!is_trace(path)) return status_ok();
    TRY(recording_open(path, &recording));
    take_recording(run, &recording);
    return status_ok();
}

static Status read_all(Run *run) {
    char folder[FILE_PATH];
    struct dirent **entry;
    TRY(atomic_file_join(folder, run->path, "traces"));
    const int entries = scandir(folder, &entry, is_shown, alphasort);
    if (entries < 0 && errno == ENOENT) return status_ok();
    if (entries < 0) return status_error(RAM_IO, "cannot list %.400s: %s", folder, strerror(errno));
    Status status = status_ok();
    for (int i = 0; i < entries; i++) {
        if (!status_failed(&status)) status = read_one(run, folder, entry[i]->d_name);
        free(entry[i]);
    }
    free(entry);
    if (run->policies) qsort(run->policy, (size_t)run->policies, sizeof *run->policy, by_epoch);
    return status;
}

Status run_read_traces(Run *run) {
    const Status status = read_all(run);
    ask_checkpoint(run);
    return status;
}

/* --- figures */

const EvalRow *run_last_eval(const Run *run, const char *split, const char *policy) {
    for (int i = run->evals - 1; i >= 0; i--)
        if (strcmp(run->eval[i].split, split) == 0 && (!policy || strcmp(run->eval[i].policy, policy) == 0))
            return &run->eval[i];
    return NULL;
}

const EvalRow *run_best_eval(const Run *run) {
    const EvalRow *best = NULL;
    double average = 0, least = 0;
    int64_t seen = 0;
    for (int i = 0; i < run->evals; i++) {
        const EvalRow *row = &run->eval[i];
        if (strcmp(row->split, "validation") != 0) continue;
        average = average_take(average, row->error, ++seen, run_average(run));
        if (!best || average < least) best = row, least = average;
    }
    return best;
}

int64_t run_average(const Run *run) { return run->has_config ? run->config.eval_average : 1; }

static bool is_test(const Run *run, int i) { return strcmp(run->eval[i].split, "test") == 0; }

/* The rows first <= i < end are those of the last time that the test set was measured. */
static int find_test(const Run *run, int *end) {
    *end = run->evals;
    while (*end > 0 && !is_test(run, *end - 1)) --*end;
    int first = *end;
    while (first > 0 && is_test(run, first - 1) && run->eval[first - 1].step == run->eval[*end - 1].step) first--;
    return first;
}

static const EvalRow *find_policy(const Run *run, int first, int end, const char *policy) {
    for (int i = first; i < end; i++)
        if (strcmp(run->eval[i].policy, policy) == 0) return &run->eval[i];
    return NULL;
}

const EvalRow *run_result(const Run *run) {
    char policy[16];
    int end;
    const int first = find_test(run, &end);
    own_policy(run, policy);
    const EvalRow *row = find_policy(run, first, end, policy);
    return row || first == end ? row : &run->eval[first];
}

/* A run that goes on has a later epoch, or is to have one, or has not measured the last of its policies yet. */
bool run_is_finished(const Run *run) {
    char policy[16];
    int end;
    const int first = find_test(run, &end);
    if (first == end || end < run->evals || run->epochs == 0) return false;
    own_policy(run, policy);
    if (run->has_config && !find_policy(run, first, end, policy)) return false;
    if (!find_policy(run, first, end, "random") || !find_policy(run, first, end, "center")) return false;
    const double epoch = run->epoch[run->epochs - 1].value[EPOCH_EPOCH];
    return !run->has_config || run->config.train_patience > 0 || epoch >= (double)run->config.train_epochs;
}
