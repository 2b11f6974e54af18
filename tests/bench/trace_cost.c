/* trace_cost DATA FOLDER [REPEATS]: what a trace of the test images costs beside the same evaluation without one, in
 * seconds, the two in turn (default model, first weights). Run it under mpirun for more ranks. FOLDER should lie on the
 * disk that is meant. */
#include "base/log.h"
#include "base/memory.h"
#include "train/evaluate.h"
#include "train/tracer.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int ascending(const void *a, const void *b) {
    double difference = *(const double *)a - *(const double *)b;
    return (difference > 0) - (difference < 0);
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, ascending);
    return values[count / 2];
}

static void check(Status status) {
    if (status_failed(&status)) fatal("%s", status.message);
}

static void measure(const Experiment *experiment, const char *folder, int repeats, Provenance *provenance) {
    const TracePlan plan = {SPLIT_TEST, experiment->dataset.count[SPLIT_TEST], POLICY_SAMPLE, 1};
    Evaluator *evaluator = evaluator_new(experiment, SPLIT_TEST);
    Tracer *tracer = tracer_new(experiment, &plan);
    double *evaluation = memory_new((size_t)repeats, sizeof(double)),
           *trace = memory_new((size_t)repeats, sizeof(double));
    for (int i = 0; i < repeats; i++) {
        comm_barrier(experiment->comm);
        const double start = now();
        evaluator_run(evaluator, POLICY_SAMPLE, 1, NULL);
        const double between = now();
        check(tracer_save(tracer, folder, "cost", true, (TraceOrigin){0}, provenance));
        evaluation[i] = between - start;
        trace[i] = now() - between;
    }
    const double without = median(evaluation, repeats), with = median(trace, repeats);
    log_info(
        "%lld images, medians of %d: evaluation %.3f s (least %.3f), trace %.3f s (least %.3f, most %.3f): %+.3f s",
        (long long)plan.images, repeats, without, evaluation[0], with, trace[0], trace[repeats - 1], with - without);
    free(evaluation);
    free(trace);
    tracer_free(tracer);
    evaluator_free(evaluator);
}

int main(int count, char **word) {
    if (count < 3) {
        fprintf(stderr, "usage: trace_cost DATA FOLDER [REPEATS]\n");
        return RAM_USAGE;
    }
    const int repeats = count > 3 ? atoi(word[3]) : 9;
    Comm *comm = comm_mpi_new(0, 0);
    Config config;
    Experiment experiment;
    Provenance provenance = {0};
    log_open(comm_rank(comm), comm_size(comm), false, comm_abort);
    require(repeats > 0);
    config_default(&config);
    check(config_set_value(&config, "data.dir", word[1], "DATA"));
    check(experiment_open(&experiment, &config, comm, 1, NULL));
    provenance_collect(&provenance, comm_size(comm), count, word);
    const Parameters *parameters = &experiment.ram.parameters;
    const int64_t total = (int64_t)parameters->layout.total;
    float *initial = memory_new((size_t)total, sizeof *initial);
    DevFloats values = backend_floats(experiment.backend, total);
    parameters_initialize(parameters, 1, initial);
    experiment.backend->kernels->upload(experiment.backend, values.address, initial, (size_t)total * sizeof *initial);
    ram_load(&experiment.ram, values);
    measure(&experiment, word[2], repeats, &provenance);
    experiment.backend->kernels->release(experiment.backend, values.address);
    free(initial);
    experiment_close(&experiment);
    comm_free(comm);
    return 0;
}
