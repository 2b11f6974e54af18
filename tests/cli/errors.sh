#!/usr/bin/env bash
# errors.sh RAM_DIST: what a user, a disk or another run can do wrong, on one rank and on several: one line of error,
# the right code, no rank that waits for ever, nothing lost.
# shellcheck disable=SC1091,SC2154 # checks.bash sets work, ram_dist, here and python
. "$(dirname "$0")/checks.bash"
blobs data 600 200
small_model
export RAM_DATA=$work/data
mpirun=$here/../mpirun.sh
small=(--config small.yaml)

# --- bench: a batch that no epoch fills

refuses 64 "train.batch is 541, but there are only 540 training images" bench "${small[@]}" --set train.batch=541

# --- a model that the memory is too small for: no rank begins. A sanitizer's shadow has no place in such a limit.

if ! grep -q __asan_init "$ram_dist"; then
    for limit in 600000 800000 1000000 1200000; do # KiB; what is lacking first differs
        for np in 1 2; do
            command_run 64 bash -c 'ulimit -v '$limit'; exec "$@"' bash "$ram_dist" --np $np --set model.hidden=4096 \
                --set model.glimpses=2 --set threads=1 --run-dir large
            error_has "out of memory: " " MiB are free"
            [ -z "$(find large -name '*.h5' -o -name metrics.jsonl)" ] ||
                fail "a training without memory wrote something"
        done
    done
    run 0 --np 2 "${small[@]}" --run-dir large
    # nor is there a thread whose stack has no room
    most=$(ulimit -Hs)
    if [ "$most" = unlimited ] || [ "$most" -ge 1000000 ]; then
        command_run 64 bash -c 'ulimit -s 1000000 && ulimit -v 900000; exec "$@"' bash "$ram_dist" "${small[@]}" \
            --set threads=2 --run-dir thread
        error_has "cannot start thread 2 of 2: " "lower \`threads\`"
    else
        echo "SKIPPED: threads without room, since stacks are limited to $most KiB here"
    fi
fi

for np in 1 2; do
    command_run 64 bash -c 'ulimit -s 512; exec "$@"' bash "$ram_dist" --np $np "${small[@]}" --run-dir large
    error_has "ulimit -s" "is 512 KiB: allow 2048 or more"
done

# --- hosts that share no /tmp

cat >host <<SH
#!/bin/sh
# mpirun's remote shell: HOST COMMAND..., here with a /tmp of its own, into which this folder and the project come again
shift
exec unshare -m sh -c 'mount -t tmpfs none /mnt && mkdir /mnt/0 /mnt/1 && mount --bind "\$0" /mnt/0 &&
    mount --bind "\$1" /mnt/1 && mount -t tmpfs none /tmp && mkdir -p "\$0" "\$1" && mount --bind /mnt/0 "\$0" &&
    mount --bind /mnt/1 "\$1" && cd "\$0" && exec sh -c "\$2"' "\$PWD" "$(cd "$here/../.." && pwd)" "\$*"
SH
chmod +x host
if unshare -m mount --bind . /mnt 2>err; then
    cp "$ram_dist" program # which may lie in /tmp
    command_run 0 env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --quiet --mca plm rsh \
        --mca plm_rsh_agent "$work/host" --mca pml ob1 --mca btl self,tcp -host one:1,two:1 -np 2 -wdir "$work" \
        -x RAM_DATA "$work/program" bench "${small[@]}" --steps 2
    grep -q '^checkpoint ' out || fail "no checkpoint was timed over two hosts"
    [ -z "$(find . -name 'ram_dist-bench-*')" ] || fail "bench left its folder"
else
    echo "SKIPPED: bench on two hosts, since unshare -m is not allowed here"
fi

# --- a configuration that can be read but once

mkfifo fifo # nobody writes to it: it must not be waited for
refuses 64 "fifo is a pipe" train --config fifo
refuses 64 "is a pipe" train --np 2 --config <(cat small.yaml)

# --- ranks that were given different things

