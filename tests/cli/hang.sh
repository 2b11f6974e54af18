#!/usr/bin/env bash
# hang.sh RAM_DIST: a rank that stops answering ends the run within the time-out, by name, with nothing left of it; one
# that answers again in time does no harm.
# shellcheck disable=SC1091,SC2154 # checks.bash sets work, ram_dist, here and python
. "$(dirname "$0")/checks.bash"
blobs data 6000 200
small_model
export RAM_DATA=$work/data
settings=(--config small.yaml --set checkpoint.epochs=1)

# hang RUN RANKS RANK [OPTION...]: stops one rank in its first epochs; sets launcher, ranks, memory.
hang() {
    local run=$1 count=$2 rank=$3
    shift 3
    : >out # here and below: what the run before said must not be taken for this one's
    "$ram_dist" --np "$count" "${settings[@]}" --set train.epochs=100000 --run-dir "$work/$run" "$@" >out 2>err </dev/null &
    launcher=$!
    until_says out "epoch 2/"
    until_ranks $launcher "$count"
    mapfile -t memory < <(segments "${ranks[@]}")
    [ ${#memory[@]} -ge "$count" ] || fail "no shared memory was seen"
    [ "$(find "$run/.ranks" -name 'rank-*' | wc -l)" -eq "$count" ] || fail "not one place for each rank"
    mapfile -t ranks < <(printf '%s\n' "${ranks[@]}" | sort -n) # mpirun starts them in their order
    kill -STOP "${ranks[$rank]}"
}

for case in 2/1 3/0 4/2; do
    count=${case%/*} rank=${case#*/}
    hang "hung$count" "$count" "$rank" --set comm.timeout=3
    started=$SECONDS code=0
    wait $launcher || code=$?
    [ $code -eq 124 ] || fail "exit code $code, not 124, with rank $rank of $count stopped"
    [ $((SECONDS - started)) -lt 20 ] || fail "it took $((SECONDS - started)) seconds"
    error_has "comm.timeout" "rank $rank (process ${ranks[$rank]} on $(uname -n)) gives no sign of life" \
        "--resume auto"
    grep -qE 'ranks? [0-9, -]+ waits? in (barrier|exchange|reduction|gathering|broadcast) [0-9]+; ' err || fail "nobody waits"
    lacks err "at other work"
    nothing_left "$work/hung$count" "${memory[@]}"
    # with time for a slow disk: three seconds are enough to find who has stopped, not for all that a busy machine may do
    run 0 --np 2 --run-dir "hung$count" --resume auto --set train.epochs=20 --set comm.timeout=60
    [ ! -e "hung$count/.ranks" ] || fail "places are left by a run that ended well"
done

# The launcher starts them again, with the same bits in the end.
run 0 "${settings[@]}" --set train.epochs=16 --run-dir whole
: >out
"$ram_dist" --np 3 --max-restarts 2 "${settings[@]}" --set train.epochs=16 --set comm.timeout=3 --run-dir "$work/again" \
    >out 2>err </dev/null &
launcher=$!
until_says out "epoch 2/"
until_ranks $launcher 3
kill -STOP "${ranks[1]}"
code=0
wait $launcher || code=$?
[ $code -eq 0 ] || fail "exit code $code after a restart"
says err "gives no sign of life"
says err "warning: a rank stopped answering (exit code 124); starting all ranks again"
check same whole again

# Stopped for less than the time-out, or all together for longer: nobody was waited for in vain.
for who in one all; do
    : >out
    "$ram_dist" --np 2 "${settings[@]}" --set train.epochs=16 --set comm.timeout=4 --run-dir "$work/slow_$who" >out 2>err \
        </dev/null &
    launcher=$!
    until_says out "epoch 2/"
    until_ranks $launcher 2
    [ $who = all ] || ranks=("${ranks[0]}")
    kill -STOP "${ranks[@]}"
    if [ $who = all ]; then sleep 5; else sleep 0.5; fi
    kill -CONT "${ranks[@]}"
    code=0
    wait $launcher || code=$?
    [ $code -eq 0 ] || fail "exit code $code after a pause of $who"
    quiet
    check same whole "slow_$who"
done

# Commands without a run folder of their own end as well.
: >out
"$ram_dist" eval whole --np 2 --set comm.timeout=3 --set eval.rollouts=10000 >out 2>err </dev/null &
launcher=$!
until_says out "checkpoint:"
until_ranks $launcher 2
kill -STOP "$(printf '%s\n' "${ranks[@]}" | sort -n | tail -n 1)"
code=0
wait $launcher || code=$?
[ $code -eq 124 ] || fail "exit code $code, not 124, of eval"
error_has "rank 0 waits in" "comm.timeout"

# A folder that takes no places is no reason not to train.
mkdir closed && : >closed/.ranks
run 0 --np 2 "${settings[@]}" --run-dir closed
says err "warning: cannot keep the place of a rank in closed/.ranks/rank-00000"
[ "$(wc -l <err)" -eq 1 ] || fail "not one warning"
finish
