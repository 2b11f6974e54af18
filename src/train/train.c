#include "train/train_parts.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "store/trace.h"
#include "train/health.h"
#include "train/measure.h"
#include "train/metrics.h"
#include "train/optimizer.h"
#include "train/progress.h"
#include "train/saved_state.h"
#include "train/step.h"
#include "train/tracer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    Experiment *experiment;
    const TrainOptions *options;
    SavedState state;
    Optimizer optimizer;
    Step *step;
    Evaluator *validation, *test;
    Tracer *tracer; /* of the probe set; NULL: not asked for */
    DevFloats best; /* (parameters): room for the best model, which the end measures */
    Metrics metrics;
    Progress progress;
    Stop stop;
    TrainFault *fault;
    int32_t *order;  /* (training samples): this epoch's */
    int64_t batches; /* of an epoch */
    double rate;     /* learning rate of the last step */
    double saved_at; /* clock_now() of the last checkpoint */
    int64_t begun;   /* steps begun */
    bool best_gone;  /* the best set that the state names is not there: the best is chosen anew */
} Training;

bool train_is_over(const Config *config, const SavedState *state) {
    return state->batch == 0 && (state->epoch > config->train_epochs || schedule_exhausted(config, &state->schedule));
}

bool train_is_finished(const Config *config, const SavedState *state) {
    return train_is_over(config, state) && !state->untested;
}

const char *train_ended_by(const Config *config, const SavedState *state) {
    return state->epoch > config->train_epochs ? "train.epochs" : "train.patience";
}

static bool over(const Training *t) { return train_is_over(&t->experiment->config, &t->state); }

Status train_check_folder(Comm *comm, const TrainOptions *options) {
    return comm_agree(comm, comm_rank(comm) == 0 ? run_folder_check(options->folder) : status_ok());
}

/* --- opening */

/* metrics.jsonl as it was at the checkpoint, or empty for a new start; what is cut off is kept beside it. */
static Status open_metrics(Training *t) {
    const char *folder = t->options->folder->path;
    char path[FILE_PATH], lost[FILE_PATH], nothing[HASH_TEXT];
    if (comm_rank(t->experiment->comm) != 0) return status_ok();
    TRY(atomic_file_join(path, folder, "metrics.jsonl"));
    TRY(atomic_file_join(lost, folder, "metrics.lost.jsonl"));
    hash_memory("", 0, nothing);
    /* cut first: that replaces the file, and what was open would go on under no name */
    if (t->options->resume && t->options->own)
        TRY(metrics_cut(path, lost, t->state.metrics_bytes, t->state.metrics_hash));
    else if (access(path, F_OK) == 0)
        TRY(metrics_cut(path, lost, 0, nothing));
    TRY(metrics_open(&t->metrics, path));
    if (t->options->own && (t->options->judged_anew || t->best_gone))
        TRY(metrics_measured_anew(&t->metrics, t->state.step));
    return atomic_file_sync_folder(folder);
}

static void forget_best(SavedState *state) {
    state->best_step = state->best_epoch = 0;
    state->best_saved_error = SCHEDULE_NO_ERROR;
    state->schedule.observed = 0; /* the average that chooses it */
    state->schedule.mean_error = 0;
}

static Status open_state(Training *t) {
    Experiment *experiment = t->experiment;
    const Config *config = &experiment->config;
    TRY(saved_state_begin(experiment, &t->optimizer));
    t->state = saved_state_start();
    t->batches = (experiment->dataset.count[SPLIT_TRAIN] + config->train_batch - 1) / config->train_batch;
    if (!t->options->resume) return status_ok();
    TRY(saved_state_restore(experiment, t->options->resume, &t->state, &t->optimizer));
    TRY(saved_state_normalise(t->options->resume, experiment));
    if (t->state.batch >= t->batches) /* the set was saved by a run with smaller batches */
        return status_error(RAM_DATA, "the checkpoint stands at batch %lld of an epoch of %lld batches",
                            (long long)t->state.batch, (long long)t->batches);
    if (!t->options->own || t->options->judged_anew) { /* not of this run, or no longer comparable */
        t->state.schedule = schedule_forget_errors(&t->state.schedule);
        forget_best(&t->state);
    }
    if (t->options->rate_anew) t->state.schedule.factor = t->state.rate_factor = 1;
    if (t->state.rate_factor < 1)
        log_info("going on at %g of the learning rate, after numerical faults", t->state.rate_factor);
    return status_ok();
}

