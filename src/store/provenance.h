/* Provenance: where a file of the store came from. Owns which facts every file carries. Must not know MPI, LIBXSMM or
 * Slurm: their strings are passed in. Nothing here is collective; each rank collects its own, host and date included.
 */
#ifndef RAM_STORE_PROVENANCE_H
#define RAM_STORE_PROVENANCE_H

#include "store/scalar.h"

#include <stdint.h>

enum { PROVENANCE_TEXT = 256, PROVENANCE_COMMAND = 4096, PROVENANCE_FACTS = 13 };

/* Each becomes an attribute of /provenance in every file; zero-initialise, fill in what is known, and collect. */
typedef struct {
    char program[PROVENANCE_TEXT], revision[PROVENANCE_TEXT], compiler[PROVENANCE_TEXT], hdf5[PROVENANCE_TEXT];
    char mpi[PROVENANCE_TEXT];      /* to fill in: comm_library() */
    char device[PROVENANCE_TEXT];   /* to fill in: "cpu, 2 threads" a rank */
    char products[PROVENANCE_TEXT]; /* to fill in: "LIBXSMM 1.17, hsw", or cuBLAS; in files `libxsmm` */
    char command[PROVENANCE_COMMAND];
    char host[PROVENANCE_TEXT];
    char slurm_job[PROVENANCE_TEXT];   /* to fill in; "" outside Slurm */
    char date[PROVENANCE_TEXT];        /* of the save, UTC: "2026-01-31T12:00:00Z" */
    char data_hashes[PROVENANCE_TEXT]; /* to fill in: "train=<XXH3-128> test=... validation=..." */
    int64_t ranks;
} Provenance;

/* HDF5's version, as it is linked, and how it was built. */
void provenance_hdf5(char text[PROVENANCE_TEXT]);

/* Fills program, revision, compiler, hdf5, command (`words` as they were typed, quoted for a shell), host and ranks. */
void provenance_collect(Provenance *provenance, int ranks, int words, char *const *word);

/* Fills `scalar` (PROVENANCE_FACTS of them, they borrow from `provenance`) for a snapshot or a trace, and sets the
 * date. */
void provenance_scalars(Provenance *provenance, StoreScalar scalar[PROVENANCE_FACTS]);

#endif
