#include "cmd/arguments.h"
#include "base/log.h"
#include "base/memory.h"
#include "cmd/manual.h"
#include "config/nearest.h"
#include "config/text.h"
#include "mpi/launch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPTION_CONFIG = 256,
    OPTION_SET,
    OPTION_RUN_DIR,
    OPTION_DEVICE,
    OPTION_COMM,
    OPTION_NP,
    OPTION_RESUME,
    OPTION_RESTARTS,
    OPTION_HELP
};
enum { MOST_OPTIONS = 32 };

static const struct {
    struct argp_option option;
    unsigned needs; /* what the command must take for this option to exist */
} shared_options[] = {
    {{"config", OPTION_CONFIG, "FILE", 0, "Read the configuration from this YAML file", 0}, 0},
    {{"set", OPTION_SET, "KEY=VALUE", 0, "Set one key, as often as needed; `ram_dist config` lists all keys", 0}, 0},
    {{"run-dir", OPTION_RUN_DIR, "DIR", 0, "Folder of the run: the same as --set run.dir=DIR", 0}, 0},
    {{"device", OPTION_DEVICE, "auto|cpu|cuda", 0, "Where to compute: the same as --set device=...", 0}, TAKES_DEVICE},
    {{"comm", OPTION_COMM, "auto|mpi|nccl|self", 0, "How ranks talk: the same as --set comm.backend=...", 0},
     TAKES_DEVICE},
    {{"np", OPTION_NP, "N", 0, "Start N ranks on this machine; not under mpirun or srun, which set the number", 0},
     TAKES_NP},
    {{"resume", OPTION_RESUME, "auto|latest|best|PATH", 0,
      "Go on from a checkpoint; auto starts afresh when there is none", 0},
     TAKES_RESUME},
    {{"max-restarts", OPTION_RESTARTS, "K", 0,
      "With --np: when a rank dies or hangs, start all again from the newest checkpoint, at most K times without "
      "progress",
      0},
     TAKES_NP | TAKES_RESUME},
    {{"help", OPTION_HELP, NULL, 0, "Print this help", 0}, 0},
    {{MANUAL_OPTION, MANUAL_KEY, "page|completion", OPTION_HIDDEN, "Print the options as part of the manual", 0}, 0},
};

/* Flags and --set wait until the file has been read, wherever --config stands. */
typedef struct {
    int option;
    const char *text;
} Override;

typedef struct {
    const ArgumentsSpec *spec;
    Arguments *arguments;
    struct argp_option options[MOST_OPTIONS]; /* all that the command takes, ended by {0} */
    Override *override;
    ManualForm manual;
    Status status; /* the first thing that is wrong */
} Parse;

static Status take_np(Arguments *arguments, const char *text) {
    int64_t np;
    if (!text_parse_int(text, &np) || np < 1 || np > LAUNCH_NP_MOST)
        return status_error(RAM_USAGE, "--np is '%s', not a number of ranks; give 1 to %d", text_excerpt(text).text,
                            LAUNCH_NP_MOST);
    arguments->np = (int)np;
    return status_ok();
}

static Status take_restarts(Arguments *arguments, const char *text) {
    int64_t restarts;
    if (!text_parse_int(text, &restarts) || restarts < 0 || restarts > MOST_RESTARTS)
        return status_error(RAM_USAGE, "--max-restarts is '%s', not a number of restarts; give 0 to %d",
                            text_excerpt(text).text, MOST_RESTARTS);
    arguments->max_restarts = (int)restarts;
    return status_ok();
}

static Status take_operand(Parse *parse, const char *text) {
    const char *command = parse->spec->command;
    if (!parse->spec->operand)
        return status_error(RAM_USAGE, "unexpected argument '%s'; `ram_dist %s --help` shows what %s takes",
                            text_excerpt(text).text, command, command);
    Arguments *arguments = parse->arguments;
    const int most = parse->spec->most_operands ? parse->spec->most_operands : 1;
    if (arguments->operand_count == most && most > 1)
        return status_error(RAM_USAGE, "more than %d of %s are given, '%s' for one; leave some out", most,
                            parse->spec->operand, text_excerpt(text).text);
    if (arguments->operand_count == most)
        return status_error(RAM_USAGE, "a second %s '%s' after '%s'; give one", parse->spec->operand,
                            text_excerpt(text).text, text_excerpt(arguments->operand).text);
    if (!arguments->operand) arguments->operand = text;
    arguments->operands[arguments->operand_count++] = text;
    return status_ok();
}

