#!/usr/bin/env bash
# other_hands.sh RAM_DIST: what others do to a run's files: sets under another's name, sets that cannot be read or deleted,
# a folder that is moved or replaced while the run writes into it, a name that would replace what it must not.
# shellcheck disable=SC1091,SC2154 # checks.bash sets work, ram_dist, here and python
. "$(dirname "$0")/checks.bash"
blobs data 600 200
small_model
export RAM_DATA=$work/data
settings=(--config small.yaml --set checkpoint.keep=9)
run 0 "${settings[@]}" --run-dir whole
mapfile -t steps < <(cd whole/checkpoints && ls -d step-*)
newest=${steps[-1]} second=${steps[-2]}

# A whole set under another's name is no set of that step: not the newest, not the best.
cp -r whole swapped
rm -r "swapped/checkpoints/$newest"
cp -r "swapped/checkpoints/${steps[0]}" "swapped/checkpoints/$newest"
refuses 65 "holds the checkpoint of step" eval "swapped/checkpoints/$newest"
refuses 65 "holds the checkpoint of step" inspect "swapped/checkpoints/$newest"
run 0 --run-dir swapped --resume auto
says err "passed over the checkpoint $newest"
says out "going on from swapped/checkpoints/$second"
check weights whole swapped
cp -r "whole/checkpoints/$second" alone # a copy of another name is as good
run 0 eval alone

# What cannot be read now may be good: nothing is passed over, set aside or deleted for it.
give() { [ "$(id -u)" -ne 0 ] || chown -R nobody "$@"; } # to those who are nobody, for root
cp -r whole closed && give closed
chmod 000 "closed/checkpoints/$newest/MANIFEST"
[ "$(id -u)" -ne 0 ] || chown root "closed/checkpoints/$newest/MANIFEST"
before=$(ls -A closed/checkpoints)
as_nobody 74 --run-dir closed --resume auto --set train.epochs=5 --set checkpoint.keep=1
error_has "$newest/MANIFEST" "ermission denied; make it readable"
as_nobody 74 eval closed
[ "$(ls -A closed/checkpoints)" = "$before" ] || fail "a set that cannot be read now was moved"

# A best set that cannot be read at the end costs nothing: what was trained is saved, and the next start measures.
flat=("${settings[@]}" --set train.lr=0 --set train.epochs=3) # the first epoch is the best
run 0 "${flat[@]}" --run-dir flat
RAM_FAULT=nan:40 run 76 "${flat[@]}" --run-dir unread
give unread
chmod 000 "unread/checkpoints/${steps[0]}/MANIFEST"
[ "$(id -u)" -ne 0 ] || chown root "unread/checkpoints/${steps[0]}/MANIFEST"
for _ in 1 2; do
    as_nobody 74 --run-dir unread --resume auto
    error_has "ermission denied" "the training is saved"
    [ "$(readlink unread/checkpoints/latest)" = "${steps[2]}" ] || fail "an epoch is lost with a best set that cannot be read"
done
[ -z "$(find unread -name '.bad*')" ] || fail "each start that cannot measure leaves a set"
refuses 64 "cannot change any more" --run-dir unread --resume auto --set seed=2
chmod 644 "unread/checkpoints/${steps[0]}/MANIFEST"
refuses 64 "of a training that is finished" --resume unread/checkpoints/latest --run-dir taken
cp -r unread anew
run 0 --run-dir anew --resume auto --set eval.rollouts=2 # with no epoch to come the best stays the best
says out "best model: epoch 1,"
run 0 --run-dir unread --resume auto
check same flat unread
run 0 --run-dir unread --resume auto
says out "this run is finished"

# An old set that cannot be deleted: the new ones are saved.
if [ "$(id -u)" -eq 0 ]; then
    cp -r whole stuck && give stuck && chown -R root "stuck/checkpoints/${steps[0]}"
    as_nobody 0 --run-dir stuck --resume auto --set train.epochs=6 --set checkpoint.keep=1
    says err "cannot delete"
    lacks err "no checkpoint at step"
    run 0 "${settings[@]}" --run-dir longer --set train.epochs=6
    check weights longer stuck
fi

# long RUN: a training in the background that saves again and again until it is told to stop.
long() {
    "$ram_dist" "${settings[@]}" --run-dir "$1" --set train.epochs=1000000 --set train.lr=0 --set checkpoint.epochs=0 \
        --set checkpoint.seconds=1 >long.out 2>long.err </dev/null &
    pid=$!
    until_saved "$1"
}
until_saved() { # RUN: once more
    local before
    before=$(readlink "$1/checkpoints/latest")
    for _ in {1..400}; do
        [ "$(readlink "$1/checkpoints/latest")" = "$before" ] || return 0
        sleep 0.05
    done
    fail "no checkpoint comes in $1"
}
ended() { # CODE: so the training in the background ends
    local code=0
    kill -TERM $pid
    wait $pid || code=$?
    [ $code -eq "$1" ] || { cp long.err err && fail "exit code $code, not $1, of the run in the background"; }
}

# A folder that is moved away is missed, and saved into when it is back; a lock file that is deleted is made anew.
long moved
mv moved elsewhere
until_says long.err "the run folder moved was moved or deleted: give it its name back"
rm -rf moved # what a save that was on its way may have made
mv elsewhere moved
rm moved/.lock
until_saved moved
refuses 64 "is in use" --run-dir moved --resume auto
ended 75
run 0 inspect moved

# Another run in its place is left alone, also when it has ended.
long ours
sleep 0.3 # the save is over: what comes while one writes is seen after it
kill -STOP $pid # or it would be quicker
rm -rf ours
run 0 "${settings[@]}" --run-dir ours --set seed=7
kill -CONT $pid
until_says long.err "the run folder ours was moved or deleted"
ended 74
run 0 "${settings[@]}" --run-dir reference --set seed=7
check same reference ours

# Nothing but a page is replaced by one, and a link that leads nowhere by nothing.
ln -s nowhere dangling
refuses 64 "dangling exists already" export whole --output dangling
for command in export report trace; do refuses 64 "--output is empty" $command whole --output ""; done
refuses 64 "does not end in .html" report whole --output whole/metrics.jsonl
run 0 report whole --output whole/report.html

# A start that is killed between its origin and its configuration is known.
mkdir broken && realpath whole/checkpoints/latest >broken/origin
printf %s "$(cat broken/origin)" >broken/origin
refuses 64 "was broken off before it had noted its configuration" --run-dir broken --resume auto
run 0 --config small.yaml --run-dir broken --resume auto --set train.epochs=5
rm broken/checkpoints -r && rm broken/metrics.jsonl
printf %s "$work/gone" >broken/origin
refuses 65 "the checkpoint that this run began with is not there" --run-dir broken --resume auto

# A start that fails leaves what the last one had been asked for.
run 64 "${settings[@]}" --run-dir fresh --set data.dir=nowhere
[ ! -e fresh/config.yaml ] || fail "a start that failed left its configuration"
cp whole/config.yaml kept && cp kept fresh/config.yaml
run 64 --run-dir fresh --resume auto --set data.dir=nowhere
cmp -s kept fresh/config.yaml || fail "a start that failed changed the configuration"
finish
