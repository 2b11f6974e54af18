#include "cmd/manual.h"
#include "base/version.h"
#include "config/text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* --- the man page */

/* Text for roff: a hyphen is a minus, as it is typed, and nothing is taken for a request. */
static void put(const char *text) {
    fputs("\\&", stdout);
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\e", stdout);
        else if (*text == '-')
            fputs("\\-", stdout);
        else
            putchar(*text);
    }
}

static void put_item(const char *name, const char *value, const char *help) {
    fputs(".TP\n\\fB", stdout);
    put(name);
    fputs("\\fR", stdout);
    if (value) {
        fputs(" \\fI", stdout);
        put(value);
        fputs("\\fR", stdout);
    }
    putchar('\n');
    put(help);
    putchar('\n');
}

static void begin_page(void) {
    printf(".TH RAM_DIST 1 \"\" \"ram_dist %s\" \"User Commands\"\n", version_number());
    fputs(
        ".SH NAME\nram_dist \\- trains the Recurrent Attention Model on any number of ranks\n"
        ".SH SYNOPSIS\n\\fBram_dist\\fR [\\fICOMMAND\\fR] [\\fIOPTION\\fR]...\n.br\n"
        "\\fBmpirun \\-np\\fR \\fIN\\fR \\fBram_dist\\fR ...\n.br\n\\fBsrun \\-\\-mpi=pmix ram_dist\\fR ...\n"
        ".SH DESCRIPTION\n"
        "Without a command it trains. A run folder holds config.yaml, metrics.jsonl, run.log, checkpoints and traces; "
        "what was stopped or killed goes on with \\-\\-resume auto, on any number of ranks, to the same bits.\n"
        ".SH COMMANDS\n",
        stdout);
}

static void put_command(const ArgumentsSpec *spec, const struct argp_option *options) {
    printf(".SS \"ram_dist %s%s%s%s%s [OPTION...]\"\n", spec->command, spec->operand ? " [" : "",
           spec->operand ? spec->operand : "", spec->operand ? "]" : "", spec->most_operands > 1 ? "..." : "");
    put(spec->summary);
    putchar('\n');
    for (const struct argp_option *option = options; option->name; option++) {
        char name[64];
        if (option->flags & OPTION_HIDDEN) continue;
        snprintf(name, sizeof name, "--%s", option->name);
        put_item(name, option->arg, option->doc);
    }
}

static void put_keys(void) {
    Config standard;
    config_default(&standard);
    fputs(
        ".SH CONFIGURATION\n"
        "The keys of \\-\\-config files (YAML, nested or dotted) and of \\-\\-set, each with its values, its default, "
        "and when it may change on a run that goes on.\n",
        stdout);
    for (int key = 0; key < CONFIG_KEYS; key++) {
        static const char *const changes[] = {"free at any time", "between two epochs", "fixed"};
        const KeyInfo *info = config_key(key);
        char value[CONFIG_TEXT], values[CONFIG_VALUES], help[2 * CONFIG_TEXT];
        config_get_text(&standard, key, value, sizeof value);
        config_describe_values(info, values);
        snprintf(help, sizeof help, "%s (default %.200s; %s)", info->help, *value ? value : "empty",
                 changes[info->change]);
        put_item(info->name, values, help);
    }
}

static void end_page(void) {
    static const struct {
        ExitCode code;
        const char *meaning;
    } codes[] = {{RAM_OK, "done"},
                 {RAM_USAGE, "wrong arguments or configuration, or too little memory for them"},
                 {RAM_DATA, "bad data or checkpoint"},
                 {RAM_UNAVAILABLE, "a demanded device, library or peer is missing"},
                 {RAM_INTERNAL, "internal error"},
                 {RAM_IO, "reading or writing failed; the last checkpoint is intact"},
                 {RAM_STOPPED, "stopped early as asked, a checkpoint is saved: start again to go on"},
                 {RAM_NUMERIC, "a loss or a gradient is not finite, the ranks' weights differ, or a model is damaged"},
                 {RAM_TIMEOUT, "a rank stopped answering"}};
    put_keys();
    fputs(".SH EXIT STATUS\n", stdout);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        char code[16];
        snprintf(code, sizeof code, "%d", codes[i].code);
        put_item(code, NULL, codes[i].meaning);
    }
    fputs(".SH ENVIRONMENT\n", stdout);
    put_item("RAM_DATA", NULL, "folder of the IDX files where data.dir is empty");
}

