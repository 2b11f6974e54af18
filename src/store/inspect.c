#include "store/inspect.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/partition.h"
#include "store/checkpoint_parts.h"
#include "store/step_folder.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The paths of all groups or of all data sets of a file, in the order of a walk by name. */
typedef struct {
    hid_t file;
    int groups, sets;
    char (*group)[HDF_NAME];
    char (*set)[HDF_NAME];
    char here[HDF_NAME]; /* the group being visited, "" for the root */
    bool failed;
} Tree;

static void append(char (**names)[HDF_NAME], int *count, const char *name) {
    *names = realloc(*names, (size_t)(*count + 1) * sizeof **names);
    require(*names);
    snprintf((*names)[(*count)++], HDF_NAME, "%s", name);
}

static void walk_link(const char *name, bool is_group, void *context) {
    Tree *tree = context;
    char path[HDF_NAME], outer[HDF_NAME];
    if (snprintf(path, sizeof path, "%s/%s", tree->here, name) >= HDF_NAME) {
        tree->failed = true;
        return;
    }
    if (!is_group) {
        append(&tree->set, &tree->sets, path);
        return;
    }
    append(&tree->group, &tree->groups, path);
    memcpy(outer, tree->here, sizeof outer);
    memcpy(tree->here, path, sizeof path);
    if (!hdf_visit_group(tree->file, path, walk_link, tree)) tree->failed = true;
    memcpy(tree->here, outer, sizeof outer);
}

static void free_tree(Tree *tree) {
    free(tree->group);
    free(tree->set);
}

/* `set`: the folder that the index is of. */
static Status walk(hid_t index, const char *set, Tree *tree) {
    *tree = (Tree){.file = index};
    append(&tree->group, &tree->groups, "/");
    if (hdf_visit_group(tree->file, "/", walk_link, tree) && !tree->failed) return status_ok();
    free_tree(tree);
    return status_error(RAM_DATA, "cannot list what is in %.300s/" MANIFEST_INDEX, set);
}

/* Norm and range, added up in the order of the elements. */
static void measure(InspectField *field, const float *values, int64_t count) {
    double squares = 0;
    bool first = true;
    for (int64_t i = 0; i < count; i++) {
        squares += (double)values[i] * values[i];
        if (!isfinite(values[i])) {
            field->not_finite++;
            continue;
        }
        if (first || values[i] < field->least) field->least = values[i];
        if (first || values[i] > field->most) field->most = values[i];
        first = false;
    }
    field->norm = sqrt(squares);
}

static Status inspect_one(const Checkpoint *checkpoint, const char *path, InspectField *field) {
    const char *name = strrchr(path, '/') + 1;
    snprintf(field->group, sizeof field->group, "%.*s", (int)(name - path > 1 ? name - path - 2 : 0), path + 1);
    snprintf(field->name, sizeof field->name, "%s", name);
    if (hdf_get_shape(checkpoint->index, path, &field->rows, &field->columns) != HDF_READ)
        return status_error(RAM_DATA, "%s in %.300s/" MANIFEST_INDEX " is no array of floats", path, checkpoint->path);
    int64_t width = field->columns ? field->columns : 1;
    float *values = memory_new((size_t)(field->rows * width), sizeof *values);
    Status status = status_ok();
    for (int i = 0; i < checkpoint->manifest.shards && !status_failed(&status); i++) {
        require(checkpoint->shard[i] > 0); /* opened by one rank */
        int64_t first = partition_begin(field->rows, i, checkpoint->manifest.shards);
        status = checkpoint_read_shard_rows(checkpoint, i, path, field->rows, field->columns, values + first * width);
    }
    if (!status_failed(&status)) measure(field, values, field->rows * width);
    free(values);
    return status;
}

Status inspect_fields(const Checkpoint *checkpoint, int *fields, InspectField **field) {
    Tree tree;
    *fields = 0;
    *field = NULL;
    TRY(walk(checkpoint->index, checkpoint->path, &tree));
    *field = memory_new((size_t)tree.sets, sizeof **field);
    Status status = status_ok();
    for (int i = 0; i < tree.sets && !status_failed(&status); i++)
        status = inspect_one(checkpoint, tree.set[i], &(*field)[i]);
    if (status_failed(&status)) {
        free(*field);
        *field = NULL;
    } else {
        *fields = tree.sets;
    }
    free_tree(&tree);
    return status;
}

