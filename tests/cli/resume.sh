#!/usr/bin/env bash
# resume.sh RAM_DIST: a training that is stopped, killed and moved to other numbers of ranks ends with the bits of one
# that never was; what may change on the way and what may not.
# shellcheck disable=SC1091,SC2154 # checks.bash sets work, ram_dist, here and python
. "$(dirname "$0")/checks.bash"
blobs data 6000 200
small_model
export RAM_DATA=$work/data
epochs=48 # long enough for a signal to come before the end
# all that a resumed run must remember: two moments or one, the average, the baseline, the plateau, the best
settings=(--config small.yaml --set train.epochs="$epochs" --set train.ema=0.95 --set train.baseline=moving_average
    --set schedule.kind=plateau --set schedule.patience=1 --set schedule.factor=0.8
    --set train.glimpse_nll=0.2 --set checkpoint.epochs=3 --set eval.average=5)

# start FOLDER COMMAND...: in the background; returns when its first epoch is done. $! ends with the command's code.
start() {
    local folder=$1 lines
    shift
    lines=$(rows "$folder")
    : >out
    "$@" >out 2>err </dev/null &
    for _ in {1..400}; do
        [ "$(rows "$folder")" -le "$lines" ] || break
        sleep 0.02
    done
    sleep 0.01 # into the next epoch
}

# stopped PROCESS WHAT: it ends with 75, and one line says how to go on.
stopped() {
    local code=0
    wait "$1" || code=$?
    [ $code -eq 75 ] || fail "exit code $code, not 75: $2"
    error_has "--resume auto"
}

run 0 "${settings[@]}" --run-dir whole
quiet
check metrics whole 5400 32 $epochs 5
best=$(sed -n 's/.*best model: epoch \([0-9]*\),.*averaged over epochs$/\1/p' whole/run.log)
[ -n "$best" ] || fail "run.log does not say which epoch was best"
run 0 watch whole --once # finds the same epoch in metrics.jsonl
grep -q "^best validation .*, epoch $best\$" out || fail "watch does not show epoch $best as the best"

# np 1 by SIGTERM, `--np 2` by SIGUSR1 to the command, np 3 by SIGTERM to one rank, then np 1 to the end.
stops_within=0
note_stop() { ! "$python" "$here/check_run.py" within "$1" >/dev/null 2>&1 || stops_within=$((stops_within + 1)); }
start cut "$ram_dist" "${settings[@]}" --run-dir cut
kill -TERM $!
stopped $! "np 1, SIGTERM"
note_stop cut
cp -r cut early
start cut "$ram_dist" --np 2 "${settings[@]}" --run-dir cut --resume auto
kill -USR1 $!
stopped $! "np 2, SIGUSR1"
note_stop cut
cp -r cut middle
# shellcheck disable=SC2016 # the rank's shell expands it
start cut "$here/../mpirun.sh" 3 sh -c 'echo $$ >pid.$OMPI_COMM_WORLD_RANK; exec "$@"' sh \
    "$ram_dist" "${settings[@]}" --run-dir cut --resume latest
kill -TERM "$(cat pid.2)"
stopped $! "np 3, SIGTERM to rank 2"
note_stop cut
run 0 --run-dir cut --resume auto # without --config: the checkpoint's configuration
quiet
says out "going on from "
check same whole cut
[ $stops_within -gt 0 ] || fail "no stop fell within an epoch"
check metrics cut 5400 32 $epochs 5

# Killed without warning, with rows written after the last checkpoint: they are kept aside, and written again.
start killed "$ram_dist" "${settings[@]}" --run-dir killed --set checkpoint.seconds=0.02
for _ in {1..400}; do
    [ ! -e killed/checkpoints/latest ] || break
    sleep 0.02
done
kill -KILL $!
wait $! 2>/dev/null
echo '{"kind":"epoch","epoch":99}' >>killed/metrics.jsonl # as if killed later
run 0 --np 2 "${settings[@]}" --run-dir killed --resume auto
quiet
says out "changed: checkpoint.seconds was 0.02, is 0"
check same whole killed
says killed/metrics.lost.jsonl '{"kind":"epoch","epoch":99}'

# A finished run, started again: 0 at once, nothing changes; as many epochs more make a run of as many epochs.
fingerprint whole >before
for ranks in 1 2; do
    run 0 --np $ranks --run-dir whole --resume auto
    quiet
    says out "this run is finished"
