#!/usr/bin/env bash
# reproduce.sh TASK [--seeds N] [ARGUMENTS of ram_dist train...]: one row of the table in configs/RESULTS.md.
#
# TASK is the name of a configuration: configs/TASK.yaml. Trains seeds 1 to N (5) one after the other on this machine,
# each into logs/TASK-sweep/as_configured-seed-S; measures the model of each that was best on validation on the test set,
# with one roll-out and with ten; prints mean and standard deviation over the seeds. What is there already is reused, an
# interrupted run goes on. On a cluster `jobs/sweep.slurm --seeds N --config configs/TASK.yaml` trains the same runs side
# by side; this script then only measures them.
#
#   jobs/reproduce.sh mnist
#   jobs/reproduce.sh cluttered60 --seeds 1
# shellcheck disable=SC2034,SC1091,SC2154 # jobs/common.bash reads it, and sets what is used below
script=reproduce.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.bash"

task=${1-} seeds=5
case $task in
'' | -h | --help)
    help "${BASH_SOURCE[0]}"
    exit 0
    ;;
esac
shift
if [ "${1-}" = --seeds ]; then
    [[ ${2-} =~ ^[1-9][0-9]{0,3}$ ]] || fail 64 "--seeds is '${2-}': give a number from 1 on"
    seeds=$2
    shift 2
fi
yaml=$root/configs/$task.yaml
[ -r "$yaml" ] || fail 64 "there is no configs/$task.yaml: give the name of a configuration"
read_arguments "$@"
"$root/jobs/install.sh"
build_program
if [ -z "$own_data" ]; then
    "$root/data/fetch_mnist.sh" || exit
    export RAM_DATA=$root/data/mnist
fi

sweep=$root/logs/$task-sweep
measure() { # RUN ROLLOUTS: errors of the learned policy, of random and of centre glimpses
    "$program" eval "$1" --set "eval.rollouts=$2" >"$1/eval-$2.txt" || exit
    sed -n 's/^test, [a-z ]*: *\([0-9.]*\) % error.*/\1/p' "$1/eval-$2.txt" | tr '\n' ' '
}

mkdir -p "$sweep"
[ -n "$np" ] || np=$(ranks_here "$yaml")
for ((seed = 1; seed <= seeds; seed++)); do
    run=$sweep/as_configured-seed-$seed
    "$program" train --np "$np" --config "$yaml" --resume auto "$@" --set "seed=$seed" --run-dir "$run" || exit
    one=$(measure "$run" 1) && ten=$(measure "$run" 10) || exit
    echo "$one$ten" >"$run/errors.txt"
done

for ((seed = 1; seed <= seeds; seed++)); do cat "$sweep/as_configured-seed-$seed/errors.txt"; done |
    awk -v task="$task" '
    { for (i = 1; i <= 4; i++) { sum[i] += $i; square[i] += $i * $i } }
    function entry(i) {
        variance = NR > 1 ? (square[i] - sum[i] * sum[i] / NR) / (NR - 1) : 0
        return sprintf("%.2f +- %.2f", sum[i] / NR, sqrt(variance > 0 ? variance : 0))
    }
    END {
        print "| task | seeds | test error in %, M = 1 | M = 10 | random glimpses | centre alone |"
        print "|---|---|---|---|---|---|"
        printf "| %s | %d | %s | %s | %s | %s |\n", task, NR, entry(1), entry(4), entry(2), entry(3)
    }' | tee "$sweep/row.md"
