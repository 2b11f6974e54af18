#include "store/provenance.h"
#include "base/version.h"
#include "store/hdf.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The command line, words that a shell would change in quotes; what does not fit is left out and shown as "...". */
static void join_words(char command[PROVENANCE_COMMAND], int words, char *const *word) {
    size_t length = 0;
    for (int i = 0; i < words; i++) {
        bool plain = word[i][0] && strcspn(word[i], " \t\n'\"\\$`*?[]{}()<>|&;#~!") == strlen(word[i]);
        int more =
            snprintf(command + length, PROVENANCE_COMMAND - length, plain ? "%s%s" : "%s'%s'", i ? " " : "", word[i]);
        if (more < 0 || length + (size_t)more >= PROVENANCE_COMMAND) {
            strcpy(command + PROVENANCE_COMMAND - 5, " ...");
            return;
        }
        length += (size_t)more;
    }
}

void provenance_collect(Provenance *provenance, int ranks, int words, char *const *word) {
    unsigned major, minor, release;
    H5get_libversion(&major, &minor, &release);
    snprintf(provenance->program, sizeof provenance->program, "ram_dist %s", version_number());
    snprintf(provenance->revision, sizeof provenance->revision, "%s", version_revision());
    snprintf(provenance->compiler, sizeof provenance->compiler, "%s", version_compiler());
    snprintf(provenance->hdf5, sizeof provenance->hdf5, "HDF5 %u.%u.%u", major, minor, release);
    join_words(provenance->command, words, word);
    gethostname(provenance->host, sizeof provenance->host - 1);
    provenance->ranks = ranks;
}

void provenance_scalars(Provenance *provenance, StoreScalar scalar[PROVENANCE_FACTS]) {
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(provenance->date, sizeof provenance->date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    int facts = 0;
#define FACT(member)                                                                                                   \
    scalar[facts++] =                                                                                                  \
        (StoreScalar){"provenance/" #member, STORE_TEXT, provenance->member, sizeof provenance->member, true}
    FACT(program);
    FACT(revision);
    FACT(compiler);
    FACT(hdf5);
    FACT(mpi);
    FACT(libxsmm);
    FACT(command);
    FACT(host);
    FACT(slurm_job);
    FACT(date);
    FACT(data_hashes);
#undef FACT
    scalar[facts] = (StoreScalar){"provenance/ranks", STORE_INT, &provenance->ranks, 0, true};
}
