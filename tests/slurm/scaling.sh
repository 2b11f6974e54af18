#!/usr/bin/env bash
# scaling.sh RAM_DIST: jobs/scaling.slurm prints both tables with a row for each number of ranks; and two fake nodes:
# cpu.slurm trains over both by srun and by mpirun to the same bits.
# shellcheck disable=SC1091,SC2154 # cluster.bash sets work, clone, job
. "$(dirname "$0")/cluster.bash"
fresh_clone 600 200
cluster -n 2 -g 4 -c 16
small=(--config small.yaml --set train.epochs=3)

table_has() { # KIND RANKS BATCH...: rows in this order
    local kind=$1
    shift
    sed -n "/^$kind scaling/,/^[a-z]* scaling/p" "$clone/logs/small-scaling.txt" |
        awk 'function near(a, b, most) { return a - b <= most && b - a <= most }
            $1 == 1 { first = $3 }
            $1 ~ /^[0-9]+$/ {
                times = $3 / first
                print $1, $2, ($3 > 0 && near($4, times, 0.0051) && near($5, 100 * times / $1, 0.51))
            }' >rows
    diff rows <(for pair; do echo "${pair/:/ } 1"; done) >out || fail "the table of $kind scaling"
}
submitted sbatch --nodes=2 --ntasks-per-node=2 --mem=1G "$clone/jobs/scaling.slurm" --config small.yaml --steps 20
ends COMPLETED 0 0
table_has strong 1:32 2:32 4:32
table_has weak 1:32 2:64 4:128
submitted sbatch --ntasks-per-node=3 --mem=1G "$clone/jobs/scaling.slurm" --config small.yaml --steps 20 --set train.lanes=2
ends COMPLETED 0 0
table_has strong 1:32 2:32
table_has weak 1:32 2:64 3:96
submitted sbatch --ntasks-per-node=3 --mem=1G "$clone/jobs/scaling.slurm" --config small.yaml --steps 20 --set train.lanes=512
ends COMPLETED 0 0
table_has strong 1:32 2:32 3:32
table_has weak 1:32 2:64

for wrong in "--steps none" "--set train.lanes=3"; do
    # shellcheck disable=SC2086 # an option and its value
    submitted sbatch --ntasks-per-node=2 --mem=1G "$clone/jobs/scaling.slurm" --config small.yaml $wrong
    ends FAILED 64 0
    says out "ram_dist: error: "
    lacks out "weak scaling"
done

RAM_DATA=$clone/data/mnist run 0 "${small[@]}" --run-dir whole
for launcher in srun mpirun; do
    sed -i "s/^LAUNCHER=[a-z]*/LAUNCHER=$launcher/" "$clone/jobs/cpu.slurm"
    submitted sbatch --nodes=2 --mem=1G "$clone/jobs/cpu.slurm" "${small[@]}" --run-dir $launcher
    ends COMPLETED 0 0
    says out "4 ranks on n[0-1] by $launcher"
    says out "messages by Open MPI"
    check same whole $launcher
done

# --- a rank that dies on one of the nodes ends the job at once, not when the others have waited for comm.timeout
sed -i "s/^LAUNCHER=[a-z]*/LAUNCHER=srun/" "$clone/jobs/cpu.slurm"
sed -i 's/ --wait=30/ --wait=2/' "$clone/jobs/common.bash"
submitted sbatch --nodes=2 --ntasks-per-node=1 --mem=1G "$clone/jobs/cpu.slurm" --config small.yaml --set train.epochs=100000 --run-dir "$work/dying"
trains dying
pkill -KILL -n -f "/ram_dist train .*--run-dir $work/dying( |\$)"
ends FAILED 137 0
finish