# differ TEXT COMMAND: on three ranks, a shell's command for each, which has the rank's number in $OMPI_COMM_WORLD_RANK.
differ() {
    command_run 64 "$mpirun" 3 sh -c "program=$ram_dist; $2"
    error_has "$1"
}
# shellcheck disable=SC2016 # the rank's shell expands it
{
    mkdir host{0,1,2} && for rank in 0 1 2; do cp small.yaml host$rank/x.yaml; done
    echo 'eval: {rollouts: 3}' >>host2/x.yaml
    differ "rank 0 and rank 1 were given different arguments" 'exec $program --config small.yaml --set seed=$OMPI_COMM_WORLD_RANK'
    differ "rank 0 and rank 2 were given different arguments" \
        'if [ $OMPI_COMM_WORLD_RANK -lt 2 ]; then exec $program --config small.yaml; else exec $program --config small.yaml --resume auto; fi'
    differ "rank 0 and rank 2 read different configurations (eval.rollouts)" \
        'cd host$OMPI_COMM_WORLD_RANK && exec $program --config x.yaml'
}
if [ -e logs ] || [ -e host0/logs ]; then fail "a refused start left a folder"; fi

# --- data that one rank alone cannot read

# on_rank RANK RANKS VARIABLE=VALUE...: ram_dist on RANKS ranks, with the variables set for one of them alone.
# shellcheck disable=SC2016 # the rank's shell expands it
on_rank() {
    local rank=$1 ranks=$2
    shift 2
    if [ "$ranks" -eq 1 ]; then
        env "$@" "$ram_dist" "${small[@]}" --run-dir "run$((++runs))"
    else
        "$mpirun" "$ranks" sh -c 'run=$1 rank=$2 program=$3 variable=$4
            [ "$OMPI_COMM_WORLD_RANK" != "$rank" ] || export "$variable"
            exec "$program" --config small.yaml --run-dir "$run"' sh "run$((++runs))" "$rank" "$ram_dist" "$1"
    fi
}
runs=0
export -f on_rank

# bad_data CODE TEXT FOLDER [RANK/RANKS...]: with the folder as one rank's data, alone and beside another.
bad_data() {
    local pair rank ranks
    for pair in 0/1 1/2 ${4-}; do
        rank=${pair%/*} ranks=${pair#*/}
        limited "$1" on_rank "$rank" "$ranks" RAM_DATA="$work/$3"
        error_has "$2"
        [ ! -s out ] || fail "an error printed to stdout: $3 on rank $rank of $ranks"
    done
}
limited() { # CODE FUNCTION...: `command_run` for a function, which `timeout` cannot call
    local expected=$1 code=0 process guard
    shift
    "$@" >out 2>err </dev/null &
    process=$!
    (sleep 20 && kill -KILL $process) 2>/dev/null &
    guard=$!
    wait $process || code=$?
    kill $guard 2>/dev/null
    wait $guard 2>/dev/null
    [ $code -eq "$expected" ] || fail "exit code $code, not $expected: $*"
}

images=train-images-idx3-ubyte labels=train-labels-idx1-ubyte
spoil() { # FOLDER: a copy of the data to spoil
    cp -r data "$1" && cd "$1" || exit 1
}
(spoil truncated && truncate -s -1 $images)
(spoil longer && echo >>t10k-labels-idx1-ubyte)
(spoil magic && printf 'IDX?' | dd of=$images conv=notrunc status=none)
(spoil fewer && cp t10k-labels-idx1-ubyte $labels)
(spoil lacking && rm t10k-images-idx3-ubyte)
(spoil folder && rm $labels && mkdir $labels)
(spoil pipe && rm $labels && mkfifo $labels)
(spoil packed && gzip $images && truncate -s -9 $images.gz)
(spoil empty && : >$images)
bad_data 65 $images truncated "0/2 2/3"
bad_data 65 t10k-labels longer
bad_data 65 $images magic
bad_data 65 $labels fewer
bad_data 64 t10k-images lacking
bad_data 65 $labels folder
bad_data 65 $labels pipe
bad_data 65 $images.gz packed
bad_data 65 $images empty
bad_data 64 "$work/absent" absent "0/3"
# good files, but not those of the other ranks
(spoil other && printf x | dd of=$images bs=1 seek=99 conv=notrunc status=none)
for pair in 1/2 2/3; do
    limited 65 on_rank ${pair%/*} ${pair#*/} RAM_DATA="$work/other"
    error_has "different data" "rank ${pair%/*}"
