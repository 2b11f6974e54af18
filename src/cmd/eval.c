#include "base/log.h"
#include "cmd/commands.h"
#include "cmd/saved_model.h"
#include "train/measure.h"

enum { OPTION_SPLIT = OWN_OPTION, OPTION_CHECKPOINT, OPTION_JSON };

typedef struct {
    Split split;
    const char *checkpoint;
    bool json;
} Wanted;

static const struct argp_option OWN_OPTIONS[] = {
    {"split", OPTION_SPLIT, "train|validation|test", 0, "Which images to evaluate (default: test)", 0},
    {"checkpoint", OPTION_CHECKPOINT, "PATH", 0, "A checkpoint: the same as giving PATH alone", 0},
    {"json", OPTION_JSON, NULL, 0, "Print evaluations as in metrics.jsonl, a JSON object a line; text goes to stderr",
     0},
    {0},
};

static Status take(void *input, int key, const char *value) {
    Wanted *wanted = input;
    if (key == OPTION_SPLIT) return saved_model_take_split(value, &wanted->split);
    if (key == OPTION_JSON)
        wanted->json = true;
    else
        wanted->checkpoint = value;
    return status_ok();
}

/* @collective */
static Status evaluate(Session *session, const Wanted *wanted) {
    SavedModel model;
    Metrics metrics = {0};
    Evaluation learned;
    if (wanted->json) log_leave_stdout();
    if (wanted->json && comm_rank(session->comm) == 0) metrics = metrics_on_stdout();
    TRY(saved_model_open(session, wanted->checkpoint, &model));
    Evaluator *evaluator = evaluator_new(&model.experiment, wanted->split);
    Status status = comm_agree(session->comm, backend_room(model.experiment.backend));
    if (!status_failed(&status))
        status = measure_model(&model.experiment, evaluator, &metrics, saved_state_epoch(&model.state),
                               checkpoint_step(model.checkpoint), &learned);
    if (!status_failed(&status)) log_info("%s error: %.2f %%", split_name(wanted->split), learned.error);
    evaluator_free(evaluator);
    saved_model_close(&model);
    return status;
}

int command_eval(int argc, char **argv) {
    Wanted wanted = {.split = SPLIT_TEST};
    const ArgumentsSpec spec = {
        .command = "eval",
        .summary = "Measures a trained model: its error with a 95 % interval, beside that of random and of centre-only "
                   "glimpses. The configuration is the checkpoint's; --set changes it.",
        .operand = "RUN|CHECKPOINT",
        .takes = TAKES_NP | TAKES_DEVICE,
        .own = OWN_OPTIONS,
        .take = take,
        .input = &wanted,
    };
    Session session;
    int code;
    if (!session_open(&session, &spec, argc, argv, &code)) return code;
    return session_close(&session, evaluate(&session, &wanted));
}
