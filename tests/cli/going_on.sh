#!/usr/bin/env bash
# going_on.sh RAM_DIST: a run goes on from any of its sets, also when it is cut short doing so, copied, or asked for something
# that cannot be; and nothing that was saved is taken away by asking.
# shellcheck disable=SC1091,SC2154 # checks.bash sets work, ram_dist, here and python
. "$(dirname "$0")/checks.bash"
blobs data 600 200
blobs other 600 150
small_model
export RAM_DATA=$work/data
settings=(--config small.yaml --set checkpoint.keep=9 --set train.batch=64 --set trace.every=1 --set trace.count=4)
run 0 "${settings[@]}" --run-dir whole
mapfile -t steps < <(cd whole/checkpoints && ls -d step-*)

# Asking a finished run for less, or for what cannot change any more, changes nothing.
fingerprint whole >before
run 0 --run-dir whole --resume "whole/checkpoints/${steps[0]}" --set train.epochs=1
says out "this run is finished"
refuses 64 "cannot change any more" --run-dir whole --resume auto --set seed=2
RAM_DATA=$work/nothing run 0 --run-dir whole --resume auto # its data is not needed any more
fingerprint whole | diff before - >/dev/null || fail "a finished run was changed"

# An end that is moved to where the run stands already: the best is measured, and then the run is finished.
for end in epochs=1 patience=1; do
    rm -rf ended
    RAM_FAULT=nan:20 run 76 "${settings[@]}" --set train.lr=0 --set train.epochs=9 --run-dir ended # in epoch 3
    run 0 --np 2 --run-dir ended --resume auto --set train.$end
    quiet
    [ "$(grep -c '"split":"test"' ended/metrics.jsonl)" -eq 3 ] || fail "no test figures with $end"
    says out "best model: epoch 1, "
    says ended/config.yaml "  ${end/=/: }"
    fingerprint ended >after
    run 0 --run-dir ended --resume auto
    says out "this run is finished"
    fingerprint ended | diff after - >/dev/null || fail "a run that was ended was changed"
done

# Going back to an older set, killed before each file operation on the way: the run goes on to the same end.
for n in {1..30}; do
    rm -rf back
    cp -r whole back
    code=0
    RAM_FAULT=kill:$n timeout -k 5 90 "$ram_dist" "${settings[@]}" --run-dir back \
        --resume "back/checkpoints/${steps[0]}" >out 2>err </dev/null || code=$?
    [ $code -eq 137 ] || fail "exit code $code with RAM_FAULT=kill:$n"
    run 0 "${settings[@]}" --run-dir back --resume auto
    check same whole back
done 2>/dev/null
rm -rf back
cp -r whole back
run 0 --np 2 --run-dir back --resume "back/checkpoints/${steps[1]}" --set train.epochs=3
quiet
[ "$(ls back/traces)" = "$(printf '%s\n' epoch-000{0..3})" ] || fail "back/traces holds $(ls -A back/traces)"
[ -e back/traces/.bad-epoch-0004/MANIFEST ] || fail "the trace of the course that was left is gone"

# A faulty disk, one operation at a time: an error or a warning, and the run goes on to the same weights.
for n in {1..120..3}; do
    rm -rf faulty
    code=0
    RAM_FAULT=eio:$n timeout -k 5 90 "$ram_dist" "${settings[@]}" --run-dir faulty >out 2>err </dev/null || code=$?
    case $code in 0 | 74) ;; *) fail "exit code $code with RAM_FAULT=eio:$n" ;; esac
    run 0 "${settings[@]}" --run-dir faulty --resume auto
    check weights whole faulty
done

# One operation fails, and no epoch is better than the first: the first that is saved is the best, and stays it.
links=0
for n in {13..33}; do
    rm -rf spared
    best=1
    RAM_FAULT=eio:$n run 0 --config small.yaml --set train.epochs=3 --set train.lr=0 --set checkpoint.keep=1 \
        --run-dir spared
    ! grep -q 'no checkpoint at step 17:' err || best=2
    ! grep -q 'checkpoints/\(.tmp-\)\?best' err || links=$((links + 1))
    says out "best model: epoch $best, "
    [ "$(readlink spared/checkpoints/best)" = step-000000$((17 * best)) ] || fail "another best with RAM_FAULT=eio:$n"
done
[ $links -eq 3 ] || fail "the link to the best failed $links times"

# A copy that turned links into folders goes on.
cp -rL whole copied
run 0 --run-dir copied --resume auto --set train.epochs=5
quiet
for link in latest best; do
    [ -L copied/checkpoints/$link ] || fail "$link is no link in a copied run"
