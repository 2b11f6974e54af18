/* reference_case FILE... [--device cpu|cuda|cpu-check]: runs batches of RAM, computed elsewhere in float64 with
 * automatic differentiation, on the engine and prints how far each quantity deviates, relative to its largest entry.
 * Exit status: 0 all agree, 1 a deviation beyond the tolerance, 64 usage, 65 a file that is no such case, 77 no such
 * device here. */
#include "case_file.h"
#include "device.h"
#include "engine_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double TOLERANCE = 2e-5;

/* Prints one line; returns whether the quantity agrees. */
static bool report(const char *quantity, int64_t count, const double *engine, const double *reference) {
    const double deviation = plain_deviation(count, engine, reference);
    const bool good = deviation <= TOLERANCE;
    printf("  %-26s %9.2e%s\n", quantity, deviation, good ? "" : "  BEYOND THE TOLERANCE");
    return good;
}

static bool compare(const PlainCase *c, const PlainOutcome *engine, const PlainOutcome *reference) {
    const Dims *dims = &c->dims;
    const int64_t rows = plain_rows(c), all = dims->glimpses * rows;
    const struct {
        const char *name;
        int64_t count;
        const double *engine, *reference;
    } quantities[] = {
        {"glimpse", all * dims_glimpse(dims), engine->glimpse, reference->glimpse},
        {"location", (all + rows) * 2, engine->location, reference->location},
        {"hidden", all * dims->hidden, engine->hidden, reference->hidden},
        {"baseline", all, engine->baseline, reference->baseline},
        {"log_pi", all, engine->log_pi, reference->log_pi},
        {"log_prob", all * dims->classes, engine->log_prob, reference->log_prob},
        {"reward", rows, engine->reward, reference->reward},
        {"loss action", 1, &engine->terms.nll, &reference->terms.nll},
        {"loss baseline", 1, &engine->terms.baseline, &reference->terms.baseline},
        {"loss reinforce", 1, &engine->terms.reinforce, &reference->terms.reinforce},
        {"loss total", 1, &engine->terms.total, &reference->terms.total},
    };
    bool good = true;
    for (size_t i = 0; i < sizeof quantities / sizeof *quantities; i++)
        good &= report(quantities[i].name, quantities[i].count, quantities[i].engine, quantities[i].reference);
    for (int i = 0; i < c->parameters.layout.fields; i++) {
        const Field *field = &c->parameters.layout.field[i];
        char name[LAYOUT_NAME + 8];
        snprintf(name, sizeof name, "d %s", field->name);
        good &=
            report(name, (int64_t)field->count, engine->gradient + field->offset, reference->gradient + field->offset);
    }
    return good;
}

static int run_file(const char *path, DeviceChoice device) {
    PlainCase c;
    PlainOutcome reference, engine;
    EngineResult result;
    Status status = case_file_read(path, &c, &reference);
    if (status_failed(&status)) {
        fprintf(stderr, "reference_case: error: %s\n", status.message);
        return RAM_DATA;
    }
    plain_outcome_open(&engine, &c);
    engine_run(&c, &(EngineOptions){.device = device, .lanes = 8, .threads = 2}, &result, &engine);
    printf("%s\n", path);
    const bool good = compare(&c, &engine, &reference);
    engine_result_close(&result);
    plain_outcome_close(&engine);
    plain_outcome_close(&reference);
    plain_case_close(&c);
    return good ? RAM_OK : 1;
}

int main(int count, char **arguments) {
    DeviceChoice device = DEVICE_CPU;
    int worst = RAM_OK;
    if (count > 2 && strcmp(arguments[count - 2], "--device") == 0) {
        device_choose(arguments[count - 1], &device);
        count -= 2;
    }
    if (count < 2) {
        fprintf(stderr, "usage: reference_case FILE... [--device cpu|cuda|cpu-check]\n");
        return RAM_USAGE;
    }
    for (int i = 1; i < count; i++) {
        const int code = run_file(arguments[i], device);
        if (code > worst) worst = code;
    }
    return worst;
}