static Tracer *open_tracer(const Experiment *experiment) {
    const Config *config = &experiment->config;
    const TracePlan plan = {.split = SPLIT_VALIDATION,
                            .images = config->trace_count,
                            .policy = (Policy)config->eval_policy,
                            .rollouts = config->eval_rollouts};
    return config->trace_every > 0 ? tracer_new(experiment, &plan) : NULL;
}

/* From here on the folder goes with this state: sets of a course that is left are set aside before the curve is cut, so
 * that a crash in between leaves a set that the curve still holds. Traces only show the course, as they can. */
static Status take_up(const Training *t) {
    Comm *comm = t->experiment->comm;
    const RunFolder *folder = t->options->folder;
    if (t->options->own) TRY(checkpoint_take_up(comm, folder->checkpoints, t->state.step, t->state.best_step));
    const Status status = trace_take_up(comm, folder->traces, t->options->own ? t->state.epoch - 1 : -1);
    if (status_failed(&status)) log_warning("%s; traces of a course that is left may stay", status.message);
    return status_ok();
}

/* An older set may name a best one that a later best has replaced: then the best is chosen from what comes. What the
 * schedule remembers stays, since a course that comes again is to come to the same weights. @collective */
static void look_for_best(Training *t) {
    const int64_t best = t->state.best_step;
    if (!t->options->own || best == 0 || best == t->state.step) return;
    if (checkpoint_has(t->experiment->comm, t->options->folder->checkpoints, best)) return;
    log_info("the best checkpoint so far, of step %lld, is not there any more: %s", (long long)best,
             over(t) ? "the last model takes its place" : "the best model is chosen from the epochs from here on");
    forget_best(&t->state);
    t->best_gone = true;
}

/* Whether there is room for all that was asked for and for what comes later: checkpoints, and on a GPU what the first
 * steps take: scratch memory of the sums of lanes (64 MiB for the weights' gradients), records of the steps, code that
 * is loaded when first used. @collective */
static Status find_room(const Experiment *experiment, const Optimizer *optimizer) {
    enum { LATER_FLOATS = 32 << 20 };
    Backend *backend = experiment->backend;
    const DevFloats later =
        experiment->device == DEVICE_CUDA ? backend_floats(backend, LATER_FLOATS) : (DevFloats){NULL};
    const Status status = saved_state_room(experiment, optimizer);
    backend->kernels->release(backend, later.address);
    return status;
}

/* All that a training computes with. @collective */
static Status open_parts(Training *t) {
    Experiment *experiment = t->experiment;
    t->order = memory_new((size_t)experiment->dataset.count[SPLIT_TRAIN], sizeof *t->order);
    t->step = step_new(experiment, &t->optimizer);
    t->validation = evaluator_new(experiment, SPLIT_VALIDATION);
    t->tracer = open_tracer(experiment);
    t->best = backend_floats(experiment->backend, t->optimizer.total);
    t->test = evaluator_new(experiment, SPLIT_TEST);
    return find_room(experiment, &t->optimizer);
}

static Status open_training(Training *t) {
    Experiment *experiment = t->experiment;
    const int64_t samples = experiment->dataset.count[SPLIT_TRAIN], batch = experiment->config.train_batch;
    TRY(open_parts(t)); /* before the run is changed */
    if (t->options->begin) TRY(t->options->begin(t->options->context));
    TRY(take_up(t));
    look_for_best(t);
    TRY(comm_agree(experiment->comm, open_metrics(t)));
    t->progress = progress_start((t->state.epoch - 1) * samples + t->state.batch * batch);
    t->stop = stop_open(&t->options->stop, comm_rank(experiment->comm));
    t->saved_at = clock_now();
    return status_ok();
}

