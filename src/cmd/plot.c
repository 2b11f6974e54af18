#include "base/log.h"
#include "cmd/arguments.h"
#include "cmd/commands.h"
#include "cmd/option_values.h"
#include "config/text.h"
#include "mpi/launch.h"
#include "store/inspect.h"
#include "view/cells.h"
#include "view/curves.h"
#include "view/digits.h"

#include <string.h>

enum { OPTION_OUTPUT = OWN_OPTION, OPTION_WHAT, OPTION_IMAGES, NINE = 9 };

static const char WHATS[] = "glimpses retina curves confusion heatmap";
typedef enum { WHAT_GLIMPSES, WHAT_RETINA, WHAT_CURVES, WHAT_CONFUSION, WHAT_HEATMAP } What;

typedef struct {
    const char *output, *what_text;
    int images;
    int64_t image[DIGITS_MOST];
} Wanted;

static const struct argp_option OWN_OPTIONS[] = {
    {"what", OPTION_WHAT, "glimpses|retina|curves|confusion|heatmap", 0, "Which picture", 0},
    {"output", OPTION_OUTPUT, "FILE", 0, "Where to write it: FILE.png, .gif (glimpses move) or .svg", 0},
    {"images", OPTION_IMAGES, "N,N,...", 0,
     "Samples of the trace to show, with glimpses and retina (default: the first nine; retina: the first)", 0},
    {0},
};

static Status take(void *input, int key, const char *value) {
    Wanted *wanted = input;
    switch (key) {
    case OPTION_IMAGES:
        return option_take_images(value, DIGITS_MOST, &wanted->images, wanted->image);
    case OPTION_WHAT:
        wanted->what_text = value;
        return status_ok();
    default:
        return option_take_path("output", value, &wanted->output);
    }
}

static Status plot_curves(const char *path, const char *output) {
    Run run;
    CurveSet set;
    TRY(run_open(path, &run));
    curves_make(1, &run, &set);
    const Figure figure = curves_figure(&set);
    const Status status = figure_save(&figure, output);
    curves_free(&set);
    run_close(&run);
    return status;
}

static Status plot_pictures(const Arguments *arguments, const Wanted *wanted, What what, const Recording *recording) {
    Gallery gallery;
    Digits digits = {.recording = recording, .gallery = &gallery};
    TRY(digits_choose(&digits, wanted->images, wanted->image, what == WHAT_RETINA ? 1 : NINE));
    TRY(gallery_open(&gallery, recording, arguments->config.data_dir, arguments->config.data_prefix,
                     launch_data_directory()));
    const Figure figure = what == WHAT_RETINA ? retina_figure(&digits) : digits_figure(&digits);
    const Status status = figure_save(&figure, wanted->output);
    gallery_close(&gallery);
    return status;
}

static Status plot_confusion(const Recording *recording, const char *output) {
    Confusion confusion = confusion_make(recording);
    const Figure figure = confusion_figure(&confusion);
    const Status status = figure_save(&figure, output);
    confusion_free(&confusion);
    return status;
}

static Status plot_heat(const Recording *recording, const char *output) {
    HeatMaps maps = heat_make(recording);
    const Figure figure = heat_figure(&maps);
    const Status status = figure_save(&figure, output);
    heat_free(&maps);
    return status;
}

static Status plot_recording(const Arguments *arguments, const Wanted *wanted, What what, const Recording *recording) {
    if (what == WHAT_CONFUSION) return plot_confusion(recording, wanted->output);
    if (what == WHAT_HEATMAP) return plot_heat(recording, wanted->output);
    return plot_pictures(arguments, wanted, what, recording);
}

/* The best trace of a run. */
static Status plot_run(const Arguments *arguments, const Wanted *wanted, What what) {
    char difference[1000];
    Run run;
    TRY(run_open(arguments->operand, &run));
    Status status = run_read_traces(&run);
    if (!status_failed(&status) && !run.has_recording)
        status = status_error(RAM_DATA, "there is no trace in %.400s: record one with `ram_dist trace RUN`", run.path);
    if (!status_failed(&status)) {
        run_tell_difference(&run, difference, sizeof difference);
        if (*difference) log_warning("%s: %s", recording_name(&run.recording), difference);
        status = plot_recording(arguments, wanted, what, &run.recording);
    }
    run_close(&run);
    return status;
}

static Status plot_trace(const Arguments *arguments, const Wanted *wanted, What what) {
    char path[FILE_PATH];
    bool is_trace;
    Recording recording;
    TRY(inspect_find(arguments->operand, path, &is_trace));
    if (what == WHAT_CURVES)
        return status_error(RAM_USAGE, "%.400s is no run, and curves are of a run: give its folder",
                            arguments->operand);
    if (!is_trace)
        return status_error(
            RAM_DATA, "%.400s is a checkpoint and no trace: record one with ram_dist trace, and give its folder", path);
    TRY(recording_open(path, &recording));
    const Status status = plot_recording(arguments, wanted, what, &recording);
    recording_close(&recording);
    return status;
}

static Status plot(Arguments *arguments, const Wanted *wanted) {
    arguments_default_to_run(arguments);
    if (!arguments->operand || !wanted->what_text || !wanted->output)
        return status_error(RAM_USAGE, "plot needs %s: ram_dist plot RUN|TRACE --what glimpses --output FILE.png",
                            !arguments->operand  ? "the path of a run or a trace"
                            : !wanted->what_text ? "--what"
                                                 : "--output");
    const int what = text_find_word(WHATS, wanted->what_text);
    if (what < 0)
        return status_error(RAM_USAGE, "--what is '%s': give one of %s", text_excerpt(wanted->what_text).text, WHATS);
    if (wanted->images && what != WHAT_GLIMPSES && what != WHAT_RETINA)
        return status_error(RAM_USAGE, "--images chooses digits, and --what %s shows none: leave --images out",
                            wanted->what_text);
    TRY(figure_check_path(wanted->output));
    if (!run_is(arguments->operand))
        TRY(plot_trace(arguments, wanted, (What)what));
    else if (what == WHAT_CURVES)
        TRY(plot_curves(arguments->operand, wanted->output));
    else
        TRY(plot_run(arguments, wanted, (What)what));
    log_info("picture: %s", wanted->output);
    return status_ok();
}

int command_plot(int argc, char **argv) {
    Wanted wanted = {.output = NULL};
    Arguments arguments;
    const ArgumentsSpec spec = {
        .command = "plot",
        .summary = "Draws one picture of a run or a trace. Pictures of digits need the data set (--set data.dir=DIR "
                   "where it has moved).",
        .operand = "RUN|TRACE",
        .own = OWN_OPTIONS,
        .take = take,
        .input = &wanted,
    };
    Status status = arguments_parse(&arguments, &spec, argc, argv);
    if (!status_failed(&status) && !arguments.help && log_is_first()) status = plot(&arguments, &wanted);
    if (status_failed(&status)) log_error(&status);
    return (int)status.code;
}