done

# --- arguments and keys: one line on any number of ranks

: >file
for ranks in 1 2; do
    start=(--np "$ranks" "${small[@]}" --run-dir bad)
    refuses 64 "did you mean 'train.lr'" "${start[@]}" --set train.lrr=1
    refuses 64 "train.lr" "${start[@]}" --set train.lr=1e30
    refuses 64 "train.samples" "${start[@]}" --set train.baseline=others
    refuses 64 "bogus" "${start[@]}" --bogus
    refuses 64 "absent.yaml" --np $ranks --config absent.yaml --run-dir bad
    refuses 64 "file" "${start[@]}" --set data.dir=file
    refuses 64 "canvas" "${start[@]}" --set data.task=cluttered --set data.canvas=5
    refuses 74 "file" "${start[@]}" --run-dir file/run
    refuses 64 "run.dir" "${start[@]}" --run-dir "$(printf '%0600d' 0)"
    refuses 64 "comm.backend" "${start[@]}" --comm nccl --device cpu
    refuses 64 "train.reduction" "${start[@]}" --device cpu --set train.reduction=fast
    CUDA_VISIBLE_DEVICES='' refuses 69 "comm.backend nccl needs a GPU" "${start[@]}" --comm nccl
    CUDA_VISIBLE_DEVICES='' refuses 64 "train.reduction is fast" "${start[@]}" --set train.reduction=fast
    RAM_FAULT=rust:1 refuses 64 "rust" "${start[@]}"
done
refuses 64 "comm.backend" --np 2 "${small[@]}" --set comm.backend=self
[ ! -e bad/checkpoints/latest ] || fail "a run that was refused trained"

# More ranks than lanes: refused before anything is made, and by `--np` before a rank is started.
rm -rf logs
mkdir no_ranks && printf '#!/bin/sh\nexit 70\n' >no_ranks/mpirun && chmod +x no_ranks/mpirun
for resume in "" "--resume auto"; do
    # shellcheck disable=SC2086 # words
    PATH="$PWD/no_ranks:$PATH" refuses 64 "1000 ranks share 8 lanes" --np 1000 "${small[@]}" $resume
    # shellcheck disable=SC2086
    command_run 64 "$mpirun" 3 "$ram_dist" "${small[@]}" --set train.lanes=2 $resume
    error_has "3 ranks share 2 lanes"
    [ ! -s out ] || fail "an error printed to stdout"
done
PATH="$PWD/no_ranks:$PATH" refuses 65 "--resume absent" --np 2 "${small[@]}" --resume absent
[ ! -e logs ] || fail "a refused run left a folder"
mkdir -p logs/held && touch logs/held/metrics.jsonl
PATH="$PWD/no_ranks:$PATH" refuses 64 "logs/held holds a run already" --np 2 "${small[@]}" --run-dir logs/held

# --- folders that cannot be written

mkdir closed && chmod 555 closed
cp -r data secret && chmod 000 secret/$images
for ranks in 1 2; do
    as_nobody 74 --np $ranks --config small.yaml --run-dir closed/run
    error_has "closed" "ermission denied"
    as_nobody 74 --np $ranks --config small.yaml --run-dir closed
    error_has "closed" "ermission denied"
done
mkdir open && chmod 777 open
as_nobody 74 --config small.yaml --run-dir open/run --set data.dir=secret
error_has $images "ermission denied"

# --- disks that fill up

# A checkpoint that cannot be written is a warning; the one at the end is not, and what was there is intact.
run 0 "${small[@]}" --run-dir whole
for ranks in 1 2; do
    operation=60 # the first from here on that belongs to a checkpoint's files
    until rm -rf bump$ranks && RAM_FAULT=eio:$operation@0 run 0 --np $ranks "${small[@]}" --run-dir "bump$ranks" &&
        grep -q 'no checkpoint at step' err || [ $operation -gt 90 ]; do
        operation=$((operation + 1))
    done
    [ "$(grep -c '^ram_dist: warning: no checkpoint at step .*training goes on' err)" -eq 1 ] || fail "not one warning"
    [ "$(wc -l <err)" -eq 1 ] || fail "more than one line"
    check metrics "bump$ranks" 540 32 4
    RAM_FAULT=enospc:$operation+@0 run 74 --np $ranks "${small[@]}" --run-dir "full$ranks"
    grep -q '^ram_dist: warning: no checkpoint at step .*No space left' err || fail "no warning of a full disk"
    tail -n 1 err | grep -q '^ram_dist: error: .*No space left' || fail "the last line is no error"
    run 0 --np $ranks --run-dir "full$ranks" --resume auto
    check same whole "full$ranks"
