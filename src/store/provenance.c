#include "store/provenance.h"
#include "base/memory.h"
#include "base/version.h"
#include "store/hdf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char PLAIN[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@_";

/* Writes a word as a shell would read it again. */
static void print_word(FILE *out, const char *word) {
    if (*word && word[strspn(word, PLAIN)] == 0) {
        fputs(word, out);
        return;
    }
    fputc('\'', out);
    for (const char *letter = word; *letter; letter++)
        if (*letter == '\'')
            fputs("'\\''", out);
        else
            fputc(*letter, out);
    fputc('\'', out);
}

/* The command line; what does not fit is left out and shown as "...". */
static void join_words(char command[PROVENANCE_COMMAND], int words, char *const *word) {
    static const char CUT[] = " ...";
    char *text = NULL;
    size_t length = 0;
    FILE *out = memory_stream_open(&text, &length);
    for (int i = 0; i < words; i++) {
        if (i) fputc(' ', out);
        print_word(out, word[i]);
    }
    memory_stream_close(out);
    snprintf(command, PROVENANCE_COMMAND, "%s", text);
    if (length >= PROVENANCE_COMMAND) strcpy(command + PROVENANCE_COMMAND - sizeof CUT, CUT);
    free(text);
}

void provenance_hdf5(char text[PROVENANCE_TEXT]) {
    unsigned major, minor, release;
    hbool_t threads = 0;
    H5get_libversion(&major, &minor, &release);
    H5is_library_threadsafe(&threads);
#ifdef H5_HAVE_PARALLEL
    static const char KIND[] = "parallel";
#else
    static const char KIND[] = "serial";
#endif
    snprintf(text, PROVENANCE_TEXT, "HDF5 %u.%u.%u, %s, %sthread-safe", major, minor, release, KIND,
             threads ? "" : "not ");
}

void provenance_collect(Provenance *provenance, int ranks, int words, char *const *word) {
    snprintf(provenance->program, sizeof provenance->program, "ram_dist %s", version_number());
    snprintf(provenance->revision, sizeof provenance->revision, "%s", version_revision());
    snprintf(provenance->compiler, sizeof provenance->compiler, "%s", version_compiler());
    provenance_hdf5(provenance->hdf5);
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
#define NAMED_FACT(name, member)                                                                                       \
    scalar[facts++] = (StoreScalar){"provenance/" name, STORE_TEXT, provenance->member, sizeof provenance->member, true}
#define FACT(member) NAMED_FACT(#member, member)
    FACT(program);
    FACT(revision);
    FACT(compiler);
    FACT(hdf5);
    FACT(mpi);
    FACT(device);
    NAMED_FACT("libxsmm", products);
    FACT(command);
    FACT(host);
    FACT(slurm_job);
    FACT(date);
    FACT(data_hashes);
#undef FACT
#undef NAMED_FACT
    scalar[facts] = (StoreScalar){"provenance/ranks", STORE_INT, &provenance->ranks, 0, true};
}
