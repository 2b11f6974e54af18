#!/usr/bin/env bash
# time_limit.sh RAM_DIST: a job whose time limit is shorter than its training. Slurm warns it by itself (it looks at its
# clock every 30 s), the job goes back into the queue as often as it takes, and ends with the undisturbed run's weights.
# shellcheck disable=SC1091,SC2154 # cluster.bash sets work, clone, job
. "$(dirname "$0")/cluster.bash"
fresh_clone 6000 200
cluster -g 0 -c 32
small=(--config small.yaml --set train.epochs=5000 --set checkpoint.epochs=1000)
submitted sbatch --time=1 --signal=B:USR2@60 "$clone/jobs/cpu.slurm" "${small[@]}" --run-dir cut
end=$("$slurm" wait "$work/slurm" "$job" 400)
cp cpu-"$job".out out
[[ $end =~ ^COMPLETED\ 0:0\ [1-9] ]] || fail "the job ended with '$end', not completed after restarts"
says out "back into the queue"
says out "restart 1: 2 ranks"
RAM_DATA=$clone/data/mnist timeout 400 "$ram_dist" "${small[@]}" --np 2 --run-dir whole >out 2>err || fail "the whole run"
check same whole cut
finish
