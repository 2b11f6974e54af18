/* SavedModel: a checkpoint that is ready to be computed with: what eval and trace open before they differ. Owns
 * checkpoint, experiment and parameters. Must not know what is computed. open is collective. */
#ifndef RAM_CMD_SAVED_MODEL_H
#define RAM_CMD_SAVED_MODEL_H

#include "cmd/session.h"
#include "store/checkpoint.h"
#include "train/saved_state.h"

typedef struct {
    char path[FILE_PATH]; /* of the checkpoint */
    Checkpoint *checkpoint;
    Experiment experiment; /* its ram has the parameters loaded */
    SavedState state;
    DevFloats values;
} SavedModel;

/* Opens the operand or `checkpoint` (--checkpoint, NULL: not given), whichever the line has: a checkpoint, or a run
 * folder, which stands for its best model; with neither, the run that the configuration names. The configuration
 * becomes the checkpoint's and what the command line changes of it. On failure everything is closed. RAM_USAGE,
 * RAM_DATA, RAM_IO. @collective */
Status saved_model_open(Session *session, const char *checkpoint, SavedModel *model);
void saved_model_close(SavedModel *model); /* a zeroed one is allowed */

/* The checkpoint that `asked` stands for, likewise; NULL: the best of the run that the configuration names, whose
 * "best" and "latest" may be asked for by these words. @collective */
Status saved_model_find(const Session *session, const char *asked, char path[FILE_PATH]);

/* Whether a key goes out and comes in with the weights: it is of the model or the data, and no folder's name. */
bool saved_model_takes_along(int key);

/* One line for each key that differs and that `counts` (NULL: all do). */
void saved_model_tell_changes(const Config *saved, const Config *config, bool (*counts)(int key));

/* How many channels the images of a saved model have, by its parameters: no key, since the data tell it. */
int64_t saved_model_channels(const Layout *parameters, const Config *saved);

/* Images of another kind (channels, classes) than the checkpoint's make another model of the same configuration: that
 * is told as such, not as the shapes that follow from it. path: of the checkpoint. RAM_DATA. */
Status saved_model_check_images(const Checkpoint *checkpoint, const char *path, const Experiment *experiment);

/* The facts of an exported file that say so, and what the model was trained with (train/normalisation.h). */
#define SAVED_MODEL_CHANNELS      "data.channels"
#define SAVED_MODEL_NORMALISATION "data.normalisation"

/* The argument of --split. RAM_USAGE. */
Status saved_model_take_split(const char *text, Split *split);

#endif
