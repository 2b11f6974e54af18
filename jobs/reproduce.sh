#!/usr/bin/env bash
# reproduce.sh TASK [--seeds N] [--variants FILE] [ARGUMENTS of ram_dist train...]: rows of the table in configs/RESULTS.md.
#
# TASK is the name of a configuration: configs/TASK.yaml. Trains seeds 1 to N (5) one after the other on this machine,
# each into logs/TASK-sweep/as_configured-seed-S; measures the model of each that was best on validation on the test set,
# with one roll-out and with ten; prints mean and sample standard deviation over the seeds. With --variants (as
# jobs/sweep.slurm takes them) a row for each variant. What is there already is reused, an interrupted run goes on.
# On the login node of a Slurm cluster an array of jobs does the same side by side (jobs/sweep.slurm --measure); the task
# that ends last prints the rows, which are then in logs/TASK-sweep/rows.md too. In a job or an allocation it trains there.
#
#   jobs/reproduce.sh mnist
#   jobs/reproduce.sh mnist --variants configs/glimpses.variants --seeds 1
#   jobs/reproduce.sh cluttered60 --seeds 1
# shellcheck disable=SC2034,SC1091,SC2154 # jobs/common.bash reads it, and sets what is used below
# Slurm runs a copy of this file: where the file lies is in the job's record
script=reproduce.sh jobs=$(dirname "${BASH_SOURCE[0]}")
[ -e "$jobs/common.bash" ] ||
    jobs=$(scontrol show job "${SLURM_JOB_ID-}" | sed -n "/^ *Command=/{s///;s|/$script.*||;p;q}")
. "$jobs/common.bash" || { echo "$script: error: its folder is not known: submit it as jobs/$script" >&2 && exit 64; }

for argument; do
    case $argument in
    -h | --help) help "$jobs/$script" && exit ;;
    esac
done
task=${1-}
[[ $task =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]*$ ]] ||
    fail 64 "its first argument is '$task': give the name of a configuration in configs, mnist for one (--help says more)"
shift
name=${task%.yaml} seeds=5
read_sweep "$@"
[[ $seeds =~ ^[1-9][0-9]{0,3}$ ]] || fail 64 "--seeds is '$seeds': give a number from 1 on"
read_arguments "${rest[@]}"
[ -z "$config$run_dir$resume" ] || fail 64 "--config, --run-dir and --resume are decided by TASK: leave them out"
config=$root/configs/$name.yaml sweep=$root/logs/$name-sweep
[ -r "$config" ] || fail 64 "there is no configs/$name.yaml: give the name of a configuration"

if [ -z "${SLURM_JOB_ID-}" ] && [[ $(scontrol ping 2>/dev/null) == *" UP"* ]]; then
    [ -z "$variants" ] || rest+=(--variants "$variants")
    tell "an array of jobs trains and measures; the rows will be in $sweep/rows.md"
    exec "$jobs/sweep.slurm" --measure --seeds "$seeds" --config "$config" "${rest[@]}"
fi
[ -n "$(configured data "$config")" ] || [ -n "$own_data" ] || {
    "$root/data/fetch_mnist.sh" || exit
    export RAM_DATA=$root/data/mnist
}
"$root/jobs/install.sh"
build_program
for line in "${lines[@]}"; do # all of them before the first hour of training
    read_variant "$line"
    policy=$("$program" config --resolved --config "$config" "${settings[@]}" "${variant[@]}" | sed -n 's/^  policy: //p') || exit 64
    [[ $policy = sample || $policy = mean ]] || fail 64 "eval.policy is $policy, which is measured anyway: leave it out"
done

mkdir -p "$sweep"
[ -n "$np" ] || np=$(ranks_here "$config")
for line in "${lines[@]}"; do
    read_variant "$line"
    for ((seed = 1; seed <= seeds; seed++)); do
        run_dir=$sweep/$variant_name-seed-$seed
        check_made_so
        "$program" train --np "$np" --config "$config" --resume auto "${rest[@]}" --set "seed=$seed" "${variant[@]}" --run-dir "$run_dir" || exit
        measure
    done
done
print_rows
