#!/usr/bin/env bash
# stops.sh RAM_DIST: every way to ask a training to stop leads to 75 and a checkpoint, from which it goes on to the bits of
# a run that was never asked; however often and whenever it is asked; a second Ctrl-C ends at once.
# shellcheck disable=SC1091,SC2154 # checks.bash sets work, ram_dist, here and python
. "$(dirname "$0")/checks.bash"
blobs data 6000 200
small_model
export RAM_DATA=$work/data
settings=(--config small.yaml --set train.epochs=500 --run-dir "$work/cut" --resume auto)
catch=(env --default-signal=INT "$ram_dist") # in the background a shell has its children ignore Ctrl-C
run 0 --config small.yaml --set train.epochs=500 --run-dir whole

# An mpirun that starts nothing and heeds no signal; what becomes of it without one is seen at the end, a minute later.
mkdir deaf
printf '#!/bin/sh\nexec env --ignore-signal=TERM --ignore-signal=USR1 sleep 300\n' >deaf/mpirun
chmod +x deaf/mpirun
PATH=$work/deaf:$PATH "$ram_dist" --np 2 --config small.yaml --run-dir barren >barren.out 2>barren.err </dev/null &
barren=$!

# begin COMMAND...: in the background, until it has trained a little; sets launcher, which ends with the command's code.
begin() {
    local lines
    lines=$(rows cut)
    : >out
    "$@" >out 2>err </dev/null &
    launcher=$!
    for _ in {1..1000}; do
        [ "$(rows cut)" -le "$lines" ] || return 0
        sleep 0.01
    done
    fail "it does not train"
    finish
}

# stopped PROCESS TEXT...: it ends with 75, and one line says why.
stopped() {
    local code=0
    wait "$1" || code=$?
    [ $code -eq 75 ] || fail "exit code $code, not 75: ${*:2}"
    error_has "stopped at step" "--resume auto" "${@:2}"
    [ -e cut/checkpoints/latest/MANIFEST ] || fail "no checkpoint: ${*:2}"
}

# Signals to the one rank, to the launcher, to one rank of several.
for signal in INT TERM HUP USR1 USR2; do
    begin "${catch[@]}" "${settings[@]}"
    kill -$signal $launcher
    stopped $launcher "asked by SIG$signal"
done
for signal in INT TERM; do
    begin "${catch[@]}" --np 2 "${settings[@]}"
    kill -$signal $launcher
    stopped $launcher "asked by SIGUSR1" # which the launcher passes on
done
begin "${catch[@]}" --np 3 "${settings[@]}"
until_ranks $launcher 3
kill -TERM "${ranks[2]}"
stopped $launcher "asked by SIGTERM"

# The file, the limit on the time, the end of the job; each on one rank and on several.
for count in 1 2; do
    begin "${catch[@]}" --np $count "${settings[@]}"
    touch cut/stop
    stopped $launcher "the file \`stop\`"
    [ ! -e cut/stop ] || fail "the file is still there"
    run 0 inspect cut
    read -r epoch batch < <(sed -n 's/^epoch *\([0-9]*\), at batch \([0-9]*\)$/\1 \2/p' out)
    epoch=$((batch > 0 ? epoch : epoch - 1)) # the one that it is in, else the one that it has ended
    run 0 eval cut/checkpoints/latest --json
    says out "\"epoch\":$epoch,"
    run 0 trace cut/checkpoints/latest --output traced --name $count --limit 5
    "$python" -c 'import h5py, sys; assert h5py.File(sys.argv[1])["trace"].attrs["epoch"] == int(sys.argv[2])' \
        "traced/$count/index.h5" "$epoch" || fail "the trace of epoch $epoch says another"
    run 75 --np $count "${settings[@]}" --set train.time_limit=0.3
    error_has "train.time_limit of 0.3 seconds" "--resume auto"
    SLURM_JOB_END_TIME=$(($(date +%s) + 2)) run 75 --np $count "${settings[@]}"
    error_has "the job ends at" "--resume auto"
done
mkdir cut/stop
run 75 "${settings[@]}"
says err "by the file \`stop\` in the run folder, which cannot be deleted"
rmdir cut/stop
touch cut/stop # before the start: obeyed once
run 75 "${settings[@]}"
error_has "the file \`stop\`"

# Many signals at once, and at any moment: the launcher's start, the ranks' start, a save.
for count in 1 2; do
    begin "${catch[@]}" --np $count "${settings[@]}"
    for signal in TERM USR1 INT USR2 TERM HUP TERM; do kill -$signal $launcher; done 2>/dev/null
    stopped $launcher "asked by SIG"
