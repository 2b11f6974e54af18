#!/usr/bin/env bash
# nccl.sh NCCL_RANKS FAKE: sums over the ranks' GPUs by NCCL, its own and those of the lanes' tree, on fakes of NCCL (in
# folder FAKE) and CUDA: who may, what happens where NCCL is missing, refuses, is stuck or loses a peer.
set -u
program=$1 fake=$2
mpirun=$(dirname "$0")/../mpirun.sh
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0
unset NCCL_ALGO NCCL_NVLS_ENABLE NCCL_GRAPH_REGISTER

fail() {
    echo "FAILED: $*"
    sed 's/^/    /' "$work/out" "$work/err"
    failures=$((failures + 1))
}
# ranks CODE NP MODE ARGUMENT...
ranks() {
    local code=0
    rm -rf "$work/mail" && mkdir "$work/mail"
    FAKE_NCCL=$3 FAKE_NCCL_MAIL=$work/mail LD_LIBRARY_PATH=$fake timeout -k 5 60 "$mpirun" "$2" "$program" "${@:4}" \
        >"$work/out" 2>"$work/err" </dev/null || code=$?
    [ $code -eq "$1" ] || fail "exit code $code, not $1: $*"
    ! grep -q "on another GPU" "$work/out" || fail "a thread of NCCL's end began on the first GPU"
}
says() { grep -qF -- "$1" "$work/out" || fail "the output lacks '$1'"; }
quiet() { [ ! -s "$work/err" ] || fail "stderr is not empty"; }
error_has() { # of any one rank
    local text
    grep -q '^ram_dist: error: ' "$work/err" || fail "no error"
    for text; do grep -qF -- "$text" "$work/err" || fail "the error lacks '$text'"; done
}
one_error_has() {
    [ "$(grep -c '^ram_dist: error: ' "$work/err")" -eq 1 ] || fail "not one line of error"
    error_has "$@"
}

for np in 1 3 4; do
    ranks 0 $np "" own nccl
    says "$np ranks sum by NCCL"
    says "sums can be recorded"
    quiet
    [ "$(grep -c '^rank . on .*: Fake, GPU-0[0-3]000000-0000-0000-0000-000000000000$' "$work/out")" -eq $np ] ||
        fail "no table of $np ranks and GPUs"
done
ranks 0 2 "" own mpi possible
says "2 ranks sum by Open MPI"
says "2 ranks sum by NCCL"
NCCL_ALGO=ring NCCL_COMM_BLOCKING=1 ranks 0 1 "" own nccl # the user's own choices, of which the second is not heeded
ranks 0 3 uncaptured:0 own nccl # then all of them join anew
says "NCCL's sums are no part of a recorded step"
says "sums are not recorded"
says "left NCCL"
says "3 ranks sum by NCCL"
ranks 0 3 uncaptured:2 own nccl
says "played in two pieces around them: the first recorded sum by NCCL failed on rank 2 of 3"
says "sums are not recorded"

# The tree: nothing goes through the host, and the bits are those of messages that do, for any number of ranks.
bits() { grep -E '^[0-9]+ places: [0-9a-f]{32}$' "$work/out"; }
for np in 1 2 3 4 8; do
    ranks 0 $np "" own nccl-tree
    says "$np ranks sum in the order of the lanes' tree (train.reduction tree), sent from GPU to GPU by NCCL"
    quiet
    [ $np -gt 1 ] || expected=$(bits)
    [ "$(wc -l <<<"$expected")" -eq 3 ] || fail "not three sizes: $expected"
    [ "$(bits)" = "$expected" ] || fail "other bits than np 1: $expected"
    [ -z "$(ls "$work/mail")" ] || fail "messages were left over"
done
ranks 0 2 "" own possible possible-tree nccl
says "2 ranks sum in the order of the lanes' tree (train.reduction tree), sent from GPU to GPU by NCCL"

# What can be known before: two ranks on one GPU, no library, an old one. Then what NCCL itself refuses.
refused() { # MODE own|shared TEXT [TREE]
    ranks 69 2 "$1" "$2" "possible${4-}" "nccl${4-}"
    says "2 ranks sum through the host by Open MPI"
    says "$3"
    one_error_has "$3" "--comm mpi"
}
refused "" shared "ranks 0 and 1 share GPU-07000000"
says "2 ranks share 1 GPU"
refused old own "2.13.0, which is too old"
refused refuse:0 own "on rank 0 of 2"
refused refuse:1 own "on rank 1 of 2"
refused wrong own "sums ones of 2"
refused "" shared "ranks 0 and 1 share GPU-07000000" -tree
refused wrong own "another message than rank 0 sent" -tree
FAKE_CUDA_FULL=1 refused "" own "CUDA says"
fake=$work # no library, whatever the system has
: >"$work/libnccl.so.2"
refused "" own "NCCL cannot be loaded"
fake=$2

# Joining has a limit of its own, and the watch over the ranks' waits leaves it to that.
ranks 0 3 late:1 own nccl
says "3 ranks sum by NCCL"
quiet
ranks 124 3 never:1 own possible nccl
says "3 ranks sum through the host by Open MPI"
says "NCCL was not ready on rank 1 of 3 after 6 s, in joining the ranks"
one_error_has "NCCL was not ready on rank 1 of 3 after 6 s" "--comm mpi"

# In the middle: every rank ends, with the name of the sum or exchange. At the end all is done already.
for mode in stuck lost hang; do
    ranks 124 3 $mode own nccl
    one_error_has "the test's sum"
    says "left NCCL"
    ranks 124 3 $mode own nccl-tree
    one_error_has "the exchange of gradients by NCCL"
    says "left NCCL"
done
error_has "waited 2 s" "--resume auto"
for broken in 0 2; do # another start may cure it
    ranks 70 3 fault:$broken own nccl
    error_has "CUDA says an error on rank $broken of 3, which waited for the test's sum by NCCL" "--resume auto"
done
for silent in 0 2; do
    ranks 124 3 silent:$silent own nccl-tree
    one_error_has "waited 2 s for the exchange of gradients by NCCL" "--resume auto"
done
export FAKE_NCCL_DEAF=1 # leaving does not return
ranks 124 3 lost own nccl
one_error_has "the test's sum"
says "left NCCL"
refused refuse:1 own "on rank 1 of 2"
unset FAKE_NCCL_DEAF
ranks 0 2 dead own possible
says "2 ranks sum by NCCL"

[ "$failures" -eq 0 ] || exit 1
echo "nccl: all as expected"
