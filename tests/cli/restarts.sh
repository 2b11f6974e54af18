#!/usr/bin/env bash
# restarts.sh RAM_DIST [KILLS]: --max-restarts: a training whose ranks are killed at random times KILLS times (10) goes on by
# itself and ends with the bits of one that was left in peace; it says who died of what, gives up where nothing helps, and
# leaves nothing behind.
# shellcheck disable=SC1091,SC2154 # checks.bash sets work, ram_dist, here and python
. "$(dirname "$0")/checks.bash"
kills=${2-10}
blobs data 6000 200
small_model
export RAM_DATA=$work/data
settings=(--config small.yaml --set checkpoint.seconds=0.1 --set train.epochs=50 --set threads=1)
RANDOM=7
run 0 "${settings[@]}" --run-dir whole

# next_ranks: waits until the launcher has started its ranks (again); sets mpirun and ranks. False when it has ended.
next_ranks() {
    local now
    for _ in {1..1500}; do
        kill -0 $launcher 2>/dev/null || return 1
        now=$(pgrep -P $launcher mpirun)
        if [ -n "$now" ] && [ "$now" != "$mpirun" ]; then
            mpirun=$now
            until_ranks $launcher 3
            return 0
        fi
        sleep 0.02
    done
    fail "no ranks have come"
    finish
}

# Each kill comes at a random time after the ranks have begun, to a random rank; every fifth is a crash. A run that ends
# before all kills have come is followed by another.
killed=0 restarts=0
while [ $killed -lt "$kills" ]; do
    rm -rf cut
    mpirun=none
    "$ram_dist" --np 3 --max-restarts 5 "${settings[@]}" --run-dir "$work/cut" >out 2>err </dev/null &
    launcher=$!
    while next_ranks; do
        [ $killed -lt "$kills" ] || continue
        mapfile -t memory < <(segments "${ranks[@]}")
        sleep 0.$((RANDOM % 9 + 1))
        signal=KILL
        [ $((killed % 5)) -ne 4 ] || signal=SEGV
        ! kill -$signal "${ranks[RANDOM % 3]}" 2>/dev/null || killed=$((killed + 1))
    done
    code=0
    wait $launcher || code=$?
    [ $code -eq 0 ] || fail "exit code $code after $killed kills"
    told=$(grep -cE '^ram_dist: warning: rank [0-2] on .* was ended by signal (9|11) .*starting all ranks again' err)
    [ "$told" -eq 0 ] || says cut/run.log "starting all ranks again"
    restarts=$((restarts + told))
    check same whole cut
    nothing_left "$work/cut" "${memory[@]}"
    [ "$failures" -eq 0 ] || finish
done
[ $restarts -ge $((killed * 6 / 10)) ] || fail "$killed kills, but $restarts restarts told"
echo "$killed kills, $restarts restarts"

# It gives up after K failures without a checkpoint between them; failures that another start cannot cure are left alone.
# RAM_FAULT strikes every attempt alike.
short=(--config small.yaml --set train.epochs=2)
RAM_FAULT=kill:9@0 run 69 --np 2 --max-restarts 2 "${short[@]}" --run-dir stuck
[ "$(grep -c 'starting all ranks again' err)" -eq 2 ] || fail "not two restarts"
says err "(2 of at most 2 times without progress)"
says err "gave up after 2 restarts without a newer checkpoint"
tail -n 1 err | grep -q '^ram_dist: error: rank 0 on .* was ended by signal 9' || fail "the last line is no error"
# Asked for a certain set it begins with that one again, as long as no other has been saved since.
run 0 "${short[@]}" --set train.epochs=4 --set checkpoint.keep=9 --run-dir asked
set=$(find asked/checkpoints -name 'step-*' | sort | head -n 1)
for operation in 2 6; do
    RAM_FAULT=kill:$operation@0 run 69 --np 2 --max-restarts 2 --run-dir asked --resume "$set" --set train.epochs=5 --set train.lr=0.05
    [ "$(grep -c "going on from" out) $(grep -c "going on from $set" out)" = "3 3" ] || fail "going on from another set than $set"
done
RAM_FAULT=kill:9 run 69 --np 1 --max-restarts 1 "${short[@]}" --run-dir one
says err "a rank was ended by signal 9 (Killed); starting all ranks again"
run 0 --np 1 --max-restarts 1 "${short[@]}" --run-dir one --resume auto
quiet
for np in "" "--np 2"; do
    # shellcheck disable=SC2086 # words
    refuses 64 "did you mean" $np --max-restarts 3 "${short[@]}" --set train.lrr=1
    # shellcheck disable=SC2086
    refuses 65 "small.yaml" $np --max-restarts 3 "${short[@]}" --run-dir none --resume small.yaml
done
RAM_FAULT=nan:5 run 76 --np 2 --max-restarts 3 "${short[@]}" --run-dir nan
[ "$(wc -l <err)" -eq 1 ] || fail "a numerical fault was tried again"
run 75 --np 2 --max-restarts 3 "${short[@]}" --run-dir limit --set train.epochs=100000 --set train.time_limit=0.3
[ "$(wc -l <err)" -eq 1 ] || fail "a request to stop was tried again"
command_run 64 "$here/../mpirun.sh" 2 "$ram_dist" --max-restarts 3 "${short[@]}" --run-dir under
error_has "--max-restarts" "--np"
for value in x -1 1.5 99999999999; do refuses 64 "--max-restarts" --np 2 "--max-restarts=$value" "${short[@]}"; done

# Another run's checkpoint as the start, killed before the first of its own: begun there again, not from nothing.
run 0 "${short[@]}" --run-dir parent
run 0 "${short[@]}" --run-dir child --resume parent/checkpoints/latest --set train.epochs=4
for fault in 9 18; do
    RAM_FAULT=kill:$fault@0 run 69 --np 2 --max-restarts 1 "${short[@]}" --run-dir "child$fault" \
        --resume parent/checkpoints/latest --set train.epochs=4
    run 0 "${short[@]}" --run-dir "child$fault" --resume parent/checkpoints/latest --set train.epochs=4
    check same child "child$fault"
done

# mpirun killed, and the launcher: no rank outlives either, and the folder is free at once.
"$ram_dist" --np 2 --max-restarts 1 "${settings[@]}" --run-dir "$work/orphans" >out 2>err </dev/null &
launcher=$!
until_says out "epoch 2/"
kill -KILL "$(pgrep -P $launcher mpirun)"
until_says err "mpirun was ended by signal 9 (Killed); starting all ranks again"
until_says out "going on from"
until_ranks $launcher 2
kill -KILL $launcher
wait $launcher 2>/dev/null
for _ in {1..250}; do
    pgrep -f -- "--run-dir $work/orphans" >/dev/null || break
    sleep 0.02
done
nothing_left "$work/orphans"
run 0 --np 2 "${settings[@]}" --run-dir orphans --resume auto
check same whole orphans
finish