done
begin "${catch[@]}" --np 2 "${settings[@]}" --set checkpoint.seconds=0.001 # it saves all the time
until_ranks $launcher 2
for signal in USR1 TERM USR2 TERM USR1; do kill -$signal "${ranks[1]}"; done
stopped $launcher "asked by SIG"
for delay in 0.01 0.1 0.3; do
    "$ram_dist" --np 2 "${settings[@]}" >out 2>err </dev/null &
    launcher=$!
    sleep $delay
    kill -TERM $launcher 2>/dev/null
    code=0
    wait $launcher || code=$?
    [ $code -eq 75 ] || [ $delay = 0.01 ] || fail "exit code $code, not 75, when asked after $delay s" # before main()
    [ $code -ne 75 ] || says err "--resume auto" # of a rank, of the launcher, or of both
done

# Who reads the output of several ranks goes away: mpirun ends them after some more lines, and nothing starts them again.
for restarts in 0 2; do
    "$ram_dist" --np 2 --max-restarts $restarts "${settings[@]}" 2>err </dev/null | head -n 5 >out
    codes=("${PIPESTATUS[@]}")
    [ "${codes[0]}" -eq 75 ] || fail "exit code ${codes[0]}, not 75, when nobody reads the output of two ranks"
    says err "; --resume auto goes on from there" # a rank, which has saved
    tail -n 1 err | grep -q '^ram_dist: error: who read the output has gone away.*--resume auto goes on' ||
        fail "the last line does not say why"
    [ "$(wc -l <err)" -eq 2 ] || fail "more than these two lines"
done

# All of that, and the bits are those of the run that was left in peace.
[ "$(rows cut)" -gt 0 ] || fail "nothing was trained"
run 0 "${settings[@]}"
quiet
check same whole cut

# Who reads the output goes away: no reason to stop either, and run.log has it all.
"$ram_dist" --config small.yaml --set train.epochs=40 --run-dir piped 2>err </dev/null | head -n 1 >out
codes=("${PIPESTATUS[@]}")
[ "${codes[0]}" -eq 0 ] || fail "exit code ${codes[0]} when nobody reads the output"
quiet
says piped/run.log "epoch 40/40"
says piped/run.log "all of it lies in"

# What is over is no reason to stop.
SLURM_JOB_END_TIME=$(($(date +%s) - 100)) run 0 --config small.yaml --run-dir late
SLURM_JOB_END_TIME=soon run 0 --config small.yaml --run-dir odd
quiet

# A second Ctrl-C ends at once; nothing that was saved is lost.
for count in 1 3; do
    endless=(--config small.yaml --set train.epochs=1000000 --set eval.rollouts=10000 --set data.validation=0.9 --run-dir "$work/endless$count")
    "${catch[@]}" --np $count "${endless[@]}" >out 2>err </dev/null &
    launcher=$!
    until_says endless$count/run.log "model: "
    memory=()
    if [ $count -gt 1 ]; then
        until_ranks $launcher $count
        mapfile -t memory < <(segments "${ranks[@]}")
    fi
    sleep 0.5 # into the first validation, which is long
    kill -INT $launcher
    sleep 0.5
    kill -0 $launcher 2>/dev/null || fail "the first Ctrl-C ended it"
    kill -INT $launcher
    started=$SECONDS code=0
    wait $launcher || code=$?
    [ $code -eq 130 ] || fail "exit code $code, not 130, on $count ranks"
    [ $((SECONDS - started)) -lt 10 ] || fail "it took $((SECONDS - started)) seconds"
    quiet
    nothing_left "$work/endless$count" "${memory[@]}"
done
PATH=$work/deaf:$PATH "${catch[@]}" --np 2 --config small.yaml --run-dir none >out 2>err </dev/null &
launcher=$!
sleep 1
kill -INT $launcher
sleep 0.5
kill -INT $launcher
started=$SECONDS code=0
wait $launcher || code=$?
[ $code -eq 130 ] || fail "exit code $code, not 130, of an mpirun that heeds no signal"
[ $((SECONDS - started)) -lt 10 ] || fail "it took $((SECONDS - started)) seconds"
code=0
wait $barren || code=$?
[ $code -eq 69 ] || fail "exit code $code, not 69, of an mpirun that starts nothing"
says barren.err "no rank appeared while the ranks were starting"
finish
