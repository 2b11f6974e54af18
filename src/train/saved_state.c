#include "train/saved_state.h"
#include "base/log.h"
#include "base/memory.h"
#include "train/normalisation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char NORMALISATION[] = "state/normalisation";

enum { STATE_FACTS = 25 };

/* Names of the epoch's sums, in the order of enum Sum. */
static const char *const SUM_NAMES[SUMS] = {"state/sum_nll",       "state/sum_glimpse_nll", "state/sum_baseline",
                                            "state/sum_reinforce", "state/sum_reward",      "state/sum_correct",
                                            "state/sum_rows"};

SavedState saved_state_start(void) {
    return (SavedState){
        .epoch = 1, .schedule = schedule_start(), .rate_factor = 1, .best_saved_error = SCHEDULE_NO_ERROR};
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
        {.name = "state/untested", .type = STORE_INT, .value = &s->untested, .optional = true},
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

Status saved_state_begin(const Experiment *experiment, Optimizer *optimizer) {
    const Parameters *parameters = &experiment->ram.parameters;
    const Config *config = &experiment->config;
    const size_t total = parameters->layout.total;
    void *initial = NULL;
    *optimizer = (Optimizer){.backend = experiment->backend};
    const Status status =
        comm_agree(experiment->comm, memory_new_for(total * sizeof(float), &initial, "holding parameters"));
    if (!status_failed(&status)) {
        parameters_initialize(parameters, (uint64_t)config->_seed, initial);
        optimizer_open(optimizer, experiment->backend, config, (int64_t)total, initial);
    }
    free(initial);
    return status;
}

static size_t vector_bytes(const Optimizer *optimizer) { return (size_t)optimizer->total * sizeof(float); }

/* Where host memory is not the backend's: how much of it the optimiser's vectors take. */
static size_t copy_bytes(const Experiment *experiment, const Optimizer *optimizer) {
    return experiment->backend->host_memory ? 0 : (size_t)optimizer->vectors * vector_bytes(optimizer);
}

/* The optimiser's vectors on the host: its own arrays where `copy` is NULL. */
static void host_vectors(const Optimizer *optimizer, float *copy, StoreVector vector[OPTIMIZER_VECTORS]) {
    for (int i = 0; i < optimizer->vectors; i++)
        vector[i] = (StoreVector){optimizer->vector[i].group,
                                  copy ? copy + i * optimizer->total : optimizer->vector[i].values.address};
}

Status saved_state_room(const Experiment *experiment, const Optimizer *optimizer) {
    Comm *comm = experiment->comm;
    TRY(comm_agree(comm, backend_room(experiment->backend))); /* from here on all ranks have what they asked for */
    const size_t file = (size_t)optimizer->vectors * vector_bytes(optimizer) / (size_t)comm_size(comm);
    return comm_agree(comm, memory_room((size_t)comm_local_size(comm) * (copy_bytes(experiment, optimizer) + file),
                                        "a checkpoint in memory"));
}

Status saved_state_save(const Experiment *experiment, const char *folder, SavedState *state, const Optimizer *optimizer,
                        Provenance *provenance) {
    Backend *backend = experiment->backend;
    const size_t copied = copy_bytes(experiment, optimizer);
    StoreScalar scalar[STATE_FACTS + 1 + PROVENANCE_FACTS + CONFIG_KEYS];
    StoreVector vector[OPTIMIZER_VECTORS];
    ConfigTexts *texts = memory_new(1, sizeof *texts);
    float *copy = copied ? memory_new(copied, 1) : NULL;
    backend_range(backend, "checkpoint");
    host_vectors(optimizer, copy, vector);
    for (int i = 0; i < optimizer->vectors && copy; i++)
        backend->kernels->download(backend, vector[i].values, optimizer->vector[i].values.address,
                                   vector_bytes(optimizer));
    int scalars = state_scalars(state, scalar);
    char normalisation[NORMALISATION_TEXT];
    normalisation_print(&experiment->ram.dims.retina, normalisation);
    scalar[scalars++] =
        (StoreScalar){.name = NORMALISATION, .type = STORE_TEXT, .value = normalisation, .bytes = sizeof normalisation};
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
    free(copy);
    return status;
}

/* Before a checkpoint is read into the backend's memory: whether that is there, and host memory for a copy, NULL for no
 * bytes; free() it. @collective: all ranks have both, or none. */
static Status copy_new(const Experiment *experiment, size_t bytes, float **copy) {
    void *memory = NULL;
    Status status = backend_room(experiment->backend);
    if (!status_failed(&status) && bytes) status = memory_new_for(bytes, &memory, "a checkpoint in memory");
    status = comm_agree(experiment->comm, status);
    if (status_failed(&status)) free(memory);
    *copy = memory;
    return status;
}

Status saved_state_restore(const Experiment *experiment, const Checkpoint *checkpoint, SavedState *state,
                           Optimizer *optimizer) {
    Backend *backend = experiment->backend;
    StoreVector vector[OPTIMIZER_VECTORS];
    float *copy;
    TRY(saved_state_read(checkpoint, state));
    TRY(copy_new(experiment, copy_bytes(experiment, optimizer), &copy));
    host_vectors(optimizer, copy, vector);
    const bool imported = state->step == 0; /* the optimiser begins, too */
    const bool begins =
        optimizer->average.address && (imported || !checkpoint_has_vector(checkpoint, OPTIMIZER_AVERAGE));
    const int last = optimizer->vectors - 1; /* the average, where there is one */
    const int saved = imported ? 1 : optimizer->vectors - begins;
    const Status status =
        checkpoint_read_vectors(experiment->comm, checkpoint, &experiment->ram.parameters.layout, saved, vector);
    if (!status_failed(&status)) {
        if (begins) memcpy(vector[last].values, vector[0].values, vector_bytes(optimizer));
        for (int i = 0; i < optimizer->vectors && copy; i++)
            backend->kernels->upload(backend, optimizer->vector[i].values.address, vector[i].values,
                                     vector_bytes(optimizer));
        optimizer->steps = state->step;
    }
    free(copy);
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
    state->untested = 0;
    state->sum[SUM_CORRECT] = NAN;
    const int scalars = state_scalars(state, scalar);
    TRY(checkpoint_read_scalars(checkpoint, scalars, scalar));
    if (state->best_step == 0 && state->best_saved_error == 0) /* how older sets said that there is none */
        state->best_saved_error = SCHEDULE_NO_ERROR;
    if (isnan(state->sum[SUM_CORRECT])) state->sum[SUM_CORRECT] = state->sum[SUM_REWARD]; /* the only reward it knew */
    return check_state(state, scalars, scalar);
}

Status saved_state_normalisation(const Checkpoint *checkpoint, char text[NORMALISATION_TEXT]) {
    const StoreScalar scalar = {
        .name = NORMALISATION, .type = STORE_TEXT, .value = text, .bytes = NORMALISATION_TEXT, .optional = true};
    text[0] = '\0';
    return checkpoint_read_scalars(checkpoint, 1, &scalar);
}

Status saved_state_normalise(const Checkpoint *checkpoint, Experiment *experiment) {
    Retina *retina = &experiment->ram.dims.retina;
    char saved[NORMALISATION_TEXT], measured[NORMALISATION_TEXT], taken[NORMALISATION_TEXT];
    normalisation_print(retina, measured);
    TRY(saved_state_normalisation(checkpoint, saved));
    TRY(normalisation_take(saved, "the checkpoint", &experiment->config, retina));
    normalisation_print(retina, taken);
    if (strcmp(measured, taken) != 0)
        log_info("mean and standard deviation are those of the training, %s; these images have %s", taken, measured);
    return status_ok();
}

/* A fact of the set's provenance; "" where it does not say. */
static Status read_fact(const Checkpoint *checkpoint, const char *name, char *text, size_t bytes) {
    *text = '\0';
    const StoreScalar scalar = {.name = name, .type = STORE_TEXT, .value = text, .bytes = bytes, .optional = true};
    return checkpoint_read_scalars(checkpoint, 1, &scalar);
}

Status saved_state_same_data(const Checkpoint *checkpoint, const char *hashes, bool *same) {
    char saved[PROVENANCE_COMMAND];
    TRY(read_fact(checkpoint, "provenance/data_hashes", saved, sizeof saved));
    *same = !*saved || strcmp(saved, hashes) == 0; /* a set that does not say is not doubted */
    return status_ok();
}

Status saved_state_tell_products(const Checkpoint *checkpoint, const char *products) {
    char saved[PROVENANCE_TEXT];
    TRY(read_fact(checkpoint, "provenance/libxsmm", saved, sizeof saved));
    if (*saved && strcmp(saved, products) != 0)
        log_info("changed: matrix products were computed by %s, are by %s: the bits are not an uninterrupted run's",
                 saved, products);
    return status_ok();
}

const char *saved_state_evaluated(const Checkpoint *checkpoint) {
    return checkpoint_has_vector(checkpoint, OPTIMIZER_AVERAGE) ? OPTIMIZER_AVERAGE : "param";
}

Status saved_state_load_parameters(Experiment *experiment, const Checkpoint *checkpoint, DevFloats values) {
    Backend *backend = experiment->backend;
    const Layout *layout = &experiment->ram.parameters.layout;
    const size_t bytes = layout->total * sizeof(float);
    float *copy;
    TRY(copy_new(experiment, backend->host_memory ? 0 : bytes, &copy));
    const StoreVector vector = {saved_state_evaluated(checkpoint), copy ? copy : values.address};
    const Status status = checkpoint_read_vectors(experiment->comm, checkpoint, layout, 1, &vector);
    if (!status_failed(&status)) {
        if (copy) backend->kernels->upload(backend, values.address, copy, bytes);
        ram_load(&experiment->ram, values);
    }
    free(copy);
    return status;
}