static void close_training(Training *t) {
    t->experiment->backend->kernels->release(t->experiment->backend, t->best.address);
    evaluator_free(t->validation);
    evaluator_free(t->test);
    tracer_free(t->tracer);
    step_free(t->step);
    free(t->order);
    metrics_close(&t->metrics);
    optimizer_close(&t->optimizer);
}

Status train_room(Experiment *experiment) {
    Training t = {.experiment = experiment};
    Status status = saved_state_begin(experiment, &t.optimizer);
    if (!status_failed(&status)) status = open_parts(&t);
    close_training(&t);
    return status;
}

/* --- checkpoints */

/* The next save's metrics.jsonl ends here. */
static Status mark_metrics(Training *t) {
    Comm *comm = t->experiment->comm;
    SavedState *s = &t->state;
    TRY(train_check_folder(comm, t->options));
    return comm_agree(comm, comm_rank(comm) == 0 ? metrics_mark(&t->metrics, &s->metrics_bytes, s->metrics_hash)
                                                 : status_ok());
}

static void warn(const Status *status) {
    if (status_failed(status)) log_warning("%s; the checkpoint itself is saved", status->message);
}

/* In a folder that has just been looked at. Links and old sets can wait for the next time, but the best is spared till
 * then. */
static Status save_as_marked(Training *t) {
    Comm *comm = t->experiment->comm;
    const char *folder = t->options->folder->checkpoints;
    TRY(health_check(t->experiment, &t->optimizer, &t->state));
    TRY(saved_state_save(t->experiment, folder, &t->state, &t->optimizer, t->options->provenance));
    TRY(train_check_folder(comm, t->options)); /* a save takes its time */
    const Status marked = t->state.best_step > 0 ? checkpoint_mark_best(comm, folder, t->state.best_step) : status_ok();
    warn(&marked);
    const Status pruned = checkpoint_prune(comm, folder, t->experiment->config.checkpoint_keep, t->state.best_step);
    warn(&pruned);
    t->saved_at = clock_now();
    return status_ok();
}

/* Saves the state as it is. */
static Status save(Training *t) {
    TRY(mark_metrics(t));
    return save_as_marked(t);
}

/* A checkpoint on the way: where it cannot be written the training goes on, and says so. RAM_NUMERIC. */
static Status save_on_the_way(Training *t, bool *saved) {
    const Status status = save(t);
    *saved = !status_failed(&status);
    if (*saved || status.code == RAM_NUMERIC) return status;
    log_warning("no checkpoint at step %lld: %s; training goes on", (long long)t->state.step, status.message);
    t->saved_at = clock_now();
    return status_ok();
}

/* --- traces */

/* Records the probe set where it is due after `epoch` epochs (0: before the first), with the parameters that are
 * evaluated. An epoch that is trained again replaces its trace. Where it cannot be written the training goes on, and
 * says so. */
static void trace_probe(Training *t, int64_t epoch) {
    char name[TRACE_EPOCH_NAME];
    if (!t->tracer || epoch % t->experiment->config.trace_every != 0) return;
    trace_epoch_name(name, epoch);
    const TraceOrigin origin = {.step = t->state.step, .epoch = epoch};
    Status status = train_check_folder(t->experiment->comm, t->options);
    if (!status_failed(&status))
        status = tracer_save(t->tracer, t->options->folder->traces, name, true, origin, t->options->provenance);
    if (status_failed(&status))
        log_warning("no trace after epoch %lld: %s; training goes on", (long long)epoch, status.message);
}

/* --- an epoch */

static ProgressPoint progress_point(const Training *t) {
    const Config *config = &t->experiment->config;
    const SavedState *s = &t->state;
    const int64_t samples = t->experiment->dataset.count[SPLIT_TRAIN];
    const int64_t done = s->batch * config->train_batch < samples ? s->batch * config->train_batch : samples;
    const int64_t epochs = s->epoch > config->train_epochs ? s->epoch : config->train_epochs; /* lowered within it */
    const double rows = s->sum[SUM_ROWS] > 0 ? s->sum[SUM_ROWS] : 1;
    return (ProgressPoint){.epoch = s->epoch,
                           .epochs = epochs,
                           .images_done = (s->epoch - 1) * samples + done,
                           .images_total = epochs * samples,
                           .part = (double)s->batch / (double)t->batches,
                           .loss = s->sum[SUM_NLL] / rows,
                           .accuracy = 100 * s->sum[SUM_CORRECT] / rows,
                           .lr = t->rate};
}

