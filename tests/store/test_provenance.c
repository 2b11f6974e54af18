/* Provenance: what a file says about where it came from, in every file of a set. */
#include "sample.h"
#include "base/version.h"
#include "store/inspect.h"
#include "store/provenance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_saved(void **state) {
    (void)state;
    Comm *comm = comm_self_new();
    char folder[FILE_PATH], path[FILE_PATH], host[256];
    char *words[] = {"ram_dist", "--set", "run.dir=my runs", "--config", "a.yaml", ""};
    Provenance *provenance = calloc(1, sizeof *provenance);
    StoreScalar fact[PROVENANCE_FACTS];
    Sample *sample = sample_new(3);
    snprintf(provenance->mpi, sizeof provenance->mpi, "%s", comm_library(comm));
    snprintf(provenance->slurm_job, sizeof provenance->slurm_job, "4711");
    provenance_collect(provenance, 1, 6, words);
    provenance_scalars(provenance, fact);
    sample->snapshot.scalars = PROVENANCE_FACTS;
    sample->snapshot.scalar = fact;
    sample_folder(comm, "provenance", folder);
    assert_int_equal(checkpoint_save(comm, folder, 1, &sample->snapshot).code, RAM_OK);
    assert_int_equal(atomic_file_join(path, folder, "step-00000001").code, RAM_OK);

    Checkpoint *checkpoint;
    InspectScalars scalars;
    assert_int_equal(checkpoint_open(comm, path, &checkpoint).code, RAM_OK);
    assert_int_equal(inspect_scalars(checkpoint, &scalars).code, RAM_OK);
    gethostname(host, sizeof host);
    assert_string_equal(inspect_text(&scalars, "provenance/command"),
                        "ram_dist --set 'run.dir=my runs' --config a.yaml ''");
    assert_string_equal(inspect_text(&scalars, "provenance/revision"), version_revision());
    assert_string_equal(inspect_text(&scalars, "provenance/compiler"), version_compiler());
    assert_string_equal(inspect_text(&scalars, "provenance/host"), host);
    assert_string_equal(inspect_text(&scalars, "provenance/slurm_job"), "4711");
    assert_string_equal(inspect_text(&scalars, "provenance/mpi"), "none");
    assert_string_equal(inspect_text(&scalars, "provenance/ranks"), "1");
    assert_int_equal(strncmp(inspect_text(&scalars, "provenance/hdf5"), "HDF5 1.", 7), 0);
    int year;
    char z;
    assert_int_equal(sscanf(inspect_text(&scalars, "provenance/date"), "%4d-%*2d-%*2dT%*2d:%*2d:%*2d%c", &year, &z), 2);
    assert_true(year >= 2024 && z == 'Z');
    free(scalars.scalar);
    checkpoint_close(checkpoint);
    sample_free(sample);
    free(provenance);
    comm_free(comm);
}

/* What is stored, a shell reads back as the words that were typed. */
static void test_quoting(void **state) {
    (void)state;
    char *words[] = {"ram_dist", "trace", "my run", "--name", "it's", "'", "a\"b",
                     "$HOME",    "a\\b",  "x\ny",   "*",      "~",    "",  "é=1"};
    enum { WORDS = sizeof words / sizeof *words };
    char script[PROVENANCE_COMMAND + 64], output[1024] = "", expected[1024] = "";
    Provenance *provenance = calloc(1, sizeof *provenance);
    provenance_collect(provenance, 1, WORDS, words);
    assert_non_null(strstr(provenance->command, "ram_dist trace 'my run' --name 'it'\\''s' "));
    snprintf(script, sizeof script, "printf '<%%s>' %s", provenance->command);
    FILE *shell = popen(script, "r");
    assert_non_null(shell);
    output[fread(output, 1, sizeof output - 1, shell)] = 0;
    assert_int_equal(pclose(shell), 0);
    for (int i = 0; i < WORDS; i++) {
        const size_t length = strlen(expected);
        snprintf(expected + length, sizeof expected - length, "<%s>", words[i]);
    }
    assert_string_equal(output, expected);
    free(provenance);
}

/* A command line longer than there is room for is cut, visibly. */
static void test_long_command(void **state) {
    (void)state;
    char *word = calloc(1, PROVENANCE_COMMAND), *words[] = {"ram_dist", word, word};
    Provenance *provenance = calloc(1, sizeof *provenance);
    memset(word, 'a', PROVENANCE_COMMAND - 20);
    provenance_collect(provenance, 1, 3, words);
    size_t length = strlen(provenance->command);
    assert_int_equal(length, PROVENANCE_COMMAND - 1);
    assert_string_equal(provenance->command + length - 4, " ...");
    free(word);
    free(provenance);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_saved), cmocka_unit_test(test_quoting),
                                       cmocka_unit_test(test_long_command)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
