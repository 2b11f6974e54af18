#include "train/saved_state.h"
#include "base/log.h"
#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char AVERAGE[] = "ema/param"; /* the optimiser's last vector where it has one */

enum { STATE_FACTS = 24 };

/* Names of the epoch's sums, in the order of enum Sum. */
static const char *const SUM_NAMES[SUMS] = {"state/sum_nll",       "state/sum_glimpse_nll", "state/sum_baseline",
                                            "state/sum_reinforce", "state/sum_reward",      "state/sum_correct",
                                            "state/sum_rows"};

SavedState saved_state_start(void) {
    const ScheduleState schedule = schedule_start();
    return (SavedState){.epoch = 1, .schedule = schedule, .rate_factor = 1, .best_saved_error = schedule.best_error};
}

/* The state as named scalars that borrow from `s`; returns how many. */
static int state_scalars(SavedState *s, StoreScalar scalar[STATE_FACTS]) {
    const StoreScalar facts[] = {
        {.name = "state/step", .type = STORE_INT, .value = &s->step},
        {.name = "state/epoch", .type = STORE_INT, .value = &s->epoch},
        {.name = "state/batch", .type = STORE_INT, .value = &s->batch},
        {.name = "state/seconds", .type = STORE_REAL, .value = &s->seconds},
        {.name = "state/moving_average", .type = STORE_REAL, .value = &s->moving_average},
        {.name = "state/schedule_factor", .type = STORE_REAL, .value = &s->schedule.factor},
        {.name = "state/rate_factor", .type = STORE_REAL, .value = &s->rate_factor, .optional = true},
        {.name = "state/mean_error", .type = STORE_REAL, .value = &s->schedule.mean_error, .optional = true},
        {.name = "state/observed", .type = STORE_INT, .value = &s->schedule.observed, .optional = true},
        {.name = "state/schedule_waited", .type = STORE_INT, .value = &s->schedule.waited},
        {.name = "state/since_better", .type = STORE_INT, .value = &s->schedule.since_better},
        {.name = "state/best_error", .type = STORE_REAL, .value = &s->schedule.best_error},
        {.name = "state/best_saved_error", .type = STORE_REAL, .value = &s->best_saved_error},
        {.name = "state/best_step", .type = STORE_INT, .value = &s->best_step},
        {.name = "state/best_epoch", .type = STORE_INT, .value = &s->best_epoch},
        {.name = "state/metrics_bytes", .type = STORE_INT, .value = &s->metrics_bytes},
        {.name = "state/metrics_hash", .type = STORE_TEXT, .value = s->metrics_hash, .bytes = HASH_TEXT},
    };
    enum { FACTS = sizeof facts / sizeof *facts };
    _Static_assert(FACTS + SUMS <= STATE_FACTS, "room for the state's scalars");
    memcpy(scalar, facts, sizeof facts);
    for (int i = 0; i < SUMS; i++)
        scalar[FACTS + i] =
            (StoreScalar){.name = SUM_NAMES[i], .type = STORE_REAL, .value = &s->sum[i], .optional = i == SUM_CORRECT};
    return FACTS + SUMS;
}

void saved_state_config_scalars(const Config *config, ConfigTexts *texts, StoreScalar scalar[CONFIG_KEYS]) {
    for (int key = 0; key < CONFIG_KEYS; key++) {
        snprintf(texts->name[key], sizeof texts->name[key], "config/%s", config_key(key)->name);
        config_get_text(config, key, texts->text[key], CONFIG_TEXT);
        scalar[key] = (StoreScalar){.name = texts->name[key],
                                    .type = STORE_TEXT,
                                    .value = texts->text[key],
                                    .bytes = CONFIG_TEXT,
                                    .optional = true};
    }
}

/* A checkpoint's values in host memory, `count` of them; free() them. @collective: all ranks have them, or none. */
static Status host_values_new(Comm *comm, int64_t count, float **values) {
    void *memory = NULL;
    const Status status =
        comm_agree(comm, memory_new_for((size_t)count * sizeof **values, &memory, "a checkpoint in memory"));
    if (status_failed(&status)) free(memory);
    *values = memory;
    return status;
}

/* The optimiser's vectors in host memory; free() *values. @collective */
static Status host_vectors_new(const Experiment *experiment, const Optimizer *optimizer,
                               StoreVector vector[OPTIMIZER_VECTORS], float **values) {
    TRY(host_values_new(experiment->comm, optimizer->vectors * optimizer->total, values));
    for (int i = 0; i < optimizer->vectors; i++)
        vector[i] = (StoreVector){optimizer->vector[i].group, *values + i * optimizer->total};
    return status_ok();
}

Status saved_state_save(const Experiment *experiment, const char *folder, SavedState *state, const Optimizer *optimizer,
                        Provenance *provenance) {
    Backend *backend = experiment->backend;
    const size_t bytes = (size_t)optimizer->total * sizeof(float);
    StoreScalar scalar[STATE_FACTS + PROVENANCE_FACTS + CONFIG_KEYS];
    StoreVector vector[OPTIMIZER_VECTORS];
    float *values;
    TRY(host_vectors_new(experiment, optimizer, vector, &values));
    ConfigTexts *texts = memory_new(1, sizeof *texts);
    backend_range(backend, "checkpoint");
    for (int i = 0; i < optimizer->vectors; i++)
        backend->kernels->download(backend, vector[i].values, optimizer->vector[i].values.address, bytes);
    int scalars = state_scalars(state, scalar);
    provenance_scalars(provenance, scalar + scalars);
    scalars += PROVENANCE_FACTS;
    saved_state_config_scalars(&experiment->config, texts, scalar + scalars);
    const Snapshot snapshot = {.layout = &experiment->ram.parameters.layout,
                               .vectors = optimizer->vectors,
                               .vector = vector,
                               .scalars = scalars + CONFIG_KEYS,
                               .scalar = scalar};
    Status status = checkpoint_save(experiment->comm, folder, state->step, &snapshot);
    backend_range_end(backend);
    free(texts);
    free(values);
    return status;
}

