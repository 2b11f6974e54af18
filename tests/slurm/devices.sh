#!/usr/bin/env bash
# devices.sh RAM_DIST: ranks to GPUs as `ram_dist doctor` tells them, in each way that Slurm hands out GPUs, on one node
# by srun, on two fake nodes by srun and by mpirun.
# shellcheck disable=SC1091,SC2154 # cluster.bash sets work, clone, job
. "$(dirname "$0")/cluster.bash"
blobs data 600 200
small_model
export RAM_DATA=$work/data

# placed EXPECTED WHAT: in $work/out, ranks' hosts and own GPUs are the EXPECTED pairs, in the order of ranks.
placed() {
    [ "$(awk '$1 ~ /^[0-9]+$/ { printf "%s:%s ", $2, $5 }' out)" = "$1 " ] || fail "not $1: $2"
}
# by_srun EXPECTED OPTION...
by_srun() {
    command_run 0 srun --mpi=pmix "${@:2}" "$ram_dist" doctor --config small.yaml
    placed "$1" "srun ${*:2}"
}
# by_mpirun EXPECTED OPTION...: in a batch job
by_mpirun() {
    submitted sbatch --output=doctor-%j.out "${@:2}" --wrap "mpirun --quiet --bind-to none $ram_dist doctor --config small.yaml"
    ends COMPLETED 0 0
    placed "$1" "mpirun ${*:2}"
}
node=$(hostname -s)
each="$node:0 $node:1 $node:2 $node:3"
cluster -g 4 -c 16
by_srun "$each" -n 4 --gpus-per-task=1
says out "one for each rank"
by_srun "$each" -n 4 --gres=gpu:4
by_srun "$each" -n 4 --gpus-per-node=4 --gpu-bind=single:1
by_srun "$each" -n 4 --gpus-per-node=4 --gpu-bind=none
by_srun "$node:3 $node:2 $node:1 $node:0" -n 4 --gpus-per-node=4 --gpu-bind=map_gpu:3,2,1,0
for way in --gpus-per-task=1 --gres=gpu:4 --gpus-per-node=4; do
    by_mpirun "$each" -n 4 $way
done
by_srun "$node:0 $node:1 $node:0 $node:1" -n 4 --gpus-per-node=2
says out "both take GPU 0"
by_srun "$node:- $node:-" -n 2
"$slurm" stop "$work/slurm" >out

cluster -n 2 -g 2 -c 16
pairs="n0:0 n0:1 n1:0 n1:1"
for way in --gpus-per-task=1 --gres=gpu:2 "--gpus-per-node=2 --gpu-bind=single:1" "--gpus-per-node=2 --gpu-bind=none"; do
    # shellcheck disable=SC2086 # options are words
    by_srun "$pairs" --nodes=2 -n 4 --ntasks-per-node=2 $way
done
by_mpirun "$pairs" --nodes=2 --ntasks-per-node=2 --gpus-per-node=2
says out "one for each rank"
# here mpirun's daemon is the one task of a node, and all its ranks see what that task was given: doctor tells
by_mpirun "n0:0 n0:0 n1:0 n1:0" --nodes=2 -n 4 --ntasks-per-node=2 --gpus-per-task=1
says out "--gpus-per-node rather than --gpus-per-task under mpirun"
finish
