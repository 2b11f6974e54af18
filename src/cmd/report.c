#include "base/log.h"
#include "base/memory.h"
#include "cmd/arguments.h"
#include "cmd/commands.h"
#include "cmd/option_values.h"
#include "mpi/launch.h"
#include "view/report.h"

#include <stdlib.h>
#include <string.h>

enum { OPTION_OUTPUT = OWN_OPTION, OPTION_IMAGES };

typedef struct {
    const char *output;
    int images;
    int64_t image[DIGITS_MOST];
} Wanted;

static const struct argp_option OWN_OPTIONS[] = {
    {"output", OPTION_OUTPUT, "FILE", 0,
     "Where to write the page, FILE.html (default: report.html in the first run's folder)", 0},
    {"images", OPTION_IMAGES, "N,N,...", 0, "Samples of the trace to show (default: the first twelve)", 0},
    {0},
};

static Status take(void *input, int key, const char *value) {
    Wanted *wanted = input;
    if (key == OPTION_IMAGES) return option_take_images(value, DIGITS_MOST, &wanted->images, wanted->image);
    TRY(option_take_path("output", value, &wanted->output));
    const char *ending = strrchr(value, '.');
    if (!ending || (strcmp(ending, ".html") != 0 && strcmp(ending, ".htm") != 0)) /* metrics.jsonl would be replaced */
        return status_error(RAM_USAGE, "--output is '%.300s', which does not end in .html", value);
    return status_ok();
}

static Status write_page(const Arguments *arguments, const Wanted *wanted, const Run *run) {
    ReportPlan plan = {.runs = arguments->operand_count,
                       .run = run,
                       .data_directory = arguments->config.data_dir,
                       .data_prefix = arguments->config.data_prefix,
                       .data_fallback = launch_data_directory(),
                       .images = wanted->images};
    char standard[FILE_PATH], *text = NULL;
    size_t bytes;
    memcpy(plan.image, wanted->image, sizeof plan.image);
    TRY(atomic_file_join(standard, run[0].path, "report.html"));
    const char *output = wanted->output ? wanted->output : standard;
    Status status = report_make(&plan, &text, &bytes);
    if (!status_failed(&status)) status = atomic_file_write(output, text, bytes);
    free(text);
    if (!status_failed(&status)) log_info("report: %s", output);
    return status;
}

static Status read_runs(const Arguments *arguments, Run *run) {
    for (int i = 0; i < arguments->operand_count; i++) {
        TRY(run_open(arguments->operands[i], &run[i]));
        TRY(run_read_traces(&run[i]));
    }
    run_tell_apart(arguments->operand_count, run);
    return status_ok();
}

static Status report(Arguments *arguments, const Wanted *wanted) {
    arguments_default_to_run(arguments);
    if (arguments->operand_count == 0)
        return status_error(RAM_USAGE, "report needs the folder of a run: ram_dist report RUN...");
    Run *run = memory_new((size_t)arguments->operand_count, sizeof *run);
    Status status = read_runs(arguments, run);
    if (!status_failed(&status)) status = write_page(arguments, wanted, run);
    for (int i = 0; i < arguments->operand_count; i++) run_close(&run[i]);
    free(run);
    return status;
}

int command_report(int argc, char **argv) {
    Wanted wanted = {.output = NULL};
    Arguments arguments;
    const ArgumentsSpec spec = {
        .command = "report",
        .summary = "Makes one HTML page of a run, or of several side by side, from metrics.jsonl and the traces, also "
                   "while it trains. Pictures need the data set (--set data.dir=DIR where it has moved).",
        .operand = "RUN",
        .most_operands = CURVES_RUNS,
        .own = OWN_OPTIONS,
        .take = take,
        .input = &wanted,
    };
    Status status = arguments_parse(&arguments, &spec, argc, argv);
    if (!status_failed(&status) && !arguments.help && log_is_first()) status = report(&arguments, &wanted);
    if (status_failed(&status)) log_error(&status);
    return (int)status.code;
}