Status saved_state_restore(const Experiment *experiment, const Checkpoint *checkpoint, SavedState *state,
                           Optimizer *optimizer) {
    Backend *backend = experiment->backend;
    StoreVector vector[OPTIMIZER_VECTORS];
    float *values;
    TRY(saved_state_read(checkpoint, state));
    TRY(host_vectors_new(experiment, optimizer, vector, &values));
    const bool averaged = checkpoint_has_vector(checkpoint, AVERAGE) || !optimizer->average.address;
    const int saved = averaged ? optimizer->vectors : optimizer->vectors - 1; /* the average comes last */
    Status status =
        checkpoint_read_vectors(experiment->comm, checkpoint, &experiment->ram.parameters.layout, saved, vector);
    if (!status_failed(&status)) {
        if (!averaged) memcpy(vector[saved].values, vector[0].values, (size_t)optimizer->total * sizeof(float));
        for (int i = 0; i < optimizer->vectors; i++)
            backend->kernels->upload(backend, optimizer->vector[i].values.address, vector[i].values,
                                     (size_t)optimizer->total * sizeof(float));
        optimizer->steps = state->step;
    }
    free(values);
    return status;
}

Status saved_state_read_config(const Checkpoint *checkpoint, Config *config) {
    StoreScalar scalar[CONFIG_KEYS];
    ConfigTexts *texts = memory_new(1, sizeof *texts);
    config_default(config);
    saved_state_config_scalars(config, texts, scalar);
    Status status = checkpoint_read_scalars(checkpoint, CONFIG_KEYS, scalar);
    for (int key = 0; key < CONFIG_KEYS && !status_failed(&status); key++)
        status = config_set_value(config, config_key(key)->name, texts->text[key], "the checkpoint's configuration");
    if (status_failed(&status)) status.code = RAM_DATA;
    free(texts);
    return status;
}

/* Whether a training can have been in this state: what comes from a file indexes batches, names folders and multiplies
 * the learning rate. Counts are so small that none of that overflows. */
static Status check_state(const SavedState *state, int scalars, const StoreScalar scalar[STATE_FACTS]) {
    const int64_t most = INT64_C(1) << 40;
    for (int i = 0; i < scalars; i++) {
        const int64_t *count = scalar[i].type == STORE_INT ? scalar[i].value : NULL;
        const double *real = scalar[i].type == STORE_REAL ? scalar[i].value : NULL;
        const bool is_less = count && *count < (count == &state->epoch);
        const bool is_factor = real == &state->schedule.factor || real == &state->rate_factor;
        if (is_less || (count && *count > most))
            return status_error(RAM_DATA, "the checkpoint's %s is %lld, which it is in no training", scalar[i].name,
                                (long long)*count);
        if (real && (!isfinite(*real) || (is_factor && *real < 0)))
            return status_error(RAM_DATA, "the checkpoint's %s is %g, which it is in no training", scalar[i].name,
                                *real);
    }
    return status_ok();
}

Status saved_state_read(const Checkpoint *checkpoint, SavedState *state) {
    StoreScalar scalar[STATE_FACTS];
    state->rate_factor = 1; /* of a set that does not say */
    state->schedule.observed = 0;
    state->schedule.mean_error = 0;
    state->sum[SUM_CORRECT] = NAN;
    const int scalars = state_scalars(state, scalar);
    TRY(checkpoint_read_scalars(checkpoint, scalars, scalar));
    if (state->best_step == 0 && state->best_saved_error == 0) /* how older sets said that there is none */
        state->best_saved_error = schedule_start().best_error;
    if (isnan(state->sum[SUM_CORRECT])) state->sum[SUM_CORRECT] = state->sum[SUM_REWARD]; /* the only reward it knew */
    return check_state(state, scalars, scalar);
}

Status saved_state_same_data(const Checkpoint *checkpoint, const Provenance *provenance, bool *same) {
    char saved[PROVENANCE_COMMAND] = "";
    const StoreScalar scalar = {
        .name = "provenance/data_hashes", .type = STORE_TEXT, .value = saved, .bytes = sizeof saved, .optional = true};
    TRY(checkpoint_read_scalars(checkpoint, 1, &scalar));
    *same = !*saved || strcmp(saved, provenance->data_hashes) == 0; /* a set that does not say is not doubted */
    return status_ok();
}

Status saved_state_load_parameters(Experiment *experiment, const Checkpoint *checkpoint, DevFloats values) {
    Backend *backend = experiment->backend;
    const Layout *layout = &experiment->ram.parameters.layout;
    float *host;
    TRY(host_values_new(experiment->comm, (int64_t)layout->total, &host));
    const StoreVector vector = {checkpoint_has_vector(checkpoint, AVERAGE) ? AVERAGE : "param", host};
    const Status status = checkpoint_read_vectors(experiment->comm, checkpoint, layout, 1, &vector);
    if (!status_failed(&status)) {
        backend->kernels->upload(backend, values.address, host, layout->total * sizeof *host);
        ram_load(&experiment->ram, values);
    }
    free(host);
    return status;
}
