#include "view/run.h"
#include "base/average.h"
#include "base/log.h"
#include "base/memory.h"

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
    if (strcmp(kind, "measured_anew") == 0) run->comparable = run->evals;
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

bool run_is(const char *path) {
    return atomic_file_is_in(path, "metrics.jsonl") || atomic_file_is_in(path, "config.yaml");
}

/* Why there is no run at `path`. */
static Status refuse(const char *path) {
    if (atomic_file_is_folder(path) && access(path, X_OK) != 0 && errno == EACCES)
        return status_error(RAM_IO, "cannot look into %.400s: %s; make it readable", path, strerror(EACCES));
    return status_error(RAM_DATA,
                        "there is no run in %.400s: neither metrics.jsonl nor config.yaml lies there; give the folder "
                        "of a run",
                        path);
}

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
    if (!run_is(path)) return refuse(path);
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

/* --- figures */

static bool is_of(const Run *run, int i, const char *split) { return strcmp(run->eval[i].split, split) == 0; }

const EvalRow *run_last_validation(const Run *run) {
    for (int i = run->evals - 1; i >= 0; i--)
        if (is_of(run, i, "validation")) return &run->eval[i];
    return NULL;
}

const EvalRow *run_best_eval(const Run *run) {
    const EvalRow *best = NULL;
    double average = 0, least = 0;
    int64_t seen = 0;
    for (int i = run->comparable; i < run->evals; i++) {
        const EvalRow *row = &run->eval[i];
        if (!is_of(run, i, "validation")) continue;
        average = average_take(average, row->error, ++seen, run_average(run));
        if (!best || average < least) best = row, least = average;
    }
    return best;
}

int64_t run_average(const Run *run) { return run->has_config ? run->config.eval_average : 1; }

/* The rows first <= i < end are those of the last time that the test set was measured. */
static int find_test(const Run *run, int *end) {
    *end = run->evals;
    while (*end > 0 && !is_of(run, *end - 1, "test")) --*end;
    int first = *end;
    while (first > 0 && is_of(run, first - 1, "test") && run->eval[first - 1].step == run->eval[*end - 1].step) first--;
    return first;
}

static const EvalRow *find_policy(const Run *run, int first, int end, const char *policy) {
    for (int i = first; i < end; i++)
        if (strcmp(run->eval[i].policy, policy) == 0) return &run->eval[i];
    return NULL;
}

const EvalRow *run_test(const Run *run, const char *policy) {
    int end;
    const int first = find_test(run, &end);
    return find_policy(run, first, end, policy);
}

void run_own_policy(const Run *run, char policy[16]) {
    config_get_text(&run->config, config_find_key("eval.policy"), policy, 16);
}

const EvalRow *run_result(const Run *run) {
    char policy[16];
    int end;
    const int first = find_test(run, &end);
    run_own_policy(run, policy);
    const EvalRow *row = find_policy(run, first, end, policy);
    return row || first == end ? row : &run->eval[first];
}

/* A run that goes on has a later epoch, or is to have one, or has not measured the last of its policies yet. */
bool run_is_finished(const Run *run) {
    char policy[16];
    int end;
    const int first = find_test(run, &end);
    if (first == end || end < run->evals || run->epochs == 0) return false;
    run_own_policy(run, policy);
    if (run->has_config && !find_policy(run, first, end, policy)) return false;
    if (!find_policy(run, first, end, "random") || !find_policy(run, first, end, "center")) return false;
    const double epoch = run->epoch[run->epochs - 1].value[EPOCH_EPOCH];
    return !run->has_config || run->config.train_patience > 0 || epoch >= (double)run->config.train_epochs;
}