done

# A set that is damaged when the best is to be measured: the last model takes its place, under its own name.
run 0 "${settings[@]}" --run-dir hurt --set train.epochs=2 --set train.lr=0 # so that the first is the best
printf x >>"hurt/checkpoints/$(readlink hurt/checkpoints/best)/index.h5"
run 0 "${settings[@]}" --run-dir hurt --resume latest --set train.epochs=3 --set train.lr=0
says err "the last model takes the place of the best"
says out "best model: the last, epoch 3"
tail -n 3 hurt/metrics.jsonl | grep -q '"split":"test"' || fail "no test figures"

# What holds a run is not taken for another.
cp -r whole bare
rm bare/metrics.jsonl
refuses 64 "holds a run already" --config small.yaml --run-dir bare
cp -r whole second
refuses 64 "holds a run of its own" --config small.yaml --run-dir second --resume "whole/checkpoints/${steps[1]}"
fingerprint whole | diff before - >/dev/null || fail "another run was changed"

# Other images than the checkpoint's: told at an epoch's end, and old validation errors do not count.
run 0 "${settings[@]}" --run-dir moved --set train.epochs=2
RAM_DATA=$work/other run 0 "${settings[@]}" --run-dir moved --resume auto --set train.epochs=3
says out "changed: the images are not those"
says out "epoch 3/3"
grep -q 'epoch 3/3 .*(best)' out || fail "the best of other images still counts"

RAM_DATA=$work/data run 0 eval moved
says err "warning: the images are not those"

# Killed before the first checkpoint: the run begins again as it was configured.
RAM_FAULT=kill:12 timeout -k 5 90 "$ram_dist" "${settings[@]}" --run-dir early >out 2>err </dev/null
[ -e early/config.yaml ] || fail "no config.yaml before the first checkpoint"
run 0 --run-dir early --resume auto
says out "starting from the beginning"
check same whole early

# With its lanes too, of which there may be more than the ranks would find without it.
RAM_FAULT=kill:12 timeout -k 5 90 "$ram_dist" "${settings[@]}" --run-dir lanes --set train.lanes=16 >out 2>err </dev/null
rm lanes/metrics.jsonl # the kill came before it
run 0 --np 9 --run-dir lanes --resume auto
says out "9 ranks"
says out "starting from the beginning"

# So does one that began with another run's checkpoint: with that, not with random weights.
run 0 --resume whole/checkpoints/latest --run-dir warm --set train.epochs=9
for n in 5 7 9 11 13 16 20; do
    rm -rf again
    RAM_FAULT=kill:$n timeout -k 5 90 "$ram_dist" --resume whole/checkpoints/latest --run-dir again \
        --set train.epochs=9 >out 2>err </dev/null
    line=(--resume whole/checkpoints/latest --set train.epochs=9)
    [ ! -e again/config.yaml ] || line=(--resume auto)
    run 0 "${line[@]}" --run-dir again
    check same warm again
done

# Where that cannot be read, the run does not begin with others.
cp -r again blind && rm -r blind/checkpoints && mkdir blind/checkpoints
rm -f blind/origin && mkdir blind/origin
run 65 --run-dir blind --resume auto
error_has "blind/origin"

# A set that was put aside while its step was saved anew, by a start that was killed then, is the step's again.
cp -r whole aside
last=${steps[-1]}
mv "aside/checkpoints/$last" "aside/checkpoints/.bad-$last"
rm -r aside/checkpoints/step-*
run 0 --run-dir aside --resume auto --set train.epochs=9
says out "going on from aside/checkpoints/.bad-$last"
[ -e "aside/checkpoints/$last/MANIFEST" ] || fail "$last was not given its name back"

# A course that is left twice: its sets and traces are kept twice.
rm -rf back
cp -r whole back
for lr in 0.01 0.02; do
    run 0 "${settings[@]}" --run-dir back --resume "back/checkpoints/${steps[0]}" --set train.lr=$lr
done
[ -e back/traces/.bad-epoch-0002-2/MANIFEST ] || fail "traces of the first course are gone"

# Asked for a set that the curve does not go with: nothing is put aside.
before=$(find back/checkpoints -maxdepth 1 | sort)
run 65 --run-dir back --resume "back/checkpoints/.bad-${steps[1]}"
error_has "differs from what it was"
[ "$(find back/checkpoints -maxdepth 1 | sort)" = "$before" ] || fail "a start that was refused put sets aside"

# A request to stop that comes when all is done is not for the next start.
touch whole/stop
run 0 --run-dir whole --resume auto
[ ! -e whole/stop ] || fail "the file stop is left"
finish
