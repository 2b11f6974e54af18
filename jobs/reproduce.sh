#!/usr/bin/env bash
# reproduce.sh TASK [--seeds N] [--variants FILE] [ARGUMENTS of ram_dist train...]: rows of the table in configs/RESULTS.md.
#
# TASK is the name of a configuration: configs/TASK.yaml. Trains seeds 1 to N (5) one after the other on this machine,
# each into logs/TASK-sweep/as_configured-seed-S; measures the model of each that was best on validation on the test set,
# with one roll-out and with ten; prints mean and standard deviation over the seeds. With --variants (as jobs/sweep.slurm
# takes them) a row for each variant. What is there already is reused, an interrupted run goes on. On a cluster
# `jobs/sweep.slurm --seeds N --config configs/TASK.yaml` trains the same runs side by side; this script then only
# measures them.
#
#   jobs/reproduce.sh mnist
#   jobs/reproduce.sh mnist --variants configs/glimpses.variants --seeds 1
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
read_sweep "$@"
set -- "${rest[@]}"
[[ $seeds =~ ^[1-9][0-9]{0,3}$ ]] || fail 64 "--seeds is '$seeds': give a number from 1 on"
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

row() { # of the variant, into $rows: trains and measures what is missing
    local run one ten
    for ((seed = 1; seed <= seeds; seed++)); do
        run=$sweep/$variant_name-seed-$seed
        "$program" train --np "$np" --config "$yaml" --resume auto "$@" --set "seed=$seed" "${variant[@]}" --run-dir "$run" || exit
        one=$(measure "$run" 1) && ten=$(measure "$run" 10) || exit
        [ "$(wc -w <<<"$one$ten")" -eq 6 ] || fail 70 "$run/eval-1.txt and eval-10.txt do not say three errors each"
        echo "$one$ten" >"$run/errors.txt"
    done
    for ((seed = 1; seed <= seeds; seed++)); do cat "$sweep/$variant_name-seed-$seed/errors.txt"; done |
        awk -v name="$task${variants:+, $variant_name}" '
        { for (i = 1; i <= 4; i++) { sum[i] += $i; square[i] += $i * $i } }
        function entry(i) {
            variance = NR > 1 ? (square[i] - sum[i] * sum[i] / NR) / (NR - 1) : 0
            return sprintf("%.2f +- %.2f", sum[i] / NR, sqrt(variance > 0 ? variance : 0))
        }
        END { printf "| %s | %d | %s | %s | %s | %s |\n", name, NR, entry(1), entry(4), entry(2), entry(3) }' >>"$rows"
}

mkdir -p "$sweep"
[ -n "$np" ] || np=$(ranks_here "$yaml")
rows=$(mktemp) || exit 74
trap 'rm -f "$rows"' EXIT
for line in "${lines[@]}"; do
    read_variant "$line"
    row "$@"
done
{
    echo "| task | seeds | test error in %, M = 1 | M = 10 | random glimpses | centre alone |"
    echo "|---|---|---|---|---|---|"
    cat "$rows"
} | tee "$sweep/rows.md"
