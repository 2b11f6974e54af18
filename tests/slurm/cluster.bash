# shellcheck shell=bash
# cluster.bash: what the tests of this folder share: a private Slurm of their own (slurm-local.sh), a fresh clone of the
# project whose build takes a moment, and looking at jobs. Sourced with the path of ram_dist in $1.
# shellcheck disable=SC1091,SC2154,SC2034 # checks.bash sets work, ram_dist, here and python
. "$(dirname "${BASH_SOURCE[0]}")/../cli/checks.bash"
slurm=$here/../slurm/slurm-local.sh
clone="$work/a clone"
export PATH=$PATH:/usr/sbin
if ! command -v slurmctld >/dev/null || ! command -v munged >/dev/null; then
    echo "SKIPPED: no Slurm here: apt-get install --no-install-recommends slurm-wlm munge"
    exit 77
fi

# cluster OPTION...: up until the end of the script; sbatch and srun then mean this one.
cluster() {
    trap '"$slurm" stop "$work/slurm" >/dev/null; rm -rf "$work"' EXIT
    "$slurm" start "$work/slurm" "$@" >"$work/out" 2>"$work/err" || { fail "the local Slurm does not start" && exit 1; }
    eval "$("$slurm" env "$work/slurm")"
    export OMPI_MCA_pml=ob1
}

# A tree as after `git clone` and data/fetch_mnist.sh, with a small data set; its build copies the program under test,
# and fails where another one is at work.
fresh_clone() { # TRAIN TEST: images
    local root
    root=$(cd "$here/../.." && pwd)
    mkdir -p "$clone/data"
    cp -r "$root/jobs" "$root/configs" "$root/CMakePresets.json" "$clone"
    cp "$root/data/checksums.sha256" "$clone/data"
    printf '#!/bin/sh\necho fetch_mnist.sh: no network >&2\nexit 69\n' >"$clone/data/fetch_mnist.sh"
    chmod +x "$clone/data/fetch_mnist.sh"
    blobs "$clone/data/mnist" "$1" "$2"
    cat >"$clone/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.22)
project(stand_in LANGUAGES NONE)
add_custom_target(ram_dist COMMAND sh -c
    "cmp -s $ram_dist ram_dist || { mkdir building && sleep \\\${BUILD_SECONDS:-0.3} && cp $ram_dist ram_dist && rmdir building; }" VERBATIM)
CMAKE
    small_model
}

# submitted COMMAND...: sets job to the id that sbatch, or a script that submits itself, prints.
submitted() {
    command_run 0 "$@"
    job=$(sed -n 's/^Submitted batch job //p' "$work/out")
    [ -n "$job" ] || fail "no job was submitted: $*"
}

# ends STATE CODE RESTARTS: the job's end; its output is then in $work/out.
ends() {
    local end
    end=$("$slurm" wait "$work/slurm" "$job" 60)
    cat ./*-"$job".out >"$work/out" 2>/dev/null
    [ "$end" = "$1 $2:0 $3" ] || fail "job $job ended with '$end', not '$1 $2:0 $3'"
}

# trains RUN: returns when a row of its curve is new.
trains() {
    local lines
    lines=$(rows "$1")
    for _ in {1..600}; do
        [ "$(rows "$1")" -le "$lines" ] || return 0
        sleep 0.05
    done
    fail "$1 does not train"
}