done
run 0 --run-dir whole --resume "$work/./whole" # its own checkpoint, written another way
says out "this run is finished"
fingerprint whole | diff before - >/dev/null || fail "a finished run was changed"
run 64 --resume whole/checkpoints/latest --run-dir other
error_has "is finished" "raise train.epochs"
rm -rf other
run 0 "${settings[@]}" --run-dir grown --set train.epochs=2 --set train.ema=0
run 0 --run-dir grown --resume auto --set train.epochs=3 --set train.batch=64
quiet
says out "changed: train.epochs was 2, is 3"
says out "changed: train.batch was 32, is 64"
grep -q "changed: matrix products" out && fail "the same products are said to be others"
LIBXSMM_TARGET=wsm run 0 --run-dir grown --resume auto --set train.epochs=4 # another instruction set
says out "changed: matrix products were computed by LIBXSMM "
run 0 --run-dir grown --resume auto --set train.epochs=5 --set train.ema=0.9999 \
    --set train.lr=0 # the average begins here
quiet
check averages grown # with the weights that were read, not with the first ones
[ "$(grep -c '"kind":"epoch"' grown/metrics.jsonl)" -eq 5 ] || fail "not five epochs"

# What may change: a fixed key never, a key of the epoch not within one, a free key, told in a line.
folder=early
"$python" "$here/check_run.py" within early >/dev/null 2>&1 || folder=middle
refuses_change() { # RANKS KEY=VALUE TEXT
    run 64 --np "$1" --run-dir $folder --resume auto --set "$2"
    error_has "${2%=*} was '" "$3"
}
if "$python" "$here/check_run.py" within $folder >/dev/null 2>&1; then
    check timed $folder
    fingerprint $folder >before
    for change in model.hidden=32 model.core=lstm train.optimizer=sgd; do
        refuses_change 1 $change --run-dir
    done
    for change in train.batch=64 train.lanes=4 seed=2 data.validation=0.2 train.samples=2 train.glimpse_nll=1 \
        train.reinforce_weight=1; do
        refuses_change 1 $change "in the middle of an epoch"
    done
    refuses_change 2 model.hidden=32 --run-dir
    refuses_change 2 seed=2 "in the middle of an epoch"
    fingerprint $folder | diff before - >/dev/null || fail "a refused change changed the run"
    run 0 --run-dir $folder --resume auto --set train.lr=0.001 --set train.epochs=4
    quiet
    says out "changed: train.lr was 0.003, is 0.001"
fi

# More ranks than the lanes of the command line, but not than those of the checkpoint.
run 0 "${settings[@]}" --run-dir wide --set train.epochs=1 --set train.lanes=16
run 0 --np 9 --run-dir wide --resume auto --set train.epochs=2
quiet

# Starting points that are not there, or are not a checkpoint.
run 0 --config small.yaml --run-dir fresh --resume auto --set train.epochs=1
says out "starting from the beginning"
for start in latest best absent small.yaml data; do
    refuses 65 "" --config small.yaml --run-dir "from_$start" --resume $start
    [ ! -e "from_$start" ] || fail "--resume $start left a run folder, though nothing began"
done

# Curves that were tampered with are not written on.
for change in 's/"epoch"/"Epoch"/' 1d; do
    cp -r grown tampered
    sed -i "$change" tampered/metrics.jsonl
    run 65 --run-dir tampered --resume auto --set train.epochs=6
    error_has "tampered/metrics.jsonl" --run-dir
    rm -r tampered
done

# Numbers that no training can have, under hashes that are right.
for change in "epoch 0" "batch -1" "step -1" "metrics_bytes -1" "best_step $((1 << 60))" "seconds nan" "rate_factor -1"; do
    cp -r grown odd
    read -r name value <<<"$change"
    "$python" "$here/state.py" odd/checkpoints/latest "$name" "$value" || fail "state.py"
    run 65 --run-dir odd --resume latest --set train.epochs=5
    error_has "state/$name is $value"
    rm -r odd
done

# Another run's checkpoint as a starting point: a new run with a best of its own, and the other is left alone.
fingerprint whole >before
run 0 --run-dir child --resume whole/checkpoints/best --set train.epochs=$((epochs + 2))
quiet
says out "going on from whole/checkpoints/"
[ -e child/checkpoints/best/MANIFEST ] || fail "a run without a best checkpoint"
run 0 --config small.yaml --run-dir plain
run 0 --run-dir still --resume plain/checkpoints/best --set train.epochs=6 --set train.lr=0 # as good, never better
quiet
says out "best model: epoch 5, " # the first of its own
fingerprint whole | diff before - >/dev/null || fail "the run it went on from was changed"
run 0 --run-dir worse --resume plain/checkpoints/best --set train.epochs=6 --set train.lr=1
read -r epoch error < <(sed -n 's/.*best model: epoch \([56]\), validation error /\1 /p' out)
[ -n "$error" ] || fail "the best of a new run is none of its own"
command_run 0 "$here/../mpirun.sh" 2 "$ram_dist" inspect worse # two processes, one page
[ "$(grep "^best validation " out | tr -s ' ')" = "best validation $error error, epoch $epoch (step $(readlink worse/checkpoints/best | sed 's/step-0*//'))" ] ||
    fail "inspect tells another best error than $error, or twice"
finish
