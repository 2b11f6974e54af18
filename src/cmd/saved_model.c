#include "cmd/saved_model.h"
#include "base/log.h"
#include "store/inspect.h"

#include <string.h>
#include <unistd.h>

Status saved_model_take_split(const char *text, Split *split) {
    if (split_find(text, split)) return status_ok();
    return status_error(RAM_USAGE, "--split is '%.64s': give train, validation or test", text);
}

Status saved_model_find(const Session *session, const char *asked, char path[FILE_PATH]) {
    char run[FILE_PATH], checkpoints[FILE_PATH];
    const char *wish = "best";
    if (asked && (strcmp(asked, "best") == 0 || strcmp(asked, "latest") == 0) && access(asked, F_OK) != 0) {
        wish = asked;
        asked = NULL;
    }
    if (!asked) {
        TRY(arguments_run_path(&session->arguments, run));
        asked = run;
    }
    TRY(atomic_file_join(checkpoints, asked, "checkpoints"));
    const bool is_run = access(checkpoints, F_OK) == 0;
    return checkpoint_find(session->comm, is_run ? checkpoints : "", is_run ? wish : asked, path);
}

void saved_model_tell_changes(const Config *saved, const Config *config, bool (*counts)(int key)) {
    for (int key = -1; (key = config_next_difference(saved, config, key)) >= 0;) {
        char before[CONFIG_TEXT], now[CONFIG_TEXT];
        if (counts && !counts(key)) continue;
        config_get_text(saved, key, before, sizeof before);
        config_get_text(config, key, now, sizeof now);
        log_info("changed: %s was %s, is %s", config_key(key)->name, *before ? before : "''", *now ? now : "''");
    }
}

/* Reads state and configuration; the same on every rank. What the line says lies over the saved configuration. */
static Status settle(Session *session, SavedModel *model) {
    Config saved;
    TRY(saved_state_read(model->checkpoint, &model->state));
    TRY(saved_state_read_config(model->checkpoint, &saved));
    TRY(session_parse_again(session, &saved));
    if (config_copy_section(&session->arguments.config, &saved, "augment"))
        log_warning(
            "augment.* changes what a training sees, not what is measured: it is told as the checkpoint has it");
    saved_model_tell_changes(&saved, &session->arguments.config, saved_model_takes_along);
    return status_ok();
}

/* Figures of other images than the checkpoint's own are worth a word. */
static Status look_at_data(const SavedModel *model) {
    char hashes[DATASET_HASHES];
    bool same;
    dataset_hashes(&model->experiment.dataset, hashes);
    TRY(saved_state_same_data(model->checkpoint, hashes, &same));
    if (!same) log_warning("the images are not those that the checkpoint was trained on");
    return status_ok();
}

/* Rows or columns of the field; 0: there is none of that name. */
static int64_t field_side(const Layout *layout, const char *name, int side) {
    const int field = layout_find(layout, name);
    return field < 0 ? 0 : layout->field[field].shape[side];
}

int64_t saved_model_channels(const Layout *parameters, const Config *saved) {
    return field_side(parameters, "sensor.fc1.weight", 1) /
           (saved->model_scales * saved->model_patch * saved->model_patch);
}

Status saved_model_check_images(const Checkpoint *checkpoint, const char *path, const Experiment *experiment) {
    const Dims *dims = &experiment->ram.dims;
    const char *directory = experiment->dataset.directory;
    Config saved;
    Layout layout;
    TRY(saved_state_read_config(checkpoint, &saved));
    TRY(inspect_layout(checkpoint, "param", &layout));
    const int64_t channels = saved_model_channels(&layout, &saved);
    const int64_t classes = field_side(&layout, "classifier.fc.weight", 0);
    if (channels != dims->retina.channels)
        return status_error(RAM_DATA,
                            "the images in %.300s have %d channel%s, those that the checkpoint %.300s was trained on "
                            "have %lld: give such images (data.dir)",
                            directory, dims->retina.channels, dims->retina.channels == 1 ? "" : "s", path,
                            (long long)channels);
    if (classes != dims->classes)
        return status_error(RAM_DATA,
                            "the images in %.300s are of %d class%s, those that the checkpoint %.300s was trained on "
                            "of %lld: give such images (data.dir), or the number of classes (data.classes)",
                            directory, dims->classes, dims->classes == 1 ? "" : "es", path, (long long)classes);
    return status_ok();
}

/* @collective */
static Status open_parts(Session *session, const char *asked, SavedModel *model) {
    Comm *comm = session->comm;
    TRY(saved_model_find(session, asked, model->path));
    TRY(checkpoint_open(comm, model->path, &model->checkpoint));
    TRY(comm_agree(comm, settle(session, model)));
    log_info("checkpoint: %s (step %lld)", model->path, (long long)checkpoint_step(model->checkpoint));
    TRY(session_open_experiment(session, &model->experiment));
    TRY(saved_model_check_images(model->checkpoint, model->path, &model->experiment));
    TRY(look_at_data(model));
    TRY(saved_state_normalise(model->checkpoint, &model->experiment));
    model->values = backend_floats(model->experiment.backend, (int64_t)model->experiment.ram.parameters.layout.total);
    return saved_state_load_parameters(&model->experiment, model->checkpoint, model->values);
}

Status saved_model_open(Session *session, const char *checkpoint, SavedModel *model) {
    const char *operand = session->arguments.operand;
    *model = (SavedModel){.path = ""};
    if (operand && checkpoint)
        return status_error(RAM_USAGE, "both '%.200s' and --checkpoint '%.200s' are given; give one of them", operand,
                            checkpoint);
    Status status = open_parts(session, operand ? operand : checkpoint, model);
    if (status_failed(&status)) saved_model_close(model);
    return status;
}

void saved_model_close(SavedModel *model) {
    Backend *backend = model->experiment.backend;
    if (backend) backend->kernels->release(backend, model->values.address);
    experiment_close(&model->experiment);
    checkpoint_close(model->checkpoint);
    model->checkpoint = NULL;
}

bool saved_model_takes_along(int key) {
    const KeyInfo *info = config_key(key);
    return info->type != KEY_TEXT && (strcmp(info->section, "model") == 0 || strcmp(info->section, "data") == 0);
}