/* What is not finite, and the first tensor in which it shows. */
static Status not_finite(const Training *t, const char *what) {
    char name[HEALTH_NAME];
    const bool found = health_find_not_finite(t->experiment, &t->optimizer, step_gradient(t->step), name);
    return status_error(RAM_NUMERIC,
                        "%s is not finite at step %lld (epoch %lld)%s%s: lower train.lr or set train.clip; %s", what,
                        (long long)t->begun, (long long)t->state.epoch, found ? ", first in " : "", found ? name : "",
                        checkpoint_any(t->options->folder->checkpoints) ? "the last checkpoint is intact"
                                                                        : "there is no checkpoint yet");
}

static void strike(const Training *t, NumericFault kind, int64_t step, DevFloats values) {
    const Experiment *experiment = t->experiment;
    train_fault_strike(t->fault, kind, step, comm_rank(experiment->comm), experiment->backend,
                       &experiment->ram.parameters.layout, values);
}

static void spoil_gradient(void *context, DevFloats gradient) {
    const Training *t = context;
    strike(t, FAULT_NAN, t->begun, gradient);
}

/* One batch: gradient, update, sums. */
static Status train_batch(Training *t, bool *stop) {
    Experiment *experiment = t->experiment;
    const Config *config = &experiment->config;
    SavedState *s = &t->state;
    const int64_t samples = experiment->dataset.count[SPLIT_TRAIN], first = s->batch * config->train_batch;
    const int64_t n = samples - first < config->train_batch ? samples - first : config->train_batch;
    const bool save_now = config->checkpoint_seconds > 0 && clock_now() - t->saved_at >= config->checkpoint_seconds;
    const double started = clock_now();
    t->begun = s->step + 1;
    /* the middle of the step, so that neither a warm-up's first nor a decay's last step is without effect */
    const double at = (double)(s->epoch - 1) + ((double)s->batch + 0.5) / (double)t->batches;
    t->rate = s->rate_factor * schedule_rate(config, &s->schedule, at);
    const bool spoilt = train_fault_is_due(t->fault, FAULT_NAN, t->begun, comm_rank(experiment->comm));
    const StepInput input = {.epoch = (uint32_t)s->epoch,
                             .first = first,
                             .n = n,
                             .moving_average = (float)s->moving_average,
                             .lr = t->rate,
                             .stop = stop_wanted(&t->stop),
                             .save = save_now && comm_rank(experiment->comm) == 0,
                             .spoil = spoilt ? spoil_gradient : NULL,
                             .context = t};
    const StepSums sums = step_run(t->step, &input);
    if (!isfinite(sums.sum[SUM_NLL] + sums.sum[SUM_GLIMPSE_NLL] + sums.sum[SUM_BASELINE] + sums.sum[SUM_REINFORCE]))
        return not_finite(t, "the loss");
    if (!isfinite(sums.norm)) return not_finite(t, "the gradient");
    strike(t, FAULT_FLIP, t->begun, optimizer_parameters(&t->optimizer));
    s->moving_average = 0.9 * s->moving_average + 0.1 * sums.sum[SUM_REWARD] / sums.sum[SUM_ROWS];
    for (int i = 0; i < SUMS; i++) s->sum[i] += sums.sum[i];
    s->step++;
    s->batch++;
    s->seconds += clock_now() - started;
    *stop = sums.stop;
    if (config->check_every > 0 && comm_size(experiment->comm) > 1 && s->step % config->check_every == 0)
        TRY(health_check(experiment, &t->optimizer, s));
    bool saved;
    return sums.save && !sums.stop && s->batch < t->batches ? save_on_the_way(t, &saved) : status_ok();
}

