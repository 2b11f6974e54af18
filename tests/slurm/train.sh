#!/usr/bin/env bash
# train.sh RAM_DIST: jobs/v100.slurm and cpu.slurm from a fresh clone on a real Slurm: what is checked before anything
# is submitted or trained, how jobs build, start their ranks and end.
# shellcheck disable=SC1091,SC2154 # cluster.bash sets work, clone, job
. "$(dirname "$0")/cluster.bash"
fresh_clone 600 200
cluster -g 4 -c 32
small=(--config small.yaml --set train.epochs=2)

# fake_toolkit RELEASE CODE...: an nvcc that can build for these.
fake_toolkit() {
    mkdir -p toolkit
    cat >toolkit/nvcc <<NVCC
#!/bin/sh
[ "\$1" = --version ] && echo "Cuda compilation tools, release $1, V$1.0" || printf '%s\n' ${*:2}
NVCC
    chmod +x toolkit/nvcc
}
# script_refuses CODE TEXT COMMAND...: a job script that does not submit itself, and says why in one line.
script_refuses() {
    command_run "$1" "${@:3}"
    [ "$(wc -l <err)" -eq 1 ] || fail "stderr is not one line: ${*:3}"
    grep -q "^[a-z0-9]*\.slurm: error: .*$2" err || fail "the error does not say '$2'"
    [ ! -s out ] || fail "an error printed to stdout: ${*:3}"
}
jobs_known() { scontrol -o show jobs | grep -c '^JobId='; }

# --- checked before: toolkit, data, partition
PATH=$work/toolkit:$PATH
fake_toolkit 13.0 sm_75 sm_80 sm_90
script_refuses 69 'CUDA 13.0 .* cannot build for sm_70' "$clone/jobs/v100.slurm" "${small[@]}"
SBATCH_PARTITION=nope script_refuses 69 'nvalid partition' "$clone/jobs/v100.slurm" --device cpu "${small[@]}"
mv "$clone/data/mnist/t10k-labels-idx1-ubyte" .
command_run 64 "$clone/jobs/v100.slurm" --device cpu "${small[@]}"
says err "fetch_mnist.sh: no network"
says err "lacks t10k-labels-idx1-ubyte"
command_run 64 "$clone/jobs/cpu.slurm" --config
says err "cpu.slurm: error: --config needs a value"
[ "$(jobs_known)" -eq 0 ] || fail "a script that refuses has submitted a job"

# submitted directly, the job itself says the same and ends
submitted sbatch "$clone/jobs/v100.slurm" "${small[@]}"
ends FAILED 69 0
says out "cannot build for sm_70"
submitted sbatch "$clone/jobs/cpu.slurm" "${small[@]}"
ends FAILED 64 0
says out "lacks t10k-labels-idx1-ubyte"
# shellcheck disable=SC2016 # the inner shell expands it
submitted sh -c 'sbatch <"$1"' sh "$clone/jobs/cpu.slurm"
ends FAILED 64 0
says out "submit it as jobs/cpu.slurm"
mv t10k-labels-idx1-ubyte "$clone/data/mnist/"
[ ! -e "$clone/build" ] || fail "something was built for jobs that cannot run"

# --- four ranks on four fake GPUs to the end, twice: the second finds the run finished
fake_toolkit 12.4 sm_70 sm_90
submitted "$clone/jobs/v100.slurm" --device cpu "${small[@]}"
ends COMPLETED 0 0
says out "4 ranks on"
says out "by srun"
says out "4 ranks x"
says out "test, learned policy"
[ -e "$clone/logs/small/checkpoints/best/index.h5" ] || fail "no best model in logs/small"
[ "$(rows "$clone/logs/small")" -eq 7 ] || fail "not the rows of two epochs"
submitted sbatch --export=NONE "$clone/jobs/cpu.slurm" "${small[@]}" --run-dir bare # what the script sets reaches the ranks
ends COMPLETED 0 0
submitted sbatch "$clone/jobs/v100.slurm" --device cpu "${small[@]}"
ends COMPLETED 0 0
says out "this run is finished"

# --- the user's own run folder and resume; the program's exit codes are the job's; a program without CUDA says so
submitted sbatch "$clone/jobs/cpu.slurm" "${small[@]}" --run-dir own --resume latest
ends FAILED 65 0
submitted sbatch --ntasks-per-node=2 --gpus-per-node=2 --mem=1G "$clone/jobs/h200.slurm" "${small[@]}" --run-dir gpu
ends FAILED 69 0
says out "cuda"

# --- submitted by a relative path, from a folder of the tree; what the script is told wrongly
sed "s/^LAUNCHER=auto/LAUNCHER=ssh/" "$clone/jobs/cpu.slurm" >"$clone/jobs/wrong.slurm"
sed -i "s/^script=cpu/script=wrong/; s/^MODULES=''/MODULES='no-such'/" "$clone/jobs/wrong.slurm"
cd "$clone/configs" || exit 1
job=$(sbatch --parsable --output="$work/wrong-%j.out" ../jobs/wrong.slurm)
cd "$work" || exit 1
ends FAILED 69 0
says out "cannot load the modules 'no-such'"
sed -i "s/^MODULES=.*/MODULES=''/" "$clone/jobs/wrong.slurm"
submitted sbatch "$clone/jobs/wrong.slurm"
ends FAILED 64 0
says out "LAUNCHER is 'ssh'"

# --- jobs of a new clone that start together build one after the other
rm -r "$clone/build"
submitted sbatch --mem=1G "$clone/jobs/cpu.slurm" "${small[@]}" --run-dir one
first=$job
submitted sbatch --mem=1G "$clone/jobs/cpu.slurm" "${small[@]}" --run-dir two --set seed=2
ends COMPLETED 0 0
job=$first
ends COMPLETED 0 0
check differ one two

# --- installed scripts run the installed program, in the folder of the submission
mkdir -p prefix/bin prefix/share/ram_dist
cp "$ram_dist" prefix/bin
cp -r "$clone/jobs" "$clone/configs" "$clone/data" prefix/share/ram_dist
submitted sbatch --mem=1G prefix/share/ram_dist/jobs/cpu.slurm "${small[@]}"
ends COMPLETED 0 0
[ -e logs/small/checkpoints/best/index.h5 ] || fail "no run in logs/small of the submission's folder"
[ ! -e prefix/share/ram_dist/build ] || fail "an installed tree was built in"
mkdir -p data && mv prefix/share/ram_dist/data/mnist data # nor need the data lie there
submitted sbatch --mem=1G prefix/share/ram_dist/jobs/cpu.slurm "${small[@]}" --run-dir beside
ends COMPLETED 0 0
finish
