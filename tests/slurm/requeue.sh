#!/usr/bin/env bash
# requeue.sh RAM_DIST: a job that is warned, preempted or cancelled on a real Slurm saves, and what goes on ends with the
# weights of a run that nobody disturbed, bit for bit; the way back into the queue is bounded.
# shellcheck disable=SC1091,SC2154 # cluster.bash sets work, clone, job
. "$(dirname "$0")/cluster.bash"
fresh_clone 6000 200
cluster -g 4 -c 32
small=(--config small.yaml --set train.epochs=150 --set train.ema=0.95 --set checkpoint.epochs=50)
RAM_DATA=$clone/data/mnist run 0 "${small[@]}" --set threads=1 --run-dir whole
script() { # NAME RUN SBATCH OPTION...: submits
    submitted sbatch "${@:3}" "$clone/jobs/$1" "${small[@]}" --device cpu --run-dir "$2"
}

# --- the warning, twice: checkpoint, requeue, restart; then finished
warn() { # SIGNAL
    scancel --signal="$1" --batch "$job"
    sleep 0.05
    scancel --signal="$1" --batch "$job" # a second one does no harm
}
restart() { # at once; not in the same second, in which Slurm revokes what the job was granted
    for _ in {1..200}; do
        scontrol show job "$job" | grep -q 'JobState=PENDING' && break
        sleep 0.1
    done
    sleep 2
    scontrol update jobid="$job" StartTime=now
}
script v100.slurm warned
trains warned
warn USR2
restart
trains warned
warn USR1
restart
ends COMPLETED 0 2
says out "back into the queue"
says out "restart 2: 4 ranks"
[ "$(grep -c 'going on from ' out)" -eq 2 ] || fail "the restarted job did not go on"
check same whole warned

# --- a program that was stopped by the file RUN/stop, or that fails, is not started again
for code in 75 76; do
    # shellcheck disable=SC2016 # the words of the program
    printf '#!/bin/sh\n%s\nexit %s\n' "echo 'error: stopped at step 7: asked by the file \`stop\`' >>filed/run.log" $code >stub
    chmod +x stub
    mkdir -p filed
    sed "s|^PROGRAM=''|PROGRAM=$work/stub|" "$clone/jobs/cpu.slurm" >"$clone/jobs/stub.slurm"
    sed -i 's/^script=cpu/script=stub/' "$clone/jobs/stub.slurm"
    script stub.slurm filed
    ends FAILED $code 0
    lacks out "back into the queue"
done

# --- no more than REQUEUES times; then the same command goes on
sed -i 's/^REQUEUES=50/REQUEUES=0/' "$clone/jobs/cpu.slurm"
script cpu.slurm bounded
trains bounded
warn USR2
ends FAILED 75 0
says out "stopped after 0 restarts"
sed -i 's/^REQUEUES=0/REQUEUES=50/' "$clone/jobs/cpu.slurm"

# --- by mpirun, where Slurm has no PMIx; a warning before there are ranks is kept
sed -i 's/^LAUNCHER=auto/LAUNCHER=mpirun/' "$clone/jobs/cpu.slurm"
builds() { # returns when the job builds the program
    for _ in {1..200}; do
        [ ! -d "$clone/build/release/building" ] || return 0
        sleep 0.05
    done
    fail "the job builds nothing"
}
rm -r "$clone/build"
echo "error: stopped at step 7: asked by the file \`stop\`" >>bounded/run.log # of an earlier start
BUILD_SECONDS=2 script cpu.slurm bounded
builds
scancel --signal=USR2 --batch "$job"
restart
trains bounded
warn USR2
restart
ends COMPLETED 0 2
says out "by mpirun"
[ "$(grep -c 'run folder: bounded' out)" -eq 2 ] || fail "ranks were started after the warning"
check same whole bounded

# --- put back into the queue while it builds: what lies there is not the program that it began with
printf '#!/bin/sh\nexit 3\n' >"$clone/build/release/ram_dist"
BUILD_SECONDS=4 script cpu.slurm rebuilt
builds
scontrol requeue "$job"
restart
rmdir "$clone/build/release/building"
ends COMPLETED 0 1
check same whole rebuilt

# --- preempted by a job of a higher partition
sed -i 's/^LAUNCHER=mpirun/LAUNCHER=auto/' "$clone/jobs/cpu.slurm"
script cpu.slurm preempted --partition=low --exclusive
trains preempted
command_run 0 srun --partition=debug --exclusive sleep 1
ends COMPLETED 0 1
says out "back into the queue"
check same whole preempted

# --- cancelled: the ranks save what they have within KillWait, nothing is requeued, and another job goes on
script cpu.slurm cancelled
trains cancelled
scancel "$job"
ends CANCELLED 75 0
for _ in {1..100}; do # the ranks may outlive the record
    squeue -h | grep -q . || break
    sleep 0.1
done
script cpu.slurm cancelled
ends COMPLETED 0 0
says out "going on from "
check same whole cancelled
finish
