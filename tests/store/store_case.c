/* store_case save FOLDER STEP SEED [FAULT]    saves a sample; FAULT as in RAM_FAULT
 * store_case load FOLDER REQUEST SEED...      finds and loads; prints the SEED whose sample it is, else exits 1
 * store_case count FOLDER STEP SEED           saves, and prints how many file operations rank 0 made of it
 * Run by the scripts of this folder, on any number of ranks. */
#include "sample.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int finish(Comm *comm, const Status *status) {
    log_error(status);
    comm_free(comm);
    return status->code;
}

static int save(Comm *comm, int count, char **word) {
    Sample *sample = sample_new(atoll(word[4]));
    FileFault fault = {.kind = FAULT_NONE};
    Status status = count > 5 ? atomic_file_parse_fault(word[5], comm_rank(comm), &fault) : status_ok();
    if (status_failed(&status)) return finish(comm, &status);
    atomic_file_set_fault(fault);
    status = checkpoint_save(comm, word[2], atoll(word[3]), &sample->snapshot);
    sample_free(sample);
    if (status_failed(&status)) return finish(comm, &status);
    if (strcmp(word[1], "count") == 0) log_info("%lld", (long long)atomic_file_operations());
    comm_free(comm);
    return 0;
}

static int load(Comm *comm, int count, char **word) {
    char path[FILE_PATH];
    Sample *sample = sample_new(0);
    Status status = checkpoint_find(comm, word[2], word[3], path);
    if (!status_failed(&status)) status = sample_load(comm, path, &sample->snapshot);
    if (status_failed(&status)) return finish(comm, &status);
    int64_t is = 0;
    for (int i = 4; i < count; i++)
        if (sample_is(sample, atoll(word[i]))) is = atoll(word[i]);
    sample_free(sample);
    int64_t differ[2] = {is, -is};
    comm_max(comm, differ, 2);
    if (is) log_info("%lld", (long long)is);
    comm_free(comm);
    return is && differ[0] == -differ[1] ? 0 : 1;
}

int main(int count, char **word) {
    Comm *comm = comm_mpi_new(0, 0);
    log_open(comm_rank(comm), comm_size(comm), false, NULL);
    if (count >= 5 && (strcmp(word[1], "save") == 0 || strcmp(word[1], "count") == 0)) return save(comm, count, word);
    if (count >= 5 && strcmp(word[1], "load") == 0) return load(comm, count, word);
    fprintf(stderr, "usage: see the head of store_case.c\n");
    return RAM_USAGE;
}