static EpochFigures epoch_figures(const Training *t) {
    const Config *config = &t->experiment->config;
    const double *sum = t->state.sum, rows = sum[SUM_ROWS], T = (double)config->model_glimpses;
    EpochFigures f = {.epoch = t->state.epoch, .step = t->state.step, .lr = t->rate, .seconds = t->state.seconds};
    f.nll = sum[SUM_NLL] / rows;
    f.glimpse_nll = T > 1 ? sum[SUM_GLIMPSE_NLL] / (rows * (T - 1)) : 0;
    f.baseline_loss = sum[SUM_BASELINE] / (rows * T);
    f.reinforce_loss = sum[SUM_REINFORCE] / rows;
    f.loss = f.nll + config->train_glimpse_nll * f.glimpse_nll + f.baseline_loss +
             config->train_reinforce_weight * f.reinforce_loss;
    f.reward = sum[SUM_REWARD] / rows;
    f.error = 100 * (1 - sum[SUM_CORRECT] / rows);
    return f;
}

/* Of the parameters that the experiment's ram has loaded. */
static Evaluation validate(const Training *t) {
    const Config *config = &t->experiment->config;
    return evaluator_run(t->validation, (Policy)config->eval_policy, config->eval_rollouts, NULL);
}

/* Validation, metrics and schedule at an epoch's end; then the state stands at the beginning of the next one. */
static Status close_epoch(Training *t, bool *best) {
    Experiment *experiment = t->experiment;
    const Config *config = &experiment->config;
    SavedState *s = &t->state;
    const EpochFigures figures = epoch_figures(t);
    ram_load(&experiment->ram, optimizer_evaluated(&t->optimizer));
    const Evaluation validation = validate(t);
    if (validation.not_finite > 0) return not_finite(t, "the validation"); /* the last update may have done it */
    Status status = metrics_epoch(&t->metrics, &figures);
    if (!status_failed(&status)) status = metrics_evaluation(&t->metrics, s->epoch, s->step, &validation);
    TRY(comm_agree(experiment->comm, status));
    schedule_observe(config, &s->schedule, validation.error);
    *best = s->schedule.mean_error < s->best_saved_error;
    if (*best) {
        s->best_step = s->step;
        s->best_epoch = s->epoch;
        s->best_saved_error = s->schedule.mean_error;
    }
    trace_probe(t, s->epoch); /* before the checkpoint: a crash in between repeats the epoch, and its trace */
    const ProgressPoint point = progress_point(t);
    progress_epoch(&t->progress, &point, &validation, *best);
    s->epoch++;
    s->batch = 0;
    s->untested = 0;
    s->seconds = 0;
    memset(s->sum, 0, sizeof s->sum);
    return status_ok();
}

static Status train_epoch(Training *t, bool *stopped) {
    SavedState *s = &t->state;
    dataset_order(&t->experiment->dataset, SPLIT_TRAIN, (uint64_t)t->experiment->config._seed, (uint32_t)s->epoch,
                  t->order);
    step_order(t->step, t->order);
    while (s->batch < t->batches && !*stopped) {
        TRY(train_batch(t, stopped));
        const ProgressPoint point = progress_point(t);
        progress_step(&t->progress, &point);
    }
    return status_ok();
}

/* --- the end */

/* Loads the best saved model. */
static Status load_best(Training *t, DevFloats values) {
    Experiment *experiment = t->experiment;
    char path[FILE_PATH];
    Checkpoint *checkpoint = NULL;
    TRY(train_check_folder(experiment->comm, t->options));
    TRY(checkpoint_path(t->options->folder->checkpoints, t->state.best_step, path));
    TRY(checkpoint_open(experiment->comm, path, &checkpoint));
    const Status status = saved_state_load_parameters(experiment, checkpoint, values);
    checkpoint_close(checkpoint);
    return status;
}

/* The best model on the test set, once, at the end. Where no saved epoch of this run is the best, or its set is
 * damaged, the last model takes its place; where it only cannot be read now (no memory), that is the error. */