/* The field at `path`, which lies under a group of the layout's. */
static Status add_field(const Checkpoint *checkpoint, const char *path, Layout *layout) {
    const char *name = strrchr(path, '/') + 1;
    int64_t rows, columns;
    if (hdf_get_shape(checkpoint->index, path, &rows, &columns) != HDF_READ)
        return status_error(RAM_DATA, "%s in %.300s/" MANIFEST_INDEX " is no array of floats", path, checkpoint->path);
    if (layout->fields == LAYOUT_FIELDS || strlen(name) >= LAYOUT_NAME || rows < 1)
        return status_error(RAM_DATA, "%s in %.300s/" MANIFEST_INDEX " is of a model that this version does not know",
                            path, checkpoint->path);
    layout_add(layout, name, rows, columns);
    return status_ok();
}

Status inspect_layout(const Checkpoint *checkpoint, const char *group, Layout *layout) {
    Tree tree;
    Status status = status_ok();
    const size_t length = strlen(group);
    *layout = (Layout){0};
    TRY(walk(checkpoint->index, checkpoint->path, &tree));
    for (int i = 0; i < tree.sets && !status_failed(&status); i++) {
        const char *path = tree.set[i] + 1;
        if (strncmp(path, group, length) == 0 && path[length] == '/' && !strchr(path + length + 1, '/'))
            status = add_field(checkpoint, tree.set[i], layout);
    }
    free_tree(&tree);
    return status;
}

typedef struct {
    const char *group; /* "" for the root, else "config/" */
    InspectScalars *scalars;
} ScalarList;

static void append_scalar(const char *name, void *context) {
    const ScalarList *list = context;
    InspectScalars *scalars = list->scalars;
    scalars->scalar = realloc(scalars->scalar, (size_t)(scalars->count + 1) * sizeof *scalars->scalar);
    require(scalars->scalar);
    InspectScalar *scalar = &scalars->scalar[scalars->count++];
    snprintf(scalar->name, sizeof scalar->name, "%s%s", list->group, name);
}

/* The fewest digits that give the same number again. */
static void print_real(char text[INSPECT_TEXT], double value) {
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, INSPECT_TEXT, "%.*g", digits, value);
        if (strtod(text, NULL) == value) return;
    }
}

static void print_scalar(hid_t index, InspectScalar *scalar) {
    int64_t integer;
    double real;
    StoreScalar as_integer = {.name = scalar->name, .type = STORE_INT, .value = &integer};
    StoreScalar as_real = {.name = scalar->name, .type = STORE_REAL, .value = &real};
    StoreScalar as_text = {.name = scalar->name, .type = STORE_TEXT, .value = scalar->text, .bytes = INSPECT_TEXT};
    if (hdf_get_scalar(index, &as_integer) == HDF_READ)
        snprintf(scalar->text, INSPECT_TEXT, "%" PRId64, integer);
    else if (hdf_get_scalar(index, &as_real) == HDF_READ)
        print_real(scalar->text, real);
    else if (hdf_get_scalar(index, &as_text) != HDF_READ)
        snprintf(scalar->text, INSPECT_TEXT, "(a value that this version cannot read)");
}

static Status list_scalars(hid_t index, const char *set, InspectScalars *scalars) {
    Tree tree;
    *scalars = (InspectScalars){0};
    TRY(walk(index, set, &tree));
    bool listed = true;
    for (int i = 0; i < tree.groups && listed; i++) {
        char group[HDF_NAME + 1];
        snprintf(group, sizeof group, "%s%s", tree.group[i] + 1, tree.group[i][1] ? "/" : "");
        ScalarList list = {group, scalars};
        listed = hdf_visit_attributes(index, tree.group[i], append_scalar, &list);
    }
    free_tree(&tree);
    if (!listed) {
        free(scalars->scalar);
        *scalars = (InspectScalars){0};
        return status_error(RAM_DATA, "cannot list the scalars in %.300s/" MANIFEST_INDEX, set);
    }
    for (int i = 0; i < scalars->count; i++) print_scalar(index, &scalars->scalar[i]);
    return status_ok();
}

Status inspect_scalars(const Checkpoint *checkpoint, InspectScalars *scalars) {
    return list_scalars(checkpoint->index, checkpoint->path, scalars);
}

/* --- traces */

