/* Launch: how this process came to be (alone, under mpirun, a Slurm step) and what follows from it: ranks,
 * communicator, threads, terminal. Owns all reading of the environment but that of mpi/host.c, which tells of it. Must
 * not know configuration or training. launch_comm and launch_threads are collective.
 *
 * The order in a command: launch_detect, log_open, arguments, launch_ranks, launch_comm, then comm_agree on everything
 * that failed so far as the first exchange. Under a launcher an earlier exit is a race: mpirun ends all ranks when the
 * first one leaves with an error, maybe before rank 0 has printed it. */
#ifndef RAM_MPI_LAUNCH_H
#define RAM_MPI_LAUNCH_H

#include "base/status.h"
#include "base/terms.h"
#include "mpi/comm.h"
#include "mpi/mpirun.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum {
    LAUNCH_ALONE,  /* no launcher, a batch script, or a Slurm step of one task (an interactive shell is one) */
    LAUNCH_MPIRUN, /* mpirun of Open MPI */
    LAUNCH_SLURM,  /* a Slurm step of several tasks */
    LAUNCH_PMI     /* another launcher that speaks PMI */
} LaunchKind;

typedef struct {
    LaunchKind kind;
    int rank, size; /* as the launcher tells them: 0 of 1 alone */
    int local_size; /* ranks on this host; 0 where the launcher does not tell */
} Launch;

/* Fails (RAM_USAGE) in a Slurm step of several tasks without PMIx, where MPI cannot start: each task must then end at
 * once with that code, and only launch->rank 0 print. `launch` is filled in any case. */
Status launch_detect(Launch *launch);

enum { LAUNCH_NP_NONE = 0, LAUNCH_NP_MOST = 1024 /* no run has more lanes */ };

/* Obeys `--np N`, N from 1 to LAUNCH_NP_MOST; LAUNCH_NP_NONE where it was not given. Outside a launcher N > 1 runs N
 * ranks of this program with the same arguments (the option itself included) under mpirun, waits for them, and says in
 * *end how they ended; with `watched` also one rank runs as a child. Where this process is itself what should run,
 * end->code is -1 and the caller goes on. Where `asked` tells of a request to stop that has come already, no rank is
 * started (end->too_early). RAM_USAGE: N is not the launcher's size. RAM_UNAVAILABLE: no mpirun, it failed, or a rank
 * was killed.
 */
Status launch_ranks(const Launch *launch, int np, bool watched, char **argv, StopAsked *asked, RanksEnd *end);

/* Whether a watching process of this program started this one. */
bool launch_is_watched(void);

/* The communicator that `comm.backend` asks for; auto: self for one rank, MPI for several. `seconds`: comm.timeout.
 * *comm is usable even where this fails (RAM_USAGE: self with several ranks; RAM_UNAVAILABLE: the launcher belongs to
 * another MPI), so that all ranks agree on the failure and end together. @collective */
Status launch_comm(const Launch *launch, CommChoice choice, double seconds, Comm **comm);

/* CPU threads of this rank: `wanted`, or where that is below 1 the rank's own cores when no two ranks of this host
 * share one, else an equal share of the host's usable cores. @collective */
int launch_threads(Comm *comm, int64_t wanted);

/* Whether the user looks at an interactive terminal. A rank's own stdout does not tell: under mpirun it is always a
 * pseudo-terminal, so the launcher is asked. */
bool launch_terminal(const Launch *launch);

const char *launch_data_directory(void); /* $RAM_DATA, or NULL where it is empty or not there */
const char *launch_fault(void);          /* $RAM_FAULT (base/atomic_file.h), likewise */
const char *launch_job_id(void);         /* $SLURM_JOB_ID, or NULL */
int64_t launch_job_end(void);            /* $SLURM_JOB_END_TIME, seconds since 1970, or 0 */

/* Tells the MPI library, through its environment variables and before MPI_Init, what it cannot see; never overrides the
 * user's settings. comm_mpi_new calls it. */
void launch_prepare_mpi(void);

/* The same for NCCL, before its first call: NVLS is off unless NCCL_ALGO or NCCL_NVLS_ENABLE is the user's, and so is
 * the registration of recorded buffers unless NCCL_GRAPH_REGISTER is. */
void launch_prepare_nccl(void);

#endif
