#include "base/log.h"
#include "cmd/commands.h"
#include "cmd/session.h"
#include "store/inspect.h"
#include "train/saved_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const ArgumentsSpec SPEC = {
    .command = "inspect",
    .summary = "Prints what a checkpoint is: its state, parameters, configuration and origin. A damaged one ends with "
               "exit code 65. Of a run folder it takes the latest.",
    .operand = "RUN|CHECKPOINT",
};

static void print_state(const Checkpoint *checkpoint, const SavedState *state) {
    printf("step               %lld\n", (long long)checkpoint_step(checkpoint));
    printf("epoch              %lld, at batch %lld\n", (long long)state->epoch, (long long)state->batch);
    if (state->best_epoch > 0)
        printf("best validation    %.2f %% error, epoch %lld (step %lld)\n", state->schedule.best_error,
               (long long)state->best_epoch, (long long)state->best_step);
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

static Status print_provenance(const Checkpoint *checkpoint) {
    static const char GROUP[] = "provenance/";
    InspectScalar *scalar;
    int scalars;
    TRY(inspect_scalars(checkpoint, &scalars, &scalar));
    printf("\nprovenance\n");
    for (int i = 0; i < scalars; i++)
        if (strncmp(scalar[i].name, GROUP, sizeof GROUP - 1) == 0 && *scalar[i].text)
            printf("  %-26s %s\n", scalar[i].name + sizeof GROUP - 1, scalar[i].text);
    free(scalar);
    return status_ok();
}

static Status print_all(const Checkpoint *checkpoint, const char *path) {
    SavedState state;
    Config config;
    TRY(saved_state_read(checkpoint, &state));
    TRY(saved_state_read_config(checkpoint, &config));
    printf("checkpoint         %s\n", path);
    printf("verification       MANIFEST and all hashes are right\n");
    print_state(checkpoint, &state);
    TRY(print_fields(checkpoint));
    print_changes(&config);
    TRY(print_provenance(checkpoint));
    if (fflush(stdout) != 0) return status_error(RAM_IO, "cannot write to the standard output");
    return status_ok();
}

static Status inspect(const Arguments *arguments) {
    Checkpoint *checkpoint = NULL;
    char path[FILE_PATH];
    if (!arguments->operand)
        return status_error(RAM_USAGE, "inspect needs a checkpoint or a run folder: ram_dist inspect RUN|CHECKPOINT");
    Comm *comm = comm_self_new();
    Status status = checkpoint_find(comm, "", arguments->operand, path);
    if (!status_failed(&status)) status = checkpoint_open(comm, path, &checkpoint);
    if (!status_failed(&status)) status = print_all(checkpoint, path);
    checkpoint_close(checkpoint);
    comm_free(comm);
    return status;
}

int command_inspect(int argc, char **argv) {
    Arguments arguments;
    Status status = arguments_parse(&arguments, &SPEC, argc, argv);
    if (!status_failed(&status) && !arguments.help) status = inspect(&arguments);
    if (status_failed(&status)) log_error(&status);
    return (int)status.code;
}
