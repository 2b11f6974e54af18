#include "base/log.h"
#include "base/memory.h"
#include "cmd/commands.h"
#include "cmd/option_values.h"
#include "cmd/session.h"
#include "train/bench.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_JSON = OWN_OPTION, OPTION_STEPS, STEPS = 200, STEPS_MOST = 1000000 };

typedef struct {
    bool json;
    int64_t steps;
} Wanted;

static const struct argp_option OWN_OPTIONS[] = {
    {"json", OPTION_JSON, NULL, 0, "Print the figures as one JSON object", 0},
    {"steps", OPTION_STEPS, "N", 0, "Training steps to time (default: 200)", 0},
    {0},
};

static Status take(void *input, int key, const char *value) {
    Wanted *wanted = input;
    if (key == OPTION_JSON) {
        wanted->json = true;
        return status_ok();
    }
    return option_take_count("steps", value, STEPS_MOST, &wanted->steps);
}

/* --- derived figures */

/* Times that the floor (products at their peak, nothing else) fits into what was measured. */
static double over_floor(double rate, double flops, double peak) { return peak / (rate * flops); }

static void print_costs(const BenchFigures *f, double core_peak) {
    double listed = 0, total = f->timed_seconds * f->cores_of_rank;
    log_info("%-28s %11s %8s %9s %9s", "rank 0, per step", "us of core", "share", "GFLOP/s", "of peak");
    for (int i = 0; i < f->costs; i++) {
        const TimedCost *cost = &f->cost[i];
        char name[64], rate[32] = "", part[32] = "";
        listed += cost->seconds;
        if (cost->seconds < 0.002 * total) continue;
        if (cost->flops > 0) {
            snprintf(name, sizeof name, "%s %d>%d", cost->kernel, cost->in, cost->out);
            snprintf(rate, sizeof rate, "%.1f", 1e-9 * cost->flops / cost->seconds);
            snprintf(part, sizeof part, "%.0f %%", 100 * cost->flops / cost->seconds / core_peak);
        } else {
            snprintf(name, sizeof name, "%s", cost->kernel);
        }
        log_info("%-28s %11.1f %6.1f %% %9s %9s", name, 1e6 * cost->seconds / (double)f->timed_steps,
                 100 * cost->seconds / total, rate, part);
    }
    log_info("%-28s %11.1f %6.1f %%", "all else: data, messages, waiting",
             1e6 * (total - listed) / (double)f->timed_steps, 100 * (total - listed) / total);
}

static void print_text(const BenchFigures *f, const Experiment *experiment) {
    const double images = (double)experiment->dataset.count[SPLIT_TRAIN];
    const int ranks = comm_size(experiment->comm);
    const double core_peak = f->peak / f->cores;
    log_info("ranks x threads              %d x %d on %s", ranks, experiment->threads, experiment->backend->note);
    log_info("products' peak               %.1f GFLOP/s on %d cores at once (16 x 256 x 256)", 1e-9 * f->peak,
             f->cores);
    log_info("training                     %.0f images/s, %.3f s an epoch of %.0f; %.2f MFLOP an image", f->train_rate,
             images / f->train_rate, images, 1e-6 * f->train_flops);
    log_info("  floor                      %.3f s an epoch; measured is %.2f x that", images * f->train_flops / f->peak,
             over_floor(f->train_rate, f->train_flops, f->peak));
    log_info("  step                       %.3f ms, of it %.3f ms reduction over lanes and ranks (%.1f %%)",
             1e3 * f->step_seconds, 1e3 * f->reduction_seconds, 100 * f->reduction_seconds / f->step_seconds);
    log_info("evaluation                   %.0f images/s; %.2f MFLOP an image; %.2f x its floor", f->eval_rate,
             1e-6 * f->eval_flops, over_floor(f->eval_rate, f->eval_flops, f->peak));
    log_info("checkpoint                   %.1f ms", 1e3 * f->checkpoint_seconds);
    log_info("memory                       %.0f MB, the largest rank", 1e-6 * (double)f->memory_bytes);
    print_costs(f, core_peak);
}

static void print_json(const BenchFigures *f, const Experiment *experiment) {
    if (comm_rank(experiment->comm) != 0) return;
    json_t *costs = json_array();
    for (int i = 0; i < f->costs; i++) {
        const TimedCost *cost = &f->cost[i];
        json_array_append_new(costs, json_pack("{ss si si sf sf}", "kernel", cost->kernel, "in", cost->in, "out",
                                               cost->out, "seconds_per_step", cost->seconds / (double)f->timed_steps,
                                               "flops_per_step", cost->flops / (double)f->timed_steps));
    }
    json_t *all = json_pack("{si si ss sf sf sf sf sf sf sf sf sf sf sI so}", "ranks", comm_size(experiment->comm),
                            "threads", experiment->threads, "products", experiment->backend->note, "peak_flops",
                            f->peak, "train_images_per_second", f->train_rate, "train_flops_per_image", f->train_flops,
                            "train_over_floor", over_floor(f->train_rate, f->train_flops, f->peak), "step_seconds",
                            f->step_seconds, "reduction_seconds", f->reduction_seconds, "eval_images_per_second",
                            f->eval_rate, "eval_flops_per_image", f->eval_flops, "eval_over_floor",
                            over_floor(f->eval_rate, f->eval_flops, f->peak), "checkpoint_seconds",
                            f->checkpoint_seconds, "memory_bytes", (json_int_t)f->memory_bytes, "kernels", costs);
    require(all);
    json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6)); /* main() tells what was lost */
    json_decref(all);
    putchar('\n');
}

/* --- running it */

static Status bench(const Session *session, const Wanted *wanted) {
    Experiment experiment;
    Provenance provenance;
    BenchFigures *figures = NULL;
    Status status = session_open_experiment(session, &experiment);
    if (!status_failed(&status)) status = experiment_link(&experiment);
    if (!status_failed(&status)) {
        figures = memory_new(1, sizeof *figures);
        session_provenance(session, &experiment, &provenance);
        status = bench_run(&experiment, wanted->steps, &provenance, figures);
    }
    if (!status_failed(&status)) {
        if (wanted->json)
            print_json(figures, &experiment);
        else
            print_text(figures, &experiment);
    }
    free(figures);
    experiment_close(&experiment);
    return status;
}

int command_bench(int argc, char **argv) {
    Wanted wanted = {.steps = STEPS};
    const ArgumentsSpec spec = {
        .command = "bench",
        .summary = "Measures how fast this build trains and evaluates here, beside the peak of the products that it "
                   "calls, measured in the same run.",
        .takes = TAKES_NP | TAKES_DEVICE,
        .own = OWN_OPTIONS,
        .take = take,
        .input = &wanted,
    };
    Session session;
    int code;
    if (!session_open(&session, &spec, argc, argv, &code)) return code;
    return session_close(&session, bench(&session, &wanted));
}
