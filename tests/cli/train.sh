#!/usr/bin/env bash
# train.sh RAM_DIST: training as a user meets it: the run folder, what is learned, schedules, variants, output.
# shellcheck disable=SC1091,SC2154 # checks.bash sets work, ram_dist, here and python
. "$(dirname "$0")/checks.bash"
blobs data 600 200
small_model
export RAM_DATA=$work/data
batches=17 # of an epoch: 540 training images by 32

# No argument at all, in an empty folder. The defaults are larger than this data set needs: two epochs suffice.
mkdir empty && cd empty || exit 1
command_run 0 "$ram_dist"
quiet
says "$work/out" "run folder: logs/default"
[ "$(grep -c '^epoch ' "$work/out")" -eq 30 ] || fail "not one line an epoch"
tail -n 1 "$work/out" | grep -q 'logs/default' || fail "the last line does not say where all lies"
! grep -q "$(printf '\r')" "$work/out" || fail "a terminal's line in a file"
check metrics logs/default 540 128 30
check learned logs/default 10
[ "$(ls -A logs/default)" = "$(printf '%s\n' .lock checkpoints config.yaml metrics.jsonl run.log traces)" ] ||
    fail "the run folder holds $(ls -A logs/default)"
cd "$work" || exit 1

# A run says the same on the terminal and in run.log.
run 0 --config small.yaml --run-dir one
quiet
cut -c21- one/run.log | diff - out >/dev/null || fail "run.log is not what was printed"
check metrics one 540 32 4

# Its config.yaml repeats it; every number of ranks and threads gives the same; another seed does not.
run 0 --config one/config.yaml --run-dir again
check same one again
run 0 --np 3 --config small.yaml --run-dir three
quiet
check same one three
run 0 --np 4 --config small.yaml --run-dir four --set threads=2
quiet
[ "$(grep -c '^epoch 1/4 ' out)" -eq 1 ] || fail "not exactly one rank prints"
check same one four
run 0 --np 3 --config small.yaml --run-dir uneven --set threads=3 # two lanes, three, and three
says out "3 ranks x 3 threads"
lacks out "lanes: using"
check same one uneven
run 0 --config small.yaml --run-dir capped --set threads=4 --set train.lanes=2
says out "4 threads a rank, but at most 2 lanes: using 2"
run 0 --config small.yaml --run-dir seeded --set seed=2
check differ one seeded

# An existing run is not touched.
find one -type f -exec cksum {} + | sort >before
refuses 64 "one holds a run already" --config small.yaml --run-dir one
error_has --resume --run-dir
refuses 64 "one holds a run already" --np 2 --config small.yaml --run-dir one
find one -type f -exec cksum {} + | sort | diff before - >/dev/null || fail "a refused start changed the run"

# Schedules, each with and without a warm-up.
for warmup in 0 1.5; do
    for kind in constant cosine linear plateau; do
        rm -rf rates
        run 0 --config small.yaml --run-dir rates --set schedule.kind=$kind --set schedule.warmup=$warmup \
            --set train.epochs=7 --set schedule.patience=1 --set schedule.factor=0.25
        check rates rates $batches $kind 7 0.003 $warmup 0.25 1
    done
done

# With a learning rate of nothing no epoch is better than the first: early stop is exact.
run 0 --config small.yaml --run-dir early --set train.patience=3 --set train.lr=0 --set train.epochs=20
says out "best model: epoch 1, "
check waited early 3 20

# Every baseline with both cores, other optimisers, evaluation by mean and by roll-outs: each is a training of its own.
variants=0
variant() {
    variants=$((variants + 1))
    local settings=() setting
    for setting; do settings+=(--set "$setting"); done
    run 0 --config small.yaml --run-dir "variant$variants" --set train.epochs=2 "${settings[@]}"
    quiet
    check metrics "variant$variants" 540 32 2
    [ $variants -eq 1 ] || check_other "variant$((variants - 1))" "variant$variants"
}
check_other() { # the curves of two variants
    ! diff -q <(sed 's/"seconds".*//' "$1/metrics.jsonl") <(sed 's/"seconds".*//' "$2/metrics.jsonl") >/dev/null ||
        fail "$1 and $2 are the same training"
}
for core in rnn lstm; do
    for baseline in learned moving_average none; do variant model.core=$core train.baseline=$baseline; done
    variant model.core=$core train.baseline=others train.samples=3
done
variant model.locator=linear train.optimizer=sgd train.nesterov=true train.clip=1 train.ema=0.9 train.lr=0.05
variant data.task=cluttered data.canvas=24 data.distractors=2 model.scales=2
variant data.task=translated data.canvas=24 data.mean=auto data.stddev=auto
variant eval.policy=mean
grep -q '"policy":"mean"' "variant$variants/metrics.jsonl" || fail "eval.policy is not in the metrics"
variant eval.rollouts=3 train.weight_decay=0.1
grep -q '"rollouts":3' "variant$variants/metrics.jsonl" || fail "eval.rollouts is not in the metrics"

# One step an epoch: the curve shows all rewards that the moving average is of.
run 0 --config small.yaml --run-dir moved --set train.baseline=moving_average --set train.batch=1000
check moved moved

# Numbers that blow up.
for ranks in 1 2; do
    run 76 --np $ranks --config small.yaml --run-dir nan$ranks --set train.lr=1000 --set train.optimizer=sgd
    error_has "not finite" "train.lr"
done

# A terminal gets a line that is written over; a dumb one gets none, and neither gets colours.
if command -v script >/dev/null; then
    shown="'$ram_dist' --config small.yaml --run-dir shown --set train.epochs=60"
    TERM=xterm timeout 60 script -qec "$shown" /dev/null >out 2>err </dev/null
    grep -q "$(printf '\r')"'.*ETA' out || fail "no progress line on a terminal"
    ! grep -q "$(printf '\033')"'\[[0-9;]*m' out || fail "colours, whatever NO_COLOR says"
    TERM=dumb timeout 60 script -qec "'$ram_dist' --config small.yaml --run-dir dumb" /dev/null >out 2>err </dev/null
    ! grep -q "$(printf '\033')" out || fail "control sequences on a dumb terminal"
fi
finish
