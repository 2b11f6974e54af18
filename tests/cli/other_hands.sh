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
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    nobody=$(id -u nobody)
    chmod 755 "$work" && chmod -R go+rX data && cp "$ram_dist" "$work/program"
    as_nobody() { command_run "$1" setpriv --reuid "$nobody" --clear-groups env RAM_DATA="$RAM_DATA" HOME="$work" "$work/program" "${@:2}"; }
    give() { chown -R nobody "$@"; }
else
    as_nobody() { run "$@"; }
    give() { :; }
fi
cp -r whole closed && give closed
chmod 000 "closed/checkpoints/$newest/MANIFEST"
[ "$(id -u)" -ne 0 ] || chown root "closed/checkpoints/$newest/MANIFEST"
before=$(ls -A closed/checkpoints)
as_nobody 74 --run-dir closed --resume auto --set train.epochs=5 --set checkpoint.keep=1
error_has "$newest/MANIFEST" "ermission denied; make it readable"
as_nobody 74 eval closed
[ "$(ls -A closed/checkpoints)" = "$before" ] || fail "a set that cannot be read now was moved"

# An old set that cannot be deleted: the new ones are saved.
if [ "$(id -u)" -eq 0 ]; then
    cp -r whole stuck && give stuck && chown -R root "stuck/checkpoints/${steps[0]}"
    as_nobody 0 --run-dir stuck --resume auto --set train.epochs=6 --set checkpoint.keep=1
    says err "cannot delete"
    lacks err "no checkpoint at step"
    run 0 "${settings[@]}" --run-dir longer --set train.epochs=6
    check weights longer stuck
fi

# long RUN: a training in the background that saves every few steps until it is told to stop.
long() {
    "$ram_dist" "${settings[@]}" --run-dir "$1" --set train.epochs=1000000 --set checkpoint.seconds=1 >long.out 2>long.err </dev/null &
    pid=$!
    for _ in {1..200}; do
        ! compgen -G "$1/checkpoints/step-*" >/dev/null || return 0
        sleep 0.05
    done
    fail "no checkpoint comes"
}
ended() { # CODE: so the training in the background ends
    local code=0
    kill -TERM $pid
    wait $pid || code=$?
    [ $code -eq "$1" ] || { cp long.err err && fail "exit code $code, not $1, of the run in the background"; }
}

# A folder that is moved away is made anew, with all that a run folder has.
long moved
mv moved elsewhere
for _ in {1..200}; do ! compgen -G "moved/checkpoints/step-*" >/dev/null || break && sleep 0.05; done
ended 75
says long.err "moved or deleted: it is made anew"
[ -e moved/config.yaml ] || fail "no config.yaml in the folder that was made anew"
run 0 inspect moved
run 0 inspect elsewhere

# Another run in its place is left alone, also when it has ended.
long ours
sleep 0.5 # it is not saving just now
kill -STOP $pid # or it would be quicker
rm -rf ours
run 0 "${settings[@]}" --run-dir ours --set seed=7
kill -CONT $pid
until_says long.err "another run's is in its place"
ended 74
run 0 "${settings[@]}" --run-dir reference --set seed=7
check same reference ours

# Nothing but a page is replaced by one.
refuses 64 "does not end in .html" report whole --output whole/metrics.jsonl
run 0 report whole --output whole/report.html

# A start that fails leaves what the last one had been asked for; one that is killed is known.
run 64 "${settings[@]}" --run-dir fresh --set data.dir=nowhere
[ ! -e fresh/config.yaml ] || fail "a start that failed left its configuration"
cp whole/config.yaml kept && cp kept fresh/config.yaml
run 64 --run-dir fresh --resume auto --set data.dir=nowhere
cmp -s kept fresh/config.yaml || fail "a start that failed changed the configuration"
finish
