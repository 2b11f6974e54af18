#include "base/log.h"
#include "cmd/arguments.h"
#include "cmd/commands.h"

enum { OPTION_RESOLVED = OWN_OPTION, OPTION_CHANGED };

typedef struct {
    bool resolved, only_changed;
} Wanted;

static const struct argp_option own_options[] = {
    {"resolved", OPTION_RESOLVED, NULL, 0, "Print the value of every key, as YAML; --config and --set imply it", 0},
    {"changed", OPTION_CHANGED, NULL, 0, "Print only the values that differ from the defaults, as YAML", 0},
    {0},
};

static Status take(void *input, int key, const char *value) {
    (void)value;
    Wanted *wanted = input;
    wanted->resolved = true;
    if (key == OPTION_CHANGED) wanted->only_changed = true;
    return status_ok();
}

static void print(const Arguments *arguments, const Wanted *wanted) {
    if (!log_is_first()) return;
    if (wanted->resolved || arguments->config_path || arguments->overrides > 0)
        config_write_yaml(&arguments->config, stdout, wanted->only_changed);
    else
        config_print_keys(stdout);
}

int command_config(int argc, char **argv) {
    Wanted wanted = {.resolved = false};
    Arguments arguments;
    ArgumentsSpec spec = {
        .command = "config",
        .summary = "Prints every key of the configuration with its default, its values and its meaning; or, with "
                   "options, the values that a run with the same options would use.",
        .takes = TAKES_DEVICE,
        .own = own_options,
        .take = take,
        .input = &wanted,
    };
    Status status = arguments_parse(&arguments, &spec, argc, argv);
    if (!status_failed(&status) && !arguments.help) print(&arguments, &wanted);
    if (status_failed(&status)) log_error(&status);
    return (int)status.code;
}
