#include "base/log.h"
#include "cmd/commands.h"
#include "cmd/session.h"
#include "store/inspect.h"
#include "train/saved_state.h"
#include "view/recording.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const ArgumentsSpec SPEC = {
    .command = "inspect",
    .summary = "Prints what a checkpoint or a trace is: its state, parameters or dimensions, configuration and origin. "
               "A damaged one ends with exit code 65; so does a run folder whose newest checkpoint is damaged.",
    .operand = "RUN|CHECKPOINT|TRACE",
};

static void print_state(const Checkpoint *checkpoint, const SavedState *state, const Config *config) {
    printf("step               %lld\n", (long long)checkpoint_step(checkpoint));
    printf("epoch              %lld, at batch %lld\n", (long long)state->epoch, (long long)state->batch);
    if (state->best_epoch > 0)
        printf("best validation    %.2f %% error%s, epoch %lld (step %lld)\n", state->best_saved_error,
               config->eval_average > 1 ? ", averaged over epochs" : "", (long long)state->best_epoch,
               (long long)state->best_step);
    else
        printf("best validation    none yet\n");
    printf("shards             %d\n", checkpoint_shards(checkpoint));
}

static Status print_fields(const Checkpoint *checkpoint) {
    InspectField *field;
    int fields;
    TRY(inspect_fields(checkpoint, &fields, &field));
    printf("\n%-34s %14s %14s %12s %12s\n", "vector/field", "shape", "norm", "least", "most");
    for (int i = 0; i < fields; i++) {
        char name[2 * INSPECT_NAME], shape[48];
        snprintf(name, sizeof name, "%s/%s", field[i].group, field[i].name);
        if (field[i].columns > 0)
            snprintf(shape, sizeof shape, "%lld x %lld", (long long)field[i].rows, (long long)field[i].columns);
        else
            snprintf(shape, sizeof shape, "%lld", (long long)field[i].rows);
        printf("%-34s %14s %14.6g %12.4g %12.4g", name, shape, field[i].norm, (double)field[i].least,
               (double)field[i].most);
        if (field[i].not_finite > 0) printf("  %lld NOT FINITE", (long long)field[i].not_finite);
        putchar('\n');
    }
    free(field);
    return status_ok();
}

static void print_changes(const Config *config) {
    Config standard;
    config_default(&standard);
    printf("\nconfiguration, where it differs from the defaults\n");
    for (int key = -1; (key = config_next_difference(&standard, config, key)) >= 0;) {
        char text[CONFIG_TEXT], usual[CONFIG_TEXT];
        config_get_text(config, key, text, sizeof text);
        config_get_text(&standard, key, usual, sizeof usual);
        printf("  %-26s %s (default %s)\n", config_key(key)->name, *text ? text : "''", *usual ? usual : "''");
    }
}

/* The scalars of a group, "provenance/" for one. */
static void print_group(const char *group, const InspectScalars *facts, int width, const char *indent) {
    const size_t length = strlen(group);
    for (int i = 0; i < facts->count; i++) {
        const InspectScalar *fact = &facts->scalar[i];
        if (strncmp(fact->name, group, length) == 0 && *fact->text)
            printf("%s%-*s %s\n", indent, width, fact->name + length, fact->text);
    }
}

static void print_provenance(const InspectScalars *facts) {
    printf("\nprovenance\n");
    print_group("provenance/", facts, 26, "  ");
}

static void print_head(const char *kind, const char *path) {
    printf("%-18s %s\n", kind, path);
    printf("verification       MANIFEST and all hashes are right\n");
}

static Status print_checkpoint(const Checkpoint *checkpoint, const char *path) {
    SavedState state;
    Config config;
    InspectScalars facts;
    TRY(saved_state_read(checkpoint, &state));
    TRY(saved_state_read_config(checkpoint, &config));
    print_head("checkpoint", path);
    print_state(checkpoint, &state, &config);
    TRY(print_fields(checkpoint));
    print_changes(&config);
    TRY(inspect_scalars(checkpoint, &facts));
    print_provenance(&facts);
    free(facts.scalar);
    return status_ok();
}

static Status inspect_checkpoint(const char *path) {
    Checkpoint *checkpoint = NULL;
    Comm *comm = comm_self_new();
    Status status = checkpoint_open(comm, path, &checkpoint);
    if (!status_failed(&status)) status = print_checkpoint(checkpoint, path);
    checkpoint_close(checkpoint);
    comm_free(comm);
    return status;
}

static Status print_trace(const InspectTrace *trace, const char *path) {
    Config config;
    TRY(recording_config(&trace->scalars, &config));
    print_head("trace", path);
    print_group("trace/", &trace->scalars, 18, "");
    printf("images             %lld\n", (long long)trace->shape.samples);
    printf("roll-outs          %lld of %d glimpses each\n", (long long)trace->shape.rollouts, trace->shape.glimpses);
    printf("classes            %d\n", trace->shape.classes);
    printf("shards             %d\n", trace->shards);
    print_changes(&config);
    print_provenance(&trace->scalars);
    return status_ok();
}

static Status inspect_one_trace(const char *path) {
    InspectTrace trace;
    Status status = inspect_trace(path, &trace);
    if (!status_failed(&status)) status = print_trace(&trace, path);
    free(trace.scalars.scalar);
    return status;
}

static Status inspect(Arguments *arguments) {
    char path[FILE_PATH];
    bool is_trace;
    arguments_default_to_run(arguments);
    if (!arguments->operand)
        return status_error(RAM_USAGE, "inspect needs a path: ram_dist inspect RUN|CHECKPOINT|TRACE");
    TRY(inspect_find(arguments->operand, path, &is_trace));
    return is_trace ? inspect_one_trace(path) : inspect_checkpoint(path);
}

int command_inspect(int argc, char **argv) {
    Arguments arguments;
    Status status = arguments_parse(&arguments, &SPEC, argc, argv);
    if (!status_failed(&status) && !arguments.help && log_is_first()) status = inspect(&arguments);
    if (status_failed(&status)) log_error(&status);
    return (int)status.code;
}