static Status measure_best(Training *t) {
    SavedState *s = &t->state;
    Evaluation learned;
    Status loaded = status_ok();
    bool last = s->best_step == s->step || s->best_step == 0;
    if (!last) loaded = load_best(t, t->best);
    if (status_failed(&loaded) && loaded.code != RAM_DATA) return loaded;
    if (status_failed(&loaded)) log_warning("%s; the last model takes the place of the best", loaded.message);
    last = last || status_failed(&loaded);
    const bool instead = last && s->best_step != s->step;
    if (last) {
        ram_load(&t->experiment->ram, optimizer_evaluated(&t->optimizer));
        if (instead) s->best_saved_error = validate(t).error;
        s->best_step = s->step;
        s->best_epoch = s->epoch - 1;
    }
    const bool averaged = !instead && t->experiment->config.eval_average > 1;
    log_info("best model: %sepoch %lld, validation error %.2f %%%s", instead ? "the last, " : "",
             (long long)s->best_epoch, s->best_saved_error, averaged ? ", averaged over epochs" : "");
    return measure_model(t->experiment, t->test, &t->metrics, s->best_epoch, s->best_step, &learned);
}

/* Measures before the last checkpoint, so that a finished run has its figures. Where that fails the training is saved
 * as it was before, once, and the next start measures. */
static Status end_training(Training *t) {
    TRY(mark_metrics(t));
    const SavedState before = t->state;
    const Status measured = measure_best(t);
    if (!status_failed(&measured)) {
        t->state.untested = 0;
        return save(t);
    }
    if (measured.code == RAM_NUMERIC) return measured;
    t->state = before;
    t->state.untested = 1;
    TRY(train_check_folder(t->experiment->comm, t->options));
    if (!before.untested) TRY(save_as_marked(t));
    return status_error(measured.code, "%.400s; the training is saved, --resume auto measures its best model",
                        measured.message);
}

/* Whether a checkpoint is due at this epoch's end. */
static bool save_is_due(const Training *t) {
    const int64_t every = t->experiment->config.checkpoint_epochs;
    return every > 0 && (t->state.epoch - 1) % every == 0;
}

/* Saved and told, whatever the reason was. */
static Status stop_here(Training *t) {
    char reason[STOP_REASON];
    TRY(save(t));
    stop_reason(&t->stop, t->experiment->comm, reason);
    return status_error(RAM_STOPPED, "stopped at step %lld: %s; --resume auto goes on from there",
                        (long long)t->state.step, reason);
}

static Status train_on(Training *t) {
    if (t->state.step == 0) strike(t, FAULT_FLIP, 0, optimizer_parameters(&t->optimizer));
    TRY(health_check(t->experiment, &t->optimizer, &t->state)); /* all ranks begin alike */
    if (t->tracer && t->state.step == 0) {
        ram_load(&t->experiment->ram, optimizer_evaluated(&t->optimizer));
        trace_probe(t, 0);
    }
    while (!over(t)) {
        bool stopped = false, best = false;
        const SavedState before = t->state;
        TRY(train_epoch(t, &stopped));
        if (t->state.batch == t->batches) TRY(close_epoch(t, &best));
        if (over(t)) break;
        if (stopped) return stop_here(t);
        if (best || save_is_due(t)) {
            bool saved;
            TRY(save_on_the_way(t, &saved));
            if (saved) continue;
            t->state.best_step = before.best_step; /* the best that is on disk; the rate goes on as if it were saved */
            t->state.best_epoch = before.best_epoch;
            t->state.best_saved_error = before.best_saved_error;
        }
    }
    if (t->state.epoch <= t->experiment->config.train_epochs)
        log_info("early stop after epoch %lld: no better validation error for %lld epochs (train.patience)",
                 (long long)t->state.epoch - 1, (long long)t->experiment->config.train_patience);
    TRY(end_training(t));
    if (t->stop.looks) stop_forget(t->options->folder->path); /* what came too late is not for the next start */
    return status_ok();
}

Status train_once(Experiment *experiment, const TrainOptions *options, TrainFault *fault, double rate_factor) {
    Training t = {.experiment = experiment, .options = options, .fault = fault};
    Status status = open_state(&t);
    t.state.rate_factor *= rate_factor;
    if (!status_failed(&status)) status = open_training(&t);
    if (!status_failed(&status)) status = train_on(&t);
    close_training(&t);
    return status;
}
