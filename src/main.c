#include "base/log.h"
#include "base/version.h"
#include "cmd/commands.h"
#include "cmd/manual.h"
#include "cmd/session.h"
#include "config/nearest.h"
#include "config/text.h"

#include <stdio.h>
#include <string.h>

typedef int Run(int argc, char **argv);

static const struct {
    const char *name;
    Run *run;
    const char *summary;
} commands[] = {
    {"train", command_train, "train a model (what `ram_dist` does without a command)"},
    {"eval", command_eval, "measure a trained model"},
    {"trace", command_trace, "record where a trained model looks, glimpse by glimpse"},
    {"report", command_report, "make one HTML page of a run: curves, mistakes, where it looks"},
    {"plot", command_plot, "draw one picture of a run or a trace: PNG, GIF or SVG"},
    {"watch", command_watch, "show a running job's curves and last figures in the terminal"},
    {"inspect", command_inspect, "show what a checkpoint is"},
    {"data", command_data, "write the pictures that a task shows, for others to look at"},
    {"import", command_import, "take a model from PyTorch or Paddle (safetensors)"},
    {"export", command_export, "give a model to other programs (safetensors, HDF5)"},
    {"bench", command_bench, "measure how fast this build is here"},
    {"doctor", command_doctor, "judge whether a training would start here, and how well it would run"},
    {"config", command_config, "list all keys of the configuration, or print resolved values"},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static int print_help(void) {
    if (!log_is_first()) return RAM_OK;
    puts("Usage: ram_dist [COMMAND] [OPTION...]\n"
         "Trains the Recurrent Attention Model on any number of ranks.\n");
    for (int i = 0; i < COMMANDS; i++) printf("  %-10s %s\n", commands[i].name, commands[i].summary);
    puts("\n`ram_dist COMMAND --help` lists the options of a command, `ram_dist --version` says what this build is,\n"
         "`--man` and `--completion` print its manual page and its completion for bash.");
    return RAM_OK;
}

static int print_version(void) {
    if (!log_is_first()) return RAM_OK;
    printf("ram_dist %s (revision %s, %s)\n", version_number(), version_revision(), version_compiler());
    return RAM_OK;
}

/* From the tables of commands, options and keys; CMake writes both into files to install. */
static int print_manual(ManualForm form) {
    char option[64], names[256] = "";
    if (!log_is_first()) return RAM_OK;
    snprintf(option, sizeof option, "--%s=%s", MANUAL_OPTION, form == MANUAL_PAGE ? "page" : "completion");
    manual_begin(form);
    for (int i = 0; i < COMMANDS; i++) {
        char *ask[] = {"ram_dist", option, NULL};
        commands[i].run(2, ask);
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? " " : "", commands[i].name);
    }
    manual_end(form, names);
    return RAM_OK;
}

static Run *find_command(const char *name) {
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0) return commands[i].run;
    Nearest nearest = nearest_begin(name);
    for (int i = 0; i < COMMANDS; i++) nearest_offer(&nearest, commands[i].name);
    Status status = status_error(RAM_USAGE, "unknown command '%s'%s `ram_dist --help` lists the commands",
                                 text_excerpt(name).text, nearest.name ? nearest_hint(&nearest).text : ";");
    log_error(&status);
    return NULL;
}

static int run(int argc, char **argv, bool *trains) {
    const char *first = argc > 1 ? argv[1] : "";
    if (strcmp(first, "--version") == 0) return print_version();
    if (strcmp(first, "--man") == 0) return print_manual(MANUAL_PAGE);
    if (strcmp(first, "--completion") == 0) return print_manual(MANUAL_COMPLETION);
    bool help = strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0 || strcmp(first, "help") == 0;
    if (help && (argc == 2 || argv[2][0] == '-')) return print_help();
    const bool named = argc > 1 && *first != '-';
    Run *command = help ? find_command(argv[2]) : named ? find_command(first) : command_train;
    if (!command) return RAM_USAGE;
    *trains = command == command_train;
    char *ask_help[] = {argv[0], "--help", NULL};
    if (help) return command(2, ask_help);
    return named ? command(argc - 1, argv + 1) : command(argc, argv);
}

int main(int argc, char **argv) {
    bool trains = false;
    session_begin();
    const int code = run(argc, argv, &trains);
    if (code != RAM_OK || trains) return code; /* a training's results lie in its folder */
    if (fflush(stdout) == 0 && !ferror(stdout)) return RAM_OK;
    const Status lost = status_error(RAM_IO, "cannot write all of the result to the standard output");
    log_error(&lost);
    return RAM_IO;
}