/* --- bash's completion */

/* The words of "auto|latest|best|PATH" that are typed as they stand: placeholders are capitals. */
static void put_words(const char *choices) {
    char word[64];
    for (size_t length; *choices; choices += length + (choices[length] == '|')) {
        length = strcspn(choices, "|");
        snprintf(word, sizeof word, "%.*s", (int)length, choices);
        if (islower((unsigned char)*word)) printf(" %s", word);
    }
}

static void put_choices(const struct argp_option *options) {
    for (const struct argp_option *option = options; option->name; option++) {
        if (option->flags & OPTION_HIDDEN || !option->arg || !strchr(option->arg, '|')) continue;
        printf("    '%s')", option->name);
        fputs(" echo", stdout);
        put_words(option->arg);
        puts(" ;;");
    }
}

/* A function per command: the options, and after `values` those of one option. */
static void put_options(const ArgumentsSpec *spec, const struct argp_option *options) {
    printf("_ram_dist_%s() {\n    case $1 in\n    '') echo", spec->command);
    for (const struct argp_option *option = options; option->name; option++)
        if (!(option->flags & OPTION_HIDDEN)) printf(" --%s", option->name);
    puts(" ;;");
    put_choices(options);
    puts("    esac\n}");
}

static void put_key_words(void) {
    fputs("_ram_dist_keys() {\n    case $1 in\n    '') echo", stdout);
    for (int key = 0; key < CONFIG_KEYS; key++) printf(" %s=", config_key(key)->name);
    puts(" ;;");
    for (int key = 0; key < CONFIG_KEYS; key++) {
        const KeyInfo *info = config_key(key);
        if (info->type == KEY_CHOICE)
            printf("    '%s') echo %s ;;\n", info->name, info->choices);
        else if (info->may_be_auto)
            printf("    '%s') echo auto ;;\n", info->name);
    }
    puts("    esac\n}");
}

static void end_completion(const char *commands) {
    put_key_words();
    printf("_ram_dist() {\n"
           "    local commands='%s' command=train words='' value=''\n",
           commands);
    fputs("    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
          "    [[ \" $commands \" != *\" ${COMP_WORDS[1]} \"* ]] || command=${COMP_WORDS[1]}\n"
          "    # bash cuts words at `=`\n"
          "    if [ \"$word\" = = ]; then\n"
          "        value=$before word=''\n"
          "    elif [ \"$before\" = = ]; then\n"
          "        value=${COMP_WORDS[COMP_CWORD - 2]}\n"
          "    fi\n"
          "    COMPREPLY=()\n"
          "    before=${value:-$before}\n"
          "    case $before in\n"
          "    --config)\n"
          "        compopt -o filenames 2>/dev/null\n"
          "        mapfile -t COMPREPLY < <(compgen -f -X '!*.y*ml' -- \"$word\"; compgen -d -- \"$word\")\n"
          "        return ;;\n"
          "    --set)\n"
          "        compopt -o nospace 2>/dev/null\n"
          "        words=$(_ram_dist_keys '') ;;\n"
          "    --*) words=$(\"_ram_dist_$command\" \"${before#--}\") ;;\n"
          "    *) [ -z \"$value\" ] || words=$(_ram_dist_keys \"$value\") ;;\n"
          "    esac\n"
          "    if [ -z \"$words\" ] && [[ $word == -* ]]; then words=$(\"_ram_dist_$command\" ''); fi\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then words=\"$words $commands --version --man --completion\"; fi\n"
          "    [ -z \"$words\" ] || mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
          "    if [ -z \"$words\" ] || { [ \"$before\" = --resume ] && [ ${#COMPREPLY[@]} -eq 0 ]; }; then\n"
          "        compopt -o filenames 2>/dev/null\n"
          "        mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
          "    fi\n"
          "}\n"
          "complete -F _ram_dist ram_dist\n",
          stdout);
}

void manual_begin(ManualForm form) {
    if (form == MANUAL_PAGE)
        begin_page();
    else
        puts("# bash completion of ram_dist, written by `ram_dist --completion`");
}

void manual_command(ManualForm form, const ArgumentsSpec *spec, const struct argp_option *options) {
    if (form == MANUAL_PAGE)
        put_command(spec, options);
    else
        put_options(spec, options);
}

void manual_end(ManualForm form, const char *commands) {
    if (form == MANUAL_PAGE)
        end_page();
    else
        end_completion(commands);
}
