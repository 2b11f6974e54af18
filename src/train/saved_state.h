/* SavedState: the state of a training besides its vectors, and how both become a Snapshot for the store (DESIGN 6). A
 * resumed run that restores it goes on bit for bit. Must not know files. save and restore are collective. */
#ifndef RAM_TRAIN_SAVED_STATE_H
#define RAM_TRAIN_SAVED_STATE_H

#include "base/hash.h"
#include "store/checkpoint.h"
#include "store/provenance.h"
#include "train/experiment.h"
#include "train/normalisation.h"
#include "train/optimizer.h"
#include "train/schedule.h"

typedef struct {
    int64_t step;          /* done so far */
    int64_t epoch;         /* being trained, from 1 */
    int64_t batch;         /* of the epoch, the next one; 0: the epoch begins */
    double sum[SUMS];      /* of the epoch's batches so far, after reduction */
    double seconds;        /* of computing in this epoch so far */
    double moving_average; /* the baseline m */
    ScheduleState schedule;
    double rate_factor;            /* of the learning rate, besides the schedule's: less than 1 after rollbacks */
    int64_t best_step, best_epoch; /* of the best set that is saved; 0: none yet */
    double best_saved_error;       /* schedule.mean_error then, or SCHEDULE_NO_ERROR; the next best must be less.
                                      schedule.best_error may be of a model that could not be saved */
    int64_t untested;              /* 1: no epoch is left, but the test set could not be measured yet */
    int64_t metrics_bytes;         /* metrics.jsonl when this was saved, */
    char metrics_hash[HASH_TEXT];  /* and its hash; the only member that is no number, and the last */
} SavedState;

SavedState saved_state_start(void);

/* Of the model: the epoch that it has ended last or in whose middle it is; 0 before the first. */
static inline int64_t saved_state_epoch(const SavedState *state) { return state->epoch - (state->batch == 0); }

/* Name and text of every key, as files have them. */
typedef struct {
    char name[CONFIG_KEYS][64];
    char text[CONFIG_KEYS][CONFIG_TEXT];
} ConfigTexts;

/* The configuration as scalars that borrow from `texts`. */
void saved_state_config_scalars(const Config *config, ConfigTexts *texts, StoreScalar scalar[CONFIG_KEYS]);

/* Opens the optimiser of a training that has not begun, with the parameters that the seed draws; optimizer_close() it,
 * also after an error. RAM_USAGE where there is no memory. @collective */
Status saved_state_begin(const Experiment *experiment, Optimizer *optimizer);

/* Whether there is memory for all that was opened, and then for what a save takes. RAM_USAGE. @collective */
Status saved_state_room(const Experiment *experiment, const Optimizer *optimizer);

/* Saves state, configuration, provenance and the optimiser's vectors as checkpoint `state->step`. @collective */
Status saved_state_save(const Experiment *experiment, const char *folder, SavedState *state, const Optimizer *optimizer,
                        Provenance *provenance);

/* Fills state and the optimiser's vectors from the open set; an average that the set lacks (train.ema was 0) begins
 * with the parameters. Of a set of step 0, which was imported, the moments stay zero, whatever the optimiser. RAM_DATA,
 * or RAM_USAGE for want of memory; the vectors are undefined then. @collective */
Status saved_state_restore(const Experiment *experiment, const Checkpoint *checkpoint, SavedState *state,
                           Optimizer *optimizer);

/* The normalisation that the set was trained with (normalisation_print); "" of an older set. RAM_DATA. */
Status saved_state_normalisation(const Checkpoint *checkpoint, char text[NORMALISATION_TEXT]);

/* The experiment computes with that one from here on, where its configuration leaves it to `auto`. RAM_DATA. */
Status saved_state_normalise(const Checkpoint *checkpoint, Experiment *experiment);

/* Reads the configuration that the set was saved with; the state alone. RAM_DATA. */
Status saved_state_read_config(const Checkpoint *checkpoint, Config *config);
Status saved_state_read(const Checkpoint *checkpoint, SavedState *state);

/* Whether the set was saved with the data of these hashes (dataset_hashes). RAM_DATA. */
Status saved_state_same_data(const Checkpoint *checkpoint, const char *hashes, bool *same);

/* Logs a line where the set was computed by other products (library, instruction set or GPU) than these. RAM_DATA. */
Status saved_state_tell_products(const Checkpoint *checkpoint, const char *products);

/* The group of the parameters that are to be evaluated: the average where the set has one. Static. */
const char *saved_state_evaluated(const Checkpoint *checkpoint);

/* Reads the parameters that are to be evaluated into values (layout.total) and makes them the experiment's. RAM_DATA;
 * RAM_USAGE where there is no memory, also none for what was opened before. @collective */
Status saved_state_load_parameters(Experiment *experiment, const Checkpoint *checkpoint, DevFloats values);

#endif