static Status take_config(Arguments *arguments, const char *path) {
    if (arguments->config_path)
        return status_error(RAM_USAGE, "--config is given twice, '%s' and '%s'; give one, and --set for what differs",
                            text_excerpt(arguments->config_path).text, text_excerpt(path).text);
    arguments->config_path = path;
    return status_ok();
}

static Status take_option(Parse *parse, int key, const char *text) {
    Arguments *arguments = parse->arguments;
    switch (key) {
    case OPTION_CONFIG:
        return take_config(arguments, text);
    case OPTION_SET:
    case OPTION_RUN_DIR:
    case OPTION_DEVICE:
    case OPTION_COMM:
        parse->override[arguments->overrides++] = (Override){.option = key, .text = text};
        return status_ok();
    case OPTION_NP:
        return take_np(arguments, text);
    case OPTION_RESUME:
        arguments->resume = text;
        return status_ok();
    case OPTION_RESTARTS:
        return take_restarts(arguments, text);
    case ARGP_KEY_ARG:
        return take_operand(parse, text);
    default:
        return parse->spec->take(parse->spec->input, key, text);
    }
}

/* getopt refused `word` and, asked to be silent, does not say why. */
static Status explain_refusal(const Parse *parse, const char *word) {
    const char *command = parse->spec->command, *name = word + strspn(word, "-");
    size_t length = strcspn(name, "=");
    char wanted[TEXT_EXCERPT];
    snprintf(wanted, sizeof wanted, "%.*s", (int)length, name);
    Nearest nearest = nearest_begin(wanted);
    int matches = 0;
    const struct argp_option *match = NULL;
    for (const struct argp_option *option = parse->options; option->name; option++) {
        if (!(option->flags & OPTION_HIDDEN)) nearest_offer(&nearest, option->name);
        if (strncmp(option->name, name, length) != 0) continue;
        matches++;
        match = option;
        if (option->name[length] == '\0') { /* the whole name wins over longer ones */
            matches = 1;
            break;
        }
    }
    if (matches > 1)
        return status_error(RAM_USAGE, "option '%s' is ambiguous; `ram_dist %s --help` lists the options",
                            text_excerpt(word).text, command);
    if (match && match->arg)
        return status_error(RAM_USAGE, "option --%s lacks its value; write --%s %s", match->name, match->name,
                            match->arg);
    if (match) return status_error(RAM_USAGE, "option --%s takes no value; write --%s", match->name, match->name);
    return status_error(RAM_USAGE, "unknown option '%s'; %s%s%s`ram_dist %s --help` lists the options",
                        text_excerpt(word).text, nearest.name ? "did you mean '--" : "",
                        nearest.name ? nearest.name : "", nearest.name ? "'? " : "", command);
}

static error_t parse_key(int key, char *text, struct argp_state *state) {
    Parse *parse = state->input;
    switch (key) {
    case MANUAL_KEY:
        parse->manual = strcmp(text, "page") == 0 ? MANUAL_PAGE : MANUAL_COMPLETION;
        parse->arguments->help = true;
        return ECANCELED;
    case OPTION_HELP:
        parse->arguments->help = true;
        return ECANCELED;
    case ARGP_KEY_ERROR:
        if (!status_failed(&parse->status) && !parse->arguments->help)
            parse->status = explain_refusal(parse, state->argv[state->next - 1]);
        return 0;
    case ARGP_KEY_ARG:
        break;
    default:
        if (key < OPTION_CONFIG || key >= ARGP_KEY_END) return ARGP_ERR_UNKNOWN; /* argp's own events */
    }
    parse->status = take_option(parse, key, text);
    return status_failed(&parse->status) ? EINVAL : 0;
}

static void collect_options(Parse *parse) {
    int count = 0;
    for (size_t i = 0; i < sizeof shared_options / sizeof *shared_options; i++)
        if ((shared_options[i].needs & ~parse->spec->takes) == 0) parse->options[count++] = shared_options[i].option;
    for (const struct argp_option *own = parse->spec->own; own && own->name; own++) {
        require(count < MOST_OPTIONS - 1 && own->key >= OWN_OPTION);
        parse->options[count++] = *own;
    }
}

