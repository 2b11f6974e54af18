#!/bin/sh
# mpirun.sh NP PROGRAM [ARGS...]: runs a test on NP ranks, whatever the number of cores and whoever the user is.
# Quiet: what the test prints is all there is; the exit status is the test's.
set -eu
[ $# -ge 2 ] || { echo "usage: ${0##*/} NP PROGRAM [ARGS...]" >&2; exit 64; }
np=$1
shift
# Everything on one host: shared memory only, so that no interface is probed or warned about. A rank that fails ends
# all of them.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,vader OMPI_MCA_btl_base_warn_component_unused=0
exec mpirun --quiet --oversubscribe --bind-to none -np "$np" "$@"
