#include "view/recording.h"
#include "base/glimpse_window.h"
#include "base/memory.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

Status recording_config(const InspectScalars *facts, Config *config) {
    static const char GROUP[] = "config/";
    Status status = status_ok();
    config_default(config);
    for (int i = 0; i < facts->count && !status_failed(&status); i++)
        if (strncmp(facts->scalar[i].name, GROUP, sizeof GROUP - 1) == 0)
            status = config_set_value(config, facts->scalar[i].name + sizeof GROUP - 1, facts->scalar[i].text,
                                      "the trace's configuration");
    if (!status_failed(&status)) status = config_check(config);
    if (status_failed(&status)) status.code = RAM_DATA;
    return status;
}

static Status find_split(const char *path, const char *text, Split *split) {
    if (split_find(text, split)) return status_ok();
    return status_error(RAM_DATA, "the trace %.400s does not say of which split it is: make it anew", path);
}

static Status read_facts(Recording *recording) {
    const InspectScalars *facts = &recording->content.facts.scalars;
    TRY(recording_config(facts, &recording->config));
    TRY(find_split(recording->path, inspect_text(facts, "trace/split"), &recording->split));
    recording->step = strtoll(inspect_text(facts, "trace/step"), NULL, 10);
    recording->epoch = strtoll(inspect_text(facts, "trace/epoch"), NULL, 10);
    snprintf(recording->policy, sizeof recording->policy, "%.15s", inspect_text(facts, "trace/policy"));
    return status_ok();
}

Status recording_open(const char *path, Recording *recording) {
    *recording = (Recording){.path = ""};
    TRY(trace_read(path, &recording->content));
    snprintf(recording->path, sizeof recording->path, "%s", path);
    const Status status = read_facts(recording);
    if (status_failed(&status)) recording_close(recording);
    return status;
}

void recording_close(Recording *recording) {
    trace_read_free(&recording->content);
    *recording = (Recording){.path = ""};
}

const char *recording_name(const Recording *recording) {
    const char *slash = strrchr(recording->path, '/');
    return slash ? slash + 1 : recording->path;
}

static const TraceShape *shape_of(const Recording *recording) { return &recording->content.facts.shape; }

void recording_describe(const Recording *recording, char *text, size_t size) {
    const TraceShape *shape = shape_of(recording);
    snprintf(text, size,
             "%.200s: %" PRId64 " %s images, policy %s, %" PRId64 " roll-out%s of %d glimpses, step %" PRId64,
             recording_name(recording), shape->samples, split_name(recording->split), recording->policy,
             shape->rollouts, shape->rollouts == 1 ? "" : "s", shape->glimpses, recording->step);
}

/* --- what is counted */

Verdict recording_verdict(const Recording *recording, int64_t sample, int glimpse) {
    const TraceShape *shape = shape_of(recording);
    Verdict verdict = {0};
    float largest = -1;
    for (int c = 0; c < shape->classes; c++) {
        float sum = 0;
        for (int64_t m = 0; m < shape->rollouts; m++)
            sum += recording->content.rows
                       .prob[((sample * shape->rollouts + m) * shape->glimpses + glimpse) * shape->classes + c];
        if (sum > largest) {
            largest = sum;
            verdict = (Verdict){c, (double)sum / (double)shape->rollouts};
        }
    }
    return verdict;
}

double recording_error(const Recording *recording, int glimpse) {
    const int64_t samples = shape_of(recording)->samples;
    int64_t wrong = 0;
    for (int64_t i = 0; i < samples; i++)
        wrong += recording_verdict(recording, i, glimpse).said != recording->content.rows.label[i];
    return 100.0 * (double)wrong / (double)samples;
}

void recording_confusion(const Recording *recording, int64_t *confusion) {
    const TraceShape *shape = shape_of(recording);
    memset(confusion, 0, (size_t)shape->classes * (size_t)shape->classes * sizeof *confusion);
    for (int64_t i = 0; i < shape->samples; i++) {
        const int said = recording_verdict(recording, i, shape->glimpses - 1).said;
        confusion[recording->content.rows.label[i] * shape->classes + said]++;
    }
}

typedef struct {
    int64_t sample;
    double confidence;
} Mistake;

static int more_confident(const void *a, const void *b) {
    const Mistake *first = a, *second = b;
    if (first->confidence != second->confidence) return first->confidence > second->confidence ? -1 : 1;
    return first->sample < second->sample ? -1 : 1;
}

int recording_mistakes(const Recording *recording, int most, int64_t *sample, int64_t *all) {
    const TraceShape *shape = shape_of(recording);
    Mistake *mistake = memory_new((size_t)shape->samples, sizeof *mistake);
    *all = 0;
    for (int64_t i = 0; i < shape->samples; i++) {
        const Verdict verdict = recording_verdict(recording, i, shape->glimpses - 1);
        if (verdict.said != recording->content.rows.label[i]) mistake[(*all)++] = (Mistake){i, verdict.confidence};
    }
    qsort(mistake, (size_t)*all, sizeof *mistake, more_confident);
    const int count = *all < most ? (int)*all : most;
    for (int i = 0; i < count; i++) sample[i] = mistake[i].sample;
    free(mistake);
    return count;
}

const float *recording_location(const Recording *recording, int64_t sample, int64_t rollout, int fixation) {
    const TraceShape *shape = shape_of(recording);
    return recording->content.rows.location +
           ((sample * shape->rollouts + rollout) * (shape->glimpses + 1) + fixation) * 2;
}

void recording_add_heat(const Recording *recording, int fixation, HeatMap *map) {
    const TraceShape *shape = shape_of(recording);
    for (int64_t i = 0; i < shape->samples; i++)
        for (int64_t m = 0; m < shape->rollouts; m++) {
            const float *location = recording_location(recording, i, m, fixation);
            const int x = glimpse_window_pixel(location[0], HEAT_CELLS),
                      y = glimpse_window_pixel(location[1], HEAT_CELLS);
            int64_t *count = &map->count[y < HEAT_CELLS ? y : HEAT_CELLS - 1][x < HEAT_CELLS ? x : HEAT_CELLS - 1];
            if (++*count > map->most) map->most = *count;
        }
}

Movement recording_movement(const Recording *recording) {
    const TraceShape *shape = shape_of(recording);
    const int64_t N = shape->samples, M = shape->rollouts;
    const double rows = (double)(N * M);
    double travel = 0, squares = 0;
    for (int t = 1; t < shape->glimpses; t++) {
        double sum[2] = {0}, sum_of_squares = 0;
        for (int64_t i = 0; i < N * M; i++) {
            const float *at = recording_location(recording, i / M, i % M, t), *before = at - 2;
            travel += hypot((double)at[0] - before[0], (double)at[1] - before[1]);
            sum[0] += at[0], sum[1] += at[1];
            sum_of_squares += (double)at[0] * at[0] + (double)at[1] * at[1];
        }
        squares += sum_of_squares - (sum[0] * sum[0] + sum[1] * sum[1]) / rows;
    }
    const double moves = rows * (shape->glimpses - 1);
    if (moves == 0) return (Movement){NAN, NAN};
    return (Movement){travel / moves, sqrt(fmax(0, squares / moves))};
}
