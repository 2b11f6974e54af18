#!/usr/bin/env bash
# local.sh [ARGUMENTS of ram_dist train...]: from a clone to a trained, evaluated model on this machine.
#
# Installs what is missing, builds, fetches MNIST, trains with configs/quick.yaml, on a GPU or else on all cores, and
# evaluates the best model on the test set. Running it again reuses all of it: a finished run is only evaluated again, an
# interrupted one goes on. Your own --config, --np, --run-dir, --resume and --set win:
#
#   jobs/local.sh --config configs/mnist.yaml
#   jobs/local.sh --set seed=2 --run-dir logs/seed2
# shellcheck disable=SC2034,SC1091,SC2154 # jobs/common.bash reads it, and sets what is used below
script=local.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.bash" || exit 64

[ "${1-}" != train ] || shift
help_if_asked "$root/jobs/$script" "$@"
read_arguments "$@"

"$root/jobs/install.sh"
build_program
if [ -z "$own_data" ]; then
    "$root/data/fetch_mnist.sh" || exit
    export RAM_DATA=$root/data/mnist
fi

ours=()
[ -n "$config" ] || { config=$root/configs/quick.yaml && ours+=(--config "$config"); }
if [ -z "$np" ]; then
    np=$(ranks_here "$config" "${places[@]}" "${settings[@]}")
    ours=(--np "$np" "${ours[@]}")
fi
if [ -z "$run_dir" ]; then
    run_dir=$(basename "$config")
    run_dir=$root/logs/${run_dir%.y*ml}
    ours+=(--run-dir "$run_dir")
fi
[ -n "$resume" ] || ours+=(--resume auto)

code=0
take_signals
run_ranks "$program" train "${ours[@]}" "$@" || code=$?
[ $code -ne 75 ] || stopped_early
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
