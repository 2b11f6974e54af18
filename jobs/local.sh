#!/usr/bin/env bash
# local.sh [ARGUMENTS of ram_dist train...]: from a clone to a trained, evaluated model on this machine.
#
# Installs what is missing, builds, fetches MNIST, trains on all cores with configs/quick.yaml, and evaluates the best
# model on the test set. Running it again reuses all of it: a finished run is only evaluated again, an interrupted one
# goes on. Your own --config, --np, --run-dir, --resume and --set win:
#
#   jobs/local.sh --config configs/mnist.yaml
#   jobs/local.sh --set seed=2 --run-dir logs/seed2
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build/release
program=$build/ram_dist

fail() { # CODE MESSAGE
    echo "local.sh: error: $2" >&2
    exit "$1"
}

quietly() { # WHAT COMMAND...: shows the output only when the command fails
    local what=$1 code=0
    shift
    mkdir -p "$build"
    "$@" >"$build/local.log" 2>&1 </dev/null || code=$?
    [ $code -eq 0 ] && return
    tail -n 60 "$build/local.log" >&2
    fail 70 "$what failed; all of its output is in $build/local.log"
}

# What the arguments say about what this script decides itself.
np='' config='' run_dir='' resume='' own_data='' settings=()
read_setting() { # key=value
    case $1 in
    run.dir=*) run_dir=${1#*=} ;;
    data.dir=*) own_data=yes ;;
    esac
}
read_arguments() {
    local option value
    while [ $# -gt 0 ]; do
        option=${1%%=*} value=${1#*=}
        case $1 in
        --np | -np | -n | --config | --run-dir | --resume | --set)
            [ $# -ge 2 ] || fail 64 "$1 needs a value"
            value=$2
            shift
            ;;
        esac
        case $option in
        --np | -np | -n) np=$value ;;
        --config) config=$value ;;
        --run-dir) run_dir=$value ;;
        --resume) resume=$value ;;
        --set) read_setting "$value" && settings+=(--set "$value") ;;
        esac
        shift
    done
}

case ${1-} in
-h | --help)
    sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
train) shift ;;
esac
read_arguments "$@"

"$root/jobs/install.sh"
# The tests need more packages than the program; a build folder that has them keeps them.
[ -f "$build/CMakeCache.txt" ] && options=() || options=(-DRAM_TESTS=OFF)
[ -x "$program" ] || echo "building $program"
quietly "configuring" cmake -S "$root" --preset release "${options[@]}"
quietly "building" cmake --build "$build" --target ram_dist
if [ -z "$own_data$(printenv RAM_DATA)" ]; then
    "$root/data/fetch_mnist.sh" || exit
    export RAM_DATA=$root/data/mnist
fi

ours=()
[ -n "$config" ] || { config=$root/configs/quick.yaml && ours+=(--config "$config"); }
if [ -z "$np" ]; then
    np=$(nproc)
    lanes=$("$program" config --resolved --config "$config" "${settings[@]}" | sed -n 's/^  lanes: //p')
    [ "$np" -le "${lanes:-$np}" ] || np=$lanes
    ours=(--np "$np" "${ours[@]}")
fi
if [ -z "$run_dir" ]; then
    run_dir=$(basename "$config")
    run_dir=$root/logs/${run_dir%.y*ml}
    ours+=(--run-dir "$run_dir")
fi
[ -n "$resume" ] || ours+=(--resume auto)

code=0
"$program" train "${ours[@]}" "$@" || code=$?
[ $code -ne 75 ] || echo "stopped early; the same command goes on from there"
[ $code -eq 0 ] || exit $code

result=$build/local-result.txt
"$program" eval --np "$np" "$run_dir" | tee "$result"
echo
grep -i -m 1 'test.*error' "$result" || true
run_dir=$(cd "$run_dir" && pwd)
echo "run folder   $run_dir"
echo "best model   $run_dir/checkpoints/best"
echo "metrics      $run_dir/metrics.jsonl"
echo "log          $run_dir/run.log"
