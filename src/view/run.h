/* Run: what a run folder tells from outside, while it trains or afterwards: metrics.jsonl, config.yaml and the traces.
 * Owns how these are read into plain structs. Must not know how they are shown. Nothing here is collective; nothing is
 * written or locked. */
#ifndef RAM_VIEW_RUN_H
#define RAM_VIEW_RUN_H

#include "view/recording.h"

/* The figures of an epoch (DESIGN 6), in the order of their columns. */
typedef enum {
    EPOCH_EPOCH,
    EPOCH_STEP,
    EPOCH_LR,
    EPOCH_LOSS,
    EPOCH_NLL,
    EPOCH_BASELINE_LOSS,
    EPOCH_REINFORCE_LOSS,
    EPOCH_ERROR,
    EPOCH_REWARD,
    EPOCH_SECONDS,
    EPOCH_FIGURES
} EpochFigure;
const char *run_epoch_figure(EpochFigure figure); /* its name in metrics.jsonl */

typedef struct {
    double value[EPOCH_FIGURES];
} EpochRow;

typedef struct {
    char split[16], policy[16];
    int64_t epoch, step, rollouts, images, wrong;
    double error, low, high, loss, reward;
} EvalRow;

/* Where a training ran. */
typedef enum {
    FACT_PROGRAM,
    FACT_REVISION,
    FACT_RANKS,
    FACT_DEVICE,
    FACT_PRODUCTS,
    FACT_MESSAGES,
    FACT_HOST,
    FACT_JOB,
    FACT_COMMAND,
    RUN_FACTS
} RunFact;

/* The probe set after an epoch (trace.every). */
typedef struct {
    int64_t epoch;
    double error; /* percent, after the last glimpse */
    Movement movement;
    HeatMap heat; /* of all glimpses that the policy chose: not the first */
} PolicyRow;

typedef struct {
    char path[FILE_PATH];
    char name[FILE_PATH];  /* the folder's; after run_tell_apart with as many of the folders above as it takes */
    char whole[FILE_PATH]; /* the path without links */
    double silent;         /* seconds since metrics.jsonl was written to; 0: there is none */
    bool has_config;
    Config config;     /* config.yaml */
    int epochs, evals; /* rows */
    EpochRow *epoch;
    EvalRow *eval;
    int comparable; /* the first evaluation that the best model is chosen from */
    bool has_recording;
    /* of the test set, of the run's configuration, policy and checkpoints, the newest, the largest: as far as there is
     * such a one */
    Recording recording;
    int passed_over;           /* traces that cannot be read */
    char why_passed_over[512]; /* the first of them */
    char fact[RUN_FACTS][512]; /* of the training, by RunFact, from its newest checkpoint or a trace; "": not known */
    int policies;
    PolicyRow *policy; /* by epoch */
} Run;

/* Whether there is a run at `path`: a folder with metrics.jsonl or config.yaml. */
bool run_is(const char *path);

/* Reads figures and configuration. A last line that is still being written does not count. run_close() the result.
 * RAM_DATA: there is no run, or a line is not what a run writes; RAM_USAGE: config.yaml. */
Status run_open(const char *path, Run *run);

/* Gives different names to different runs. */
void run_tell_apart(int runs, Run *run);

/* Reads the traces as well, and where the run ran. A trace that cannot be read is warned of and passed over. RAM_IO. */
Status run_read_traces(Run *run);

/* In what the pictured trace is not of the run as it is now, in whole sentences; "": it is. */
void run_tell_difference(const Run *run, char *text, size_t size);
void run_close(Run *run); /* a zeroed one is allowed */

/* The run's own policy of evaluation (eval.policy): "sample", ... Without config.yaml the default. */
void run_own_policy(const Run *run, char policy[16]);

/* The last evaluation of the validation set; NULL: there is none. */
const EvalRow *run_last_validation(const Run *run);
/* The evaluation with the policy when the test set was last measured; NULL: there is none. */
const EvalRow *run_test(const Run *run, const char *policy);
/* The epochs over which the run averages the error of validation to choose its best model (eval.average). */
int64_t run_average(const Run *run);
/* The evaluation of the validation set after the best epoch, as training chooses it; NULL: there is none. */
const EvalRow *run_best_eval(const Run *run);

/* The result: the last measurement of the test set with the run's own policy, or, where it has none of that, its first;
 * NULL: the test set has not been measured. */
const EvalRow *run_result(const Run *run);

/* Whether it has made all its epochs, or was to stop early, and then measured the test set with all policies. */
bool run_is_finished(const Run *run);

#endif
