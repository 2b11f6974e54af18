#!/usr/bin/env bash
# reproduce.sh TASK [--seeds N] [--variants FILE] [--here] [ARGUMENTS of ram_dist train...]: rows of the table in configs/RESULTS.md.
#
# TASK is the name of a configuration: configs/TASK.yaml. Trains seeds 1 to N (5) one after the other on this machine,
# each into logs/TASK-sweep/as_configured-seed-S; measures the model of each that was best on validation on the test set,
# with one roll-out and with ten; prints mean and sample standard deviation over the seeds. With --variants (as
# jobs/sweep.slurm takes them) a row for each variant. What is there already is reused, an interrupted run goes on.
# On the login node of a Slurm cluster an array of jobs does the same side by side (jobs/sweep.slurm --measure); the task
# that ends last prints the rows. Those of the last call are in logs/TASK-sweep/rows.md too. Within an allocation, and
# with --here, it trains where it is started: on a GPU, or else on a rank per core.
#
#   jobs/reproduce.sh mnist
#   jobs/reproduce.sh mnist --variants configs/glimpses.variants --seeds 1
#   jobs/reproduce.sh cluttered60 --seeds 1
# shellcheck disable=SC2034,SC1091,SC2154 # jobs/common.bash reads it, and sets what is used below
script=reproduce.sh jobs=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
[ -e "$jobs/common.bash" ] || {
    echo "$script: error: it is no job: start it where you are, it submits an array of jobs" >&2
    exit 64
}
. "$jobs/common.bash"

here=''
help_if_asked "$jobs/$script" "$@"
for argument; do
    shift
    case $argument in
    --here) here=yes ;;
    *) set -- "$@" "$argument" ;;
    esac
done
task=${1-}
[[ $task =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]*$ ]] ||
    fail 64 "its first argument is '$task': give the name of a configuration in configs, mnist for one (--help says more)"
shift
name=${task%.yaml} seeds=5
read_sweep "$@"
read_arguments "${rest[@]}"
[ -z "$config$run_dir$resume" ] || fail 64 "--config, --run-dir and --resume are decided by TASK: leave them out"
config=$root/configs/$name.yaml sweep=$root/logs/$name-sweep
[ -r "$config" ] || fail 64 "there is no configs/$name.yaml: give the name of a configuration"

if [ -z "$here${SLURM_JOB_ID-}" ] && [[ $(scontrol ping 2>/dev/null) == *" UP"* ]]; then
    [ -z "$np" ] || fail 64 "--np is for this machine (--here): in jobs the top of jobs/sweep.slurm says how many ranks"
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
for line in "${lines[@]}"; do # before the first hour of training
    read_variant "$line"
    check_policy
    for ((seed = 1; seed <= seeds; seed++)); do
        run_dir=$sweep/$variant_name-seed-$seed
        check_made_so
    done
done

mkdir -p "$sweep"
take_signals
for line in "${lines[@]}"; do
    read_variant "$line"
    count=${np:-$(ranks_here "$config" "${places[@]}" "${settings[@]}" "${variant[@]}")}
    for ((seed = 1; seed <= seeds; seed++)); do
        run_dir=$sweep/$variant_name-seed-$seed code=0
        run_ranks "$program" train --np "$count" --config "$config" --resume auto "${rest[@]}" --set "seed=$seed" "${variant[@]}" --run-dir "$run_dir" || code=$?
        [ $code -ne 75 ] || stopped_early
        [ $code -eq 0 ] || exit $code
        measure
    done
done
print_rows