static Status print_help(const Parse *parse, const struct argp *argp) {
    if (!log_is_first()) return status_ok();
    if (parse->manual != MANUAL_NONE) {
        manual_command(parse->manual, parse->spec, parse->options);
        return status_ok();
    }
    char name[64];
    snprintf(name, sizeof name, "ram_dist %s", parse->spec->command);
    argp_help(argp, stdout, ARGP_HELP_SHORT_USAGE | ARGP_HELP_DOC | ARGP_HELP_LONG, name);
    if (fflush(stdout) == 0 && !ferror(stdout)) return status_ok();
    return status_error(RAM_IO, "cannot write all of the help to the standard output");
}

/* `assignment` was accepted, so its key is one of the table. */
static void note_given(Arguments *arguments, const char *assignment) {
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(assignment, "="), assignment);
    const int key = config_find_key(name);
    require(key >= 0);
    arguments->given[key] = arguments->set[key] = true;
}

/* Defaults, then the file, then the line as it stands. */
static Status resolve(Parse *parse) {
    Arguments *arguments = parse->arguments;
    config_default(&arguments->config);
    if (parse->spec->base) arguments->config = *parse->spec->base;
    if (arguments->config_path) TRY(config_read_given(&arguments->config, arguments->config_path, arguments->given));
    for (int i = 0; i < arguments->overrides; i++) {
        const char *text = parse->override[i].text;
        switch (parse->override[i].option) {
        case OPTION_SET:
            TRY(config_set(&arguments->config, text));
            note_given(arguments, text);
            break;
        case OPTION_RUN_DIR:
            TRY(config_set_value(&arguments->config, "run.dir", text, "--run-dir"));
            break;
        case OPTION_DEVICE:
            TRY(config_set_value(&arguments->config, "device", text, "--device"));
            break;
        case OPTION_COMM:
            TRY(config_set_value(&arguments->config, "comm.backend", text, "--comm"));
            break;
        }
    }
    config_name(arguments->config_path, arguments->name, sizeof arguments->name);
    return config_check(&arguments->config);
}

Status arguments_parse(Arguments *arguments, const ArgumentsSpec *spec, int argc, char **argv) {
    *arguments = (Arguments){.np = 0, .may_stop = (spec->takes & TAKES_RESUME) != 0};
    require(spec->most_operands <= MOST_OPERANDS);
    Parse parse = {.spec = spec, .arguments = arguments, .override = memory_new((size_t)argc, sizeof(Override))};
    collect_options(&parse);
    char operand[64] = "";
    if (spec->operand) snprintf(operand, sizeof operand, "[%s]%s", spec->operand, spec->most_operands ? "..." : "");
    char text[1024];
    snprintf(text, sizeof text, "%s\vKeys of the configuration and their defaults: `ram_dist config`.", spec->summary);
    struct argp argp = {.options = parse.options, .parser = parse_key, .args_doc = operand, .doc = text};
    /* long options with one dash as well, since mpirun's is -np */
    error_t failure =
        argp_parse(&argp, argc, argv, ARGP_NO_EXIT | ARGP_NO_ERRS | ARGP_NO_HELP | ARGP_LONG_ONLY, NULL, &parse);
    if (failure == ENOMEM) fatal("out of memory while reading the arguments");
    if (arguments->help)
        parse.status = print_help(&parse, &argp);
    else if (!status_failed(&parse.status))
        parse.status = resolve(&parse);
    free(parse.override);
    return parse.status;
}

void arguments_default_to_run(Arguments *arguments) {
    if (arguments->operand || !*arguments->config.run_dir) return;
    arguments->operand = arguments->operands[0] = arguments->config.run_dir;
    arguments->operand_count = 1;
}

Status arguments_run_path(const Arguments *arguments, char path[FILE_PATH]) {
    if (!*arguments->config.run_dir) return atomic_file_join(path, "logs", arguments->name);
    snprintf(path, FILE_PATH, "%s", arguments->config.run_dir);
    return status_ok();
}