done

# A limit that metrics.jsonl itself meets: 74, and the run goes on from there.
many=(--set train.epochs=600 --set checkpoint.epochs=0 --set model.hidden=4 --set train.batch=540)
run 0 "${small[@]}" "${many[@]}" --run-dir long
# shellcheck disable=SC2016 # the inner shell expands it
command_run 74 bash -c 'ulimit -f 192; exec "$@"' bash "$ram_dist" "${small[@]}" "${many[@]}" --run-dir short
error_has "cannot write short/metrics.jsonl"
run 0 "${small[@]}" "${many[@]}" --run-dir short --resume auto
check same long short
if [ "$(id -u)" -eq 0 ] && mkdir disk && mount -t tmpfs -o size=256k none disk 2>/dev/null; then
    run 74 "${small[@]}" --run-dir disk/run --set train.epochs=40 --set checkpoint.keep=9
    grep -q '^ram_dist: warning: no checkpoint at step .*No space left' err || fail "no warning of a full disk"
    tail -n 1 err | grep -q '^ram_dist: error: .*No space left' || fail "the last line is no error"
    mount -o remount,size=64m disk
    run 0 "${small[@]}" --run-dir disk/run --set train.epochs=40 --resume auto
    run 0 "${small[@]}" --run-dir forty --set train.epochs=40
    check same forty disk/run
    umount disk
fi

# Closed descriptors: what is printed gets into no file of the run.
"$ram_dist" "${small[@]}" --run-dir mute <&- >&- 2>&- || fail "exit code $? with no stdin, stdout and stderr"
lacks mute/.lock "epoch"
[ "$(grep -c 'epoch 1/' mute/run.log)" -eq 1 ] || fail "run.log has not each line once"

# metrics.jsonl deleted under a training is written anew; where another file took its place, that is left, and another
# folder goes on.
for place in deleted taken; do
    "$ram_dist" "${small[@]}" --run-dir $place --set train.epochs=100000 >out 2>err </dev/null &
    first=$!
    until_says out 'epoch 1/'
    rm $place/metrics.jsonl
    [ $place = deleted ] || echo other >$place/metrics.jsonl
    kill -TERM $first
    code=0
    wait $first || code=$?
    [ $code -eq 75 ] || fail "a run without metrics.jsonl ended with $code"
    if [ $place = deleted ]; then
        says err "deleted/metrics.jsonl was gone: it is written anew"
        run 75 "${small[@]}" --run-dir deleted --resume auto --set train.epochs=100000 --set train.time_limit=0.2
        [ "$(grep -c '"kind":"epoch","epoch":1,' deleted/metrics.jsonl)" -eq 1 ] || fail "the curve lost its beginning"
    else
        says err "taken/metrics.jsonl is gone or another file"
        run 65 "${small[@]}" --run-dir taken --resume auto
        error_has "put the file back, or go on in another folder"
        run 75 --run-dir saved --resume taken/checkpoints/latest --set train.time_limit=0.2
    fi
done

# --- two runs in one folder

"$ram_dist" "${small[@]}" --run-dir shared --set train.epochs=100000 >first 2>&1 </dev/null &
first=$!
for _ in {1..400}; do
    ! grep -q '^epoch 1/' first || break
    sleep 0.02
done
for ranks in 1 2; do
    refuses 64 "process $first on $(uname -n)" --np $ranks "${small[@]}" --run-dir shared --resume auto
    error_has "shared is in use"
done
kill -TERM $first
code=0
wait $first || code=$?
[ $code -eq 75 ] || fail "the first run ended with $code"
run 0 "${small[@]}" --run-dir shared --resume auto --set train.epochs=1
finish
