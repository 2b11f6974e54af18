#include "train/metrics.h"
#include "base/hash.h"
#include "base/log.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { METRICS_MOST = 1 << 30, DIGITS = 9 };

Status metrics_open(Metrics *metrics, const char *path) {
    snprintf(metrics->path, sizeof metrics->path, "%s", path);
    metrics->file = fopen(path, "ae");
    if (!metrics->file) return atomic_file_error("write", path, errno);
    return status_ok();
}

Metrics metrics_on_stdout(void) { return (Metrics){.file = stdout, .path = "the standard output"}; }

void metrics_close(Metrics *metrics) {
    if (metrics->file) fclose(metrics->file);
    *metrics = (Metrics){0};
}

/* Writes and frees `line`. */
static Status write_line(Metrics *metrics, json_t *line) {
    char *text = line ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(DIGITS)) : NULL;
    json_decref(line);
    if (!text) return status_error(RAM_INTERNAL, "a figure for %s is not a number", metrics->path);
    const bool written = fprintf(metrics->file, "%s\n", text) > 0 && fflush(metrics->file) == 0;
    free(text);
    return written ? status_ok() : atomic_file_error("write", metrics->path, errno);
}

Status metrics_epoch(Metrics *metrics, const EpochFigures *f) {
    if (!metrics->file) return status_ok();
    return write_line(metrics,
                      json_pack("{ss sI sI sf sf sf sf sf sf sf sf sf}", "kind", "epoch", "epoch", (json_int_t)f->epoch,
                                "step", (json_int_t)f->step, "lr", f->lr, "loss", f->loss, "nll", f->nll, "glimpse_nll",
                                f->glimpse_nll, "baseline_loss", f->baseline_loss, "reinforce_loss", f->reinforce_loss,
                                "error", f->error, "reward", f->reward, "seconds", f->seconds));
}

Status metrics_evaluation(Metrics *metrics, int64_t epoch, int64_t step, const Evaluation *e) {
    if (!metrics->file) return status_ok();
    const Config measured = {.eval_policy = e->policy}; /* as the configuration has it */
    char policy[16];
    config_get_text(&measured, config_find_key("eval.policy"), policy, sizeof policy);
    return write_line(metrics,
                      json_pack("{ss ss sI sI ss sf sI sI sI sf sf sf sf sf}", "kind", "eval", "split",
                                split_name(e->split), "epoch", (json_int_t)epoch, "step", (json_int_t)step, "policy",
                                policy, "sigma", (double)e->sigma, "rollouts", (json_int_t)e->rollouts, "images",
                                (json_int_t)e->images, "wrong", (json_int_t)e->wrong, "error", e->error, "low", e->low,
                                "high", e->high, "loss", e->loss, "reward", e->reward));
}

Status metrics_measured_anew(Metrics *metrics, int64_t step) {
    if (!metrics->file) return status_ok();
    return write_line(metrics, json_pack("{ss sI}", "kind", "measured_anew", "step", (json_int_t)step));
}

/* A curve that was deleted is written anew; what lies in its place is left, and told once. Neither is a reason to lose
 * a checkpoint too. */
static void put_back(Metrics *metrics, const void *data, size_t bytes) {
    FILE *again = NULL;
    if (access(metrics->path, F_OK) != 0) {
        const Status written = atomic_file_write(metrics->path, data, bytes);
        if (!status_failed(&written)) again = fopen(metrics->path, "ae");
    }
    if (again) {
        fclose(metrics->file);
        metrics->file = again;
        log_warning("%s was gone: it is written anew", metrics->path);
    } else if (!metrics->lost) {
        log_warning("%s is gone or another file: the curve is lost when this ends; its checkpoints can be gone on from "
                    "in another folder (--resume PATH --run-dir DIR)",
                    metrics->path);
    }
    metrics->lost = !again;
}

Status metrics_mark(Metrics *metrics, int64_t *bytes, char hash[HASH_TEXT]) {
    void *data;
    size_t size;
    char open_file[32];
    if (fsync(fileno(metrics->file)) != 0) return atomic_file_error("sync", metrics->path, errno);
    snprintf(open_file, sizeof open_file, "/proc/self/fd/%d", fileno(metrics->file));
    TRY(atomic_file_read(open_file, METRICS_MOST, &data, &size));
    if (!atomic_file_is_at(metrics->path, fileno(metrics->file))) put_back(metrics, data, size);
    *bytes = (int64_t)size;
    hash_memory(data, size, hash);
    free(data);
    return status_ok();
}

/* Whether the file ends with these bytes: they were kept by a cut that a crash interrupted. */
static bool ends_with(const char *path, const char *data, size_t bytes) {
    void *content;
    size_t size;
    const Status status = atomic_file_read(path, METRICS_MOST, &content, &size);
    if (status_failed(&status)) return false;
    const bool same = size >= bytes && memcmp((const char *)content + size - bytes, data, bytes) == 0;
    free(content);
    return same;
}

/* Keeps what is cut off, for people. */
static Status keep_lost(const char *path, const char *data, size_t bytes) {
    if (ends_with(path, data, bytes)) return status_ok();
    FILE *file = fopen(path, "ae");
    bool written = file && fwrite(data, 1, bytes, file) == bytes && fflush(file) == 0 && fsync(fileno(file)) == 0;
    if (file && fclose(file) != 0) written = false;
    return written ? status_ok() : atomic_file_error("write", path, errno);
}

/* What a user can do about a curve that does not go with the checkpoint. */
#define REMEDY "put the file back, or go on in another folder (--resume PATH --run-dir DIR)"

static Status check(const char *path, const char *data, size_t size, int64_t bytes, const char *hash) {
    char found[HASH_TEXT];
    if ((int64_t)size < bytes)
        return status_error(RAM_DATA, "%s has %zu bytes, but had %lld when the checkpoint was saved: " REMEDY, path,
                            size, (long long)bytes);
    hash_memory(data, (size_t)bytes, found);
    if (strcmp(found, hash) != 0)
        return status_error(RAM_DATA, "%s differs from what it was when the checkpoint was saved: " REMEDY, path);
    return status_ok();
}

static Status cut(const char *path, const char *lost_path, const char *data, size_t size, int64_t bytes,
                  const char *hash) {
    TRY(check(path, data, size, bytes, hash));
    if (!lost_path || (int64_t)size == bytes) return status_ok();
    TRY(keep_lost(lost_path, data + bytes, size - (size_t)bytes));
    return atomic_file_write(path, data, (size_t)bytes);
}

Status metrics_cut(const char *path, const char *lost_path, int64_t bytes, const char *hash) {
    void *data;
    size_t size;
    if (access(path, F_OK) != 0)
        return status_error(RAM_DATA, "%s is gone, but was there when the checkpoint was saved: " REMEDY, path);
    TRY(atomic_file_read(path, METRICS_MOST, &data, &size));
    const Status status = cut(path, lost_path, data, size, bytes, hash);
    free(data);
    return status;
}
