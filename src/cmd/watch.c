#include "base/log.h"
#include "cmd/arguments.h"
#include "cmd/commands.h"
#include "view/terminal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { OPTION_ONCE = OWN_OPTION, COLUMNS = 80, LINES = 1000 /* all that there is */, SECONDS = 2 };

static const struct argp_option OWN_OPTIONS[] = {
    {"once", OPTION_ONCE, NULL, 0, "Print the figures and end; so it is where the output is no terminal", 0},
    {0},
};

static Status take(void *input, int key, const char *value) {
    (void)key, (void)value;
    *(bool *)input = true;
    return status_ok();
}

/* What there is no terminal for, or a terminal does not tell, is the standard. */
static struct winsize find_size(bool screen) {
    struct winsize size = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) size.ws_col = COLUMNS;
    if (!screen || size.ws_row == 0) size.ws_row = LINES;
    return size;
}

/* Shows the run as it is now. `screen`: in place of what is there. */
static Status show(const char *path, bool screen, bool *finished) {
    Run run;
    const struct winsize size = find_size(screen);
    TRY(run_open(path, &run));
    if (screen) fputs("\033[H\033[2J", stdout);
    terminal_show(stdout, &run, size.ws_col, size.ws_row);
    *finished = run_is_finished(&run);
    run_close(&run);
    if (fflush(stdout) == 0 && !ferror(stdout)) return status_ok();
    return status_error(RAM_IO, "cannot write to the standard output: %s", strerror(errno));
}

static Status watch(Arguments *arguments, bool once) {
    const bool screen = !once && log_is_terminal();
    bool finished = false;
    arguments_default_to_run(arguments);
    if (!arguments->operand) return status_error(RAM_USAGE, "watch needs the folder of a run: ram_dist watch RUN");
    TRY(show(arguments->operand, screen, &finished));
    while (screen && !finished) {
        sleep(SECONDS);
        TRY(show(arguments->operand, true, &finished));
    }
    return status_ok();
}

int command_watch(int argc, char **argv) {
    bool once = false;
    Arguments arguments;
    const ArgumentsSpec spec = {
        .command = "watch",
        .summary =
            "Shows the curves and the last figures of a run in the terminal, again every two seconds until the "
            "run is finished; one that was stopped goes on being shown, with the age of its last record. It reads "
            "metrics.jsonl alone, so the run may be on another machine.",
        .operand = "RUN",
        .own = OWN_OPTIONS,
        .take = take,
        .input = &once,
    };
    Status status = arguments_parse(&arguments, &spec, argc, argv);
    if (!status_failed(&status) && !arguments.help && log_is_first()) status = watch(&arguments, once);
    if (status_failed(&status)) log_error(&status);
    return (int)status.code;
}