static Status read_trace(hid_t index, const char *path, InspectTrace *trace) {
    int locations, probabilities;
    int64_t location[HDF_DIMENSIONS], prob[HDF_DIMENSIONS];
    if (hdf_get_sizes(index, "/trace/location", &locations, location) != HDF_READ || locations != 4 ||
        hdf_get_sizes(index, "/trace/prob", &probabilities, prob) != HDF_READ || probabilities != 4)
        return status_error(RAM_DATA, "%.300s/" MANIFEST_INDEX " does not hold a trace's locations and probabilities",
                            path);
    trace->shape =
        (TraceShape){.samples = prob[0], .rollouts = prob[1], .glimpses = (int)prob[2], .classes = (int)prob[3]};
    return list_scalars(index, path, &trace->scalars);
}

/* Opens the index of a set as its MANIFEST says it was written; H5Fclose() it. */
static Status open_index(const char *path, ManifestKind kind, int *shards, hid_t *index) {
    Manifest manifest;
    HdfImage image = {0};
    TRY(manifest_read(path, kind, &manifest));
    *shards = manifest.shards;
    image.bytes = manifest.file[manifest.shards].bytes;
    const Status status = manifest_read_file(path, &manifest.file[manifest.shards], &image.data);
    manifest_free(&manifest);
    TRY(status);
    return hdf_open(path, MANIFEST_INDEX, image, index);
}

Status inspect_trace(const char *path, InspectTrace *trace) {
    hid_t index;
    *trace = (InspectTrace){0};
    TRY(trace_verify(path));
    TRY(open_index(path, MANIFEST_TRACE, &trace->shards, &index));
    const Status status = read_trace(index, path, trace);
    H5Fclose(index);
    return status;
}

Status inspect_index(const char *checkpoint, InspectScalars *scalars) {
    hid_t index;
    int shards;
    *scalars = (InspectScalars){0};
    TRY(open_index(checkpoint, MANIFEST_CHECKPOINT, &shards, &index));
    const Status status = list_scalars(index, checkpoint, scalars);
    H5Fclose(index);
    return status;
}

const char *inspect_text(const InspectScalars *scalars, const char *name) {
    for (int i = 0; i < scalars->count; i++)
        if (strcmp(scalars->scalar[i].name, name) == 0) return scalars->scalar[i].text;
    return "";
}

/* --- which set */

/* The newest set of `folder`, which must be good; path names it in any case. */
static Status find_newest(const char *folder, char path[FILE_PATH]) {
    StepList list;
    TRY(step_folder_list(folder, &list));
    if (list.count == 0)
        return status_error(
            RAM_DATA, "there is no checkpoint in %.400s; give the path of a checkpoint, a trace or a run", folder);
    char older[FILE_PATH] = "";
    Status status = atomic_file_join(path, folder, list.folder[0].name);
    if (!status_failed(&status)) status = checkpoint_verify(path);
    bool good = status.code != RAM_DATA;
    Status verified = status_ok();
    for (int i = 1; i < list.count && !good; i++) {
        verified = atomic_file_join(older, folder, list.folder[i].name);
        if (!status_failed(&verified)) verified = checkpoint_verify(older);
        good = verified.code != RAM_DATA;
    }
    free(list.folder);
    if (status.code != RAM_DATA) return status;
    if (good) TRY(verified); /* not to be judged now: no memory, or no permission */
    return status_error(RAM_DATA, "%.300s; %s%.150s", status.message,
                        good ? "the newest good one is " : "no older one is good in ", good ? older : folder);
}

Status inspect_find(const char *asked, char path[FILE_PATH], bool *is_trace) {
    char checkpoints[FILE_PATH];
    const bool is_folder = atomic_file_is_folder(asked);
    *is_trace = false;
    if (access(asked, F_OK) != 0)
        return status_error(RAM_DATA, "there is no checkpoint, trace or run %.400s; give the path of one", asked);
    if (is_folder && snprintf(path, FILE_PATH, "%s", asked) >= FILE_PATH)
        return status_error(RAM_USAGE, "the path %.300s... is too long", asked);
    if (!is_folder) TRY(atomic_file_parent(asked, path));
    TRY(step_folder_follow(path));
    if (manifest_exists(path)) {
        *is_trace = manifest_claims(path, MANIFEST_TRACE);
        return status_ok();
    }
    if (!is_folder)
        return status_error(RAM_DATA, "%.400s is no file of a checkpoint or a trace: no MANIFEST lies beside it",
                            asked);
    TRY(atomic_file_join(checkpoints, path, "checkpoints"));
    if (!atomic_file_is_folder(checkpoints)) memcpy(checkpoints, path, sizeof checkpoints);
    return find_newest(checkpoints, path);
}
