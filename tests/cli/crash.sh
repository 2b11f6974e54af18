#!/usr/bin/env bash
# crash.sh RAM_DIST [KILLS]: a training that is killed again and again, at any time and at any file operation, and goes on each
# time on another number of ranks, ends with the bits of one that never was. KILLS: ranks killed at random times (10).
# shellcheck disable=SC1091,SC2154 # checks.bash sets work, ram_dist, here and python
. "$(dirname "$0")/checks.bash"
kills=${2-10}
blobs data 6000 200
small_model
export RAM_DATA=$work/data
settings=(--config small.yaml --set train.epochs=150 --set train.ema=0.95 --set checkpoint.seconds=0.5 --set checkpoint.epochs=10)
RANDOM=11
echo "random times come from RANDOM=11"

# ranks_of LAUNCHER: the processes of its ranks, or itself where it is the rank.
ranks_of() {
    local mpirun
    if tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep -q -- '--np 1 '; then
        echo "$1"
    elif mpirun=$(pgrep -P "$1" mpirun); then
        pgrep -P "$mpirun" ram_dist
    fi
}

run 0 "${settings[@]}" --run-dir whole
quiet

# A random rank at random times.
killed=0
for ((i = 0; i < kills; i++)); do
    timeout -k 5 60 "$ram_dist" --np $((RANDOM % 4 + 1)) "${settings[@]}" --run-dir "$work/cut" --resume auto >out 2>err </dev/null &
    pid=$!
    ranks=''
    for _ in {1..100}; do # until there is something to kill
        launcher=$(pgrep -P $pid ram_dist | head -n 1)
        ranks=$(ranks_of "${launcher:-0}")
        [ -z "$ranks" ] || break
        sleep 0.02
    done
    sleep 0.$((RANDOM % 10))
    kill -KILL "$(shuf -n 1 --random-source=<(yes $RANDOM) <<<"$ranks")" 2>/dev/null
    code=0
    wait $pid || code=$?
    while pgrep -f -- "--run-dir $work/cut" >/dev/null; do sleep 0.05; done # killed before it could end its ranks
    case $code in
    0) # done before the kill
        check same whole cut
        rm -r cut
        ;;
    69 | 137) killed=$((killed + 1)) ;; # a rank was killed, the one rank was
    *) fail "exit code $code after a kill" ;;
    esac
done
[ $killed -gt $((kills / 2)) ] || fail "only $killed of $kills kills fell within the run"
run 0 --np 2 "${settings[@]}" --run-dir "$work/cut" --resume auto
check same whole cut
echo "$killed of $kills runs were killed"

# Before each file operation of a run in turn; every fifth time it goes on on several ranks.
settings=(--config small.yaml --set train.epochs=2 --set train.batch=512 --set checkpoint.keep=1)
run 0 "${settings[@]}" --run-dir short
operations=0
for ((n = 1; n < 400; n++)); do
    rm -rf faulty
    code=0
    RAM_FAULT=kill:$n timeout -k 5 90 "$ram_dist" "${settings[@]}" --run-dir faulty >out 2>err </dev/null || code=$?
    [ $code -ne 0 ] || break
    [ $code -eq 137 ] || fail "exit code $code with RAM_FAULT=kill:$n"
    operations=$n
    run 0 --np $((n % 5 ? 1 : n % 3 + 2)) "${settings[@]}" --run-dir faulty --resume auto
    check same short faulty
done
[ $operations -gt 40 ] || fail "only $operations operations were seen"
echo "killed before each of $operations file operations"

# Five pieces on 1, 2, 4, 2 and 1 ranks, each asked to stop in its second epoch.
settings=(--config small.yaml --set train.epochs=30)
run 0 "${settings[@]}" --run-dir five
for ranks in 1 2 4 2; do
    lines=$(rows pieces)
    "$ram_dist" --np $ranks "${settings[@]}" --run-dir pieces --resume auto >out 2>err </dev/null &
    for _ in {1..400}; do
        [ "$(rows pieces)" -le "$lines" ] || break
        sleep 0.02
    done
    kill -USR1 $!
    code=0
    wait $! || code=$?
    [ $code -eq 75 ] || fail "exit code $code, not 75, on $ranks ranks"
done
run 0 --np 1 "${settings[@]}" --run-dir pieces --resume auto
check same five pieces
finish
