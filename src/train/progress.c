#include "train/progress.h"
#include "base/clock.h"
#include "base/log.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DURATION = 32 };
static const double TERMINAL_INTERVAL = 0.1, PLAIN_INTERVAL = 60; /* seconds */

Progress progress_start(int64_t images_at_start) {
    const double now = clock_now();
    return (Progress){.started = now, .shown = now, .images_at_start = images_at_start};
}

/* "1:02:03" or "2:03" */
static void format_duration(char text[DURATION], double seconds) {
    const long long s = (long long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(text, DURATION, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, DURATION, "%lld:%02lld", s / 60, s % 60);
}

static double images_per_second(const Progress *progress, const ProgressPoint *point) {
    const double seconds = clock_now() - progress->started;
    return seconds > 0 ? (double)(point->images_done - progress->images_at_start) / seconds : 0;
}

static void format_eta(const Progress *progress, const ProgressPoint *point, char text[DURATION]) {
    const double rate = images_per_second(progress, point);
    if (rate > 0)
        format_duration(text, (double)(point->images_total - point->images_done) / rate);
    else
        snprintf(text, DURATION, "?");
}

void progress_step(Progress *progress, const ProgressPoint *point) {
    const double now = clock_now();
    const bool terminal = log_is_terminal();
    if (now - progress->shown < (terminal ? TERMINAL_INTERVAL : PLAIN_INTERVAL)) return;
    char eta[DURATION], text[256];
    progress->shown = now;
    format_eta(progress, point, eta);
    snprintf(text, sizeof text, "epoch %lld/%lld %3.0f %%  %.0f images/s  loss %.4f  accuracy %.2f %%  ETA %s",
             (long long)point->epoch, (long long)point->epochs, 100 * point->part, images_per_second(progress, point),
             point->loss, point->accuracy, eta);
    if (terminal)
        log_progress("%s", text);
    else
        log_info("%s", text);
}

void progress_epoch(const Progress *progress, const ProgressPoint *point, const Evaluation *validation, bool best) {
    char eta[DURATION];
    format_eta(progress, point, eta);
    log_info("epoch %lld/%lld  %.0f images/s  loss %.4f  accuracy %.2f %%  validation error %.2f %%%s  lr %.2e  ETA %s",
             (long long)point->epoch, (long long)point->epochs, images_per_second(progress, point), point->loss,
             point->accuracy, validation->error, best ? " (best)" : "", point->lr, eta);
}

void progress_evaluation(const char *what, const Evaluation *e) {
    log_info("%-24s %.2f %% error (95 %%: %.2f to %.2f), %lld of %lld wrong, loss %.4f, mean reward %.4f, M = %lld",
             what, e->error, e->low, e->high, (long long)e->wrong, (long long)e->images, e->loss, e->reward,
             (long long)e->rollouts);
}

void progress_confusion(const int64_t *confusion, int classes) {
    enum { CLASSES_SHOWN = 47, CELL = 7 };
    char line[CELL * (CLASSES_SHOWN + 2)];
    if (classes > CLASSES_SHOWN) return; /* would not fit on any screen */
    int used = snprintf(line, sizeof line, "%8s", "is\\said");
    for (int c = 0; c < classes; c++) used += snprintf(line + used, sizeof line - (size_t)used, "%6d", c);
    log_info("%s", line);
    for (int label = 0; label < classes; label++) {
        used = snprintf(line, sizeof line, "%8d", label);
        for (int c = 0; c < classes; c++)
            used +=
                snprintf(line + used, sizeof line - (size_t)used, "%6lld", (long long)confusion[label * classes + c]);
        log_info("%s", line);
    }
}

void progress_sigma(const Config *config) {
    const bool alone = config->eval_rollouts == 1;
    const double sigma = alone ? config->eval_sigma : config->eval_sigma_many, model = config->model_sigma;
    if (!isnan(sigma))
        log_info("locations are drawn with %s %g, model.sigma is %g", alone ? "eval.sigma" : "eval.sigma_many", sigma,
                 model);
    else if (!isnan(config->eval_sigma))
        log_info("several roll-outs are drawn with model.sigma %g; eval.sigma %g is for one", model,
                 config->eval_sigma);
}

void progress_augmentation(const Config *config) {
    char text[CONFIG_TEXT];
    config_describe_section(config, "augment", text, sizeof text);
    if (*text) log_info("training images are augmented: %s", text);
}
