/* Arguments: what the command line of a subcommand says. Owns the options that several commands share and the order in
 * which values win (defaults, then --config, then flags and --set as they stand). Must not know what a command does,
 * and prints nothing but --help. Nothing here is collective: every rank parses the same line alone. */
#ifndef RAM_CMD_ARGUMENTS_H
#define RAM_CMD_ARGUMENTS_H

#include "base/atomic_file.h"
#include "config/config.h"

#include <argp.h>
#include <stdbool.h>

enum { MOST_RESTARTS = 1000000, MOST_OPERANDS = 8 };

typedef struct {
    Config config;                       /* resolved and checked */
    char name[CONFIG_TEXT];              /* of the run, when run.dir does not say: the stem of --config, or "default" */
    const char *config_path;             /* --config; NULL: not given */
    const char *resume;                  /* --resume; NULL: not given */
    const char *operand;                 /* the first argument that is no option; NULL: not given */
    const char *operands[MOST_OPERANDS]; /* all of them */
    int operand_count;
    int np;                  /* --np, 1 to LAUNCH_NP_MOST; 0: not given */
    int max_restarts;        /* --max-restarts; 0: not given */
    bool may_stop;           /* the command obeys a request to stop: what TAKES_RESUME says */
    int overrides;           /* how many --set and flags stand on the line */
    bool given[CONFIG_KEYS]; /* by --config or --set */
    bool set[CONFIG_KEYS];   /* by --set */
    bool help;               /* --help was asked for and printed: nothing is left to do, all else is unset */
} Arguments;

/* Options beside --config, --set, --run-dir and --help, which every command takes. TAKES_DEVICE: --device and --comm.
 */
enum { TAKES_NP = 1, TAKES_RESUME = 2, TAKES_DEVICE = 4 };

/* What a command takes. Options of its own have keys from OWN_OPTION up and end with {0}; `take` gets each as it is
 * met, `value` being NULL for one without an argument. */
enum { OWN_OPTION = 1000 };
typedef struct {
    const char *command; /* "train" */
    const char *summary; /* one or two sentences for --help */
    const char *operand; /* its name in --help, e.g. "CHECKPOINT"; NULL: the command takes none */
    int most_operands;   /* 2 to MOST_OPERANDS; 0: one */
    unsigned takes;
    Status (*check)(const Arguments *, int ranks); /* what --np refuses before it starts ranks; NULL: nothing */
    const Config *base;                            /* what values start from; NULL: the defaults */
    const struct argp_option *own;                 /* NULL: none */
    Status (*take)(void *input, int key, const char *value);
    void *input;
} ArgumentsSpec;

/* What `ram_dist --man` and `--completion` ask of each command (cmd/manual.h). */
typedef enum { MANUAL_NONE, MANUAL_PAGE, MANUAL_COMPLETION } ManualForm;
#define MANUAL_OPTION "print-as" /* --print-as=page|completion: hidden, in place of --help */
enum { MANUAL_KEY = 999 };       /* its number, below those of a command's own options */

/* Parses argv[1] to argv[argc - 1] (which getopt may reorder; texts are borrowed from it), reads the configuration and
 * checks it. RAM_USAGE for anything wrong. */
Status arguments_parse(Arguments *arguments, const ArgumentsSpec *spec, int argc, char **argv);

/* Where no operand is given, run.dir takes its place if it is set: borrowed from the configuration. */
void arguments_default_to_run(Arguments *arguments);

/* The run folder: run.dir, or logs/<name>. RAM_USAGE. */
Status arguments_run_path(const Arguments *arguments, char path[FILE_PATH]);

#endif
