#!/usr/bin/env bash
# jobs/local.sh: what it passes to ram_dist, and what it says at the end; jobs/reproduce.sh: how many ranks, and rows. The
# tree is a copy below a path with blanks, and the program built in it is a stand-in that prints its arguments.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree="$work/a clone"

fail() {
    echo "FAILED: $1" >&2
    cat "$work/output" >&2
    exit 1
}

run() { # EXPECTED-STATUS ARGUMENTS...
    local expected=$1 code=0
    shift
    (cd "$work" && "$tree/jobs/local.sh" "$@") >"$work/output" 2>&1 || code=$?
    [ $code -eq "$expected" ] || fail "expected status $expected, got $code: local.sh $*"
}

says() { grep -qxF -- "$1" "$work/output" || fail "the output lacks the line: $1"; }
lacks() { ! grep -qF -- "$1" "$work/output" || fail "the output should not hold: $1"; }

mkdir -p "$tree/data" "$tree/configs"
cp -r "$root/jobs" "$root/CMakePresets.json" "$tree"
printf '#!/bin/sh\nexit 0\n' >"$tree/jobs/install.sh"
printf '#!/bin/sh\necho fetching\n' >"$tree/data/fetch_mnist.sh"
chmod +x "$tree/jobs/install.sh" "$tree/data/fetch_mnist.sh"
cat >"$tree/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.22)
project(stand_in LANGUAGES NONE)
add_custom_target(ram_dist COMMAND ${CMAKE_COMMAND} -E copy ${CMAKE_SOURCE_DIR}/stand_in ram_dist)
CMAKE
cat >"$tree/stand_in" <<'STANDIN'
#!/usr/bin/env bash
if [ "$1" = config ]; then # the lanes of its settings
    printf 'eval:\n  policy: sample\n'
    case $* in *'--device cpu'*) echo 'device: cpu' ;; *) echo 'device: auto' ;; esac
    case $* in *train.lanes=1*) printf 'train:\n  lanes: 1\n' ;; *) printf 'train:\n  lanes: 8\n' ;; esac
    exit 0
fi
if [ "$1" = doctor ]; then
    [ -z "${STAND_IN_GPU-}" ] || echo 'ok     CUDA       works'
    sleep 0.1
    echo 'WRONG  training   no file' && echo 'ram_dist: error: no file' >&2
    exit 64
fi
if [ "$1" = eval ] && [[ $* = *--json* ]]; then # better with ten roll-outs
    [ -z "${STAND_IN_ASKS-}" ] || kill -TERM $PPID
    case $* in *rollouts=10*) error=0.50 random=5.00 ;; *) error=2.50 random=30.00 ;; esac
    for figure in "sample $error" "random $random" "center 25.00"; do
        printf '{"kind":"eval","policy":"%s","error":%s,"low":0.00}\n' $figure
    done
    exit 0
fi
printf '%s\n' "$*" "RAM_DATA=${RAM_DATA-}"
[ "$1" != eval ] || { echo "test error 2.50 %" && exit 0; }
while [ $# -gt 0 ]; do
    [ "$1" != --run-dir ] || [ -e "$2/checkpoints/best" ] || { mkdir -p "$2/checkpoints/step-1" && ln -s step-1 "$2/checkpoints/best"; }
    [ "$1" != --stop ] || exit 75
    if [ "$1" = --wait ]; then # until it is asked to stop, which takes a moment
        trap 'sleep 0.5; echo "asked by SIGUSR1"; exit 75' USR1
        trap 'trap "exit 130" INT; sleep 1; echo "asked by SIGINT"; exit 75' INT
        touch "$2"
        sleep 20 &
        wait
    fi
    shift
done
STANDIN
chmod +x "$tree/stand_in"
unset RAM_DATA
cores=$(nproc)
[ "$cores" -le 8 ] || cores=8

run 0
says "fetching"
says "RAM_DATA=$tree/data/mnist"
says "train --np $cores --config $tree/configs/quick.yaml --run-dir $tree/logs/quick --resume auto"
says "eval --np $cores $tree/logs/quick"
[ "$(tail -n 5 "$work/output" | head -n 2)" = "test error 2.50 %
run folder   $tree/logs/quick" ] || fail "the last lines do not say the result and where it lies"

# The user's own arguments win.
run 0 train --np=3 --config my.yaml --set train.lr=1
says "train --run-dir $tree/logs/my --resume auto --np=3 --config my.yaml --set train.lr=1"
says "eval --np 3 $tree/logs/my"
run 0 --set train.lanes=1 --run-dir "$work/my run" --resume latest
says "train --np 1 --config $tree/configs/quick.yaml --set train.lanes=1 --run-dir $work/my run --resume latest"
says "eval --np 1 $work/my run"
run 0 --set data.dir=elsewhere
lacks "fetching"
RAM_DATA=/mine run 0
lacks "fetching"
says "RAM_DATA=/mine"

# One rank where there is a GPU and it is not refused.
STAND_IN_GPU=yes run 0
says "train --np 1 --config $tree/configs/quick.yaml --run-dir $tree/logs/quick --resume auto"
STAND_IN_GPU=yes run 0 --device cpu
says "train --np $cores --config $tree/configs/quick.yaml --run-dir $tree/logs/quick --resume auto --device cpu"

# A row of the table trains on as many ranks as there are cores, and lanes.
touch "$tree/configs/few.yaml"
sweep="$tree/logs/few-sweep/as_configured-seed-1"
"$tree/jobs/reproduce.sh" few --here --seeds 1 >"$work/output" 2>&1 || fail "reproduce.sh"
says "train --np $cores --config $tree/configs/few.yaml --resume auto --set seed=1 --run-dir $sweep"
touch "$work/measured"
"$tree/jobs/reproduce.sh" few --here --seeds 1 --set train.lanes=1 >"$work/output" 2>&1 || fail "reproduce.sh with one lane"
says "train --np 1 --config $tree/configs/few.yaml --resume auto --set train.lanes=1 --set seed=1 --run-dir $sweep"
[ "$work/measured" -nt "$sweep/errors.txt" ] || fail "a model that was measured is measured again"
touch --no-dereference "$sweep/checkpoints/best"
"$tree/jobs/reproduce.sh" few --here --seeds 1 >"$work/output" 2>&1 || fail "reproduce.sh with a newer model"
[ "$sweep/errors.txt" -nt "$work/measured" ] || fail "a newer model is not measured"
printf '%s\n' 'two model.glimpses=2' 'one train.lanes=1' >"$work/counts"
"$tree/jobs/reproduce.sh" few --here --seeds 1 --variants "$work/counts" >"$work/output" 2>&1 || fail "reproduce.sh with variants"
says "train --np $cores --config $tree/configs/few.yaml --resume auto --set seed=1 --set model.glimpses=2 --run-dir $tree/logs/few-sweep/two-seed-1"
says "train --np 1 --config $tree/configs/few.yaml --resume auto --set seed=1 --set train.lanes=1 --run-dir $tree/logs/few-sweep/one-seed-1"
says "| few, two | 1 | 2.50 | 0.50 | 30.00 | 5.00 | 25.00 |"

code=0
"$tree/jobs/reproduce.sh" few --here --set seed=4 >"$work/output" 2>&1 || code=$?
[ $code -eq 64 ] || fail "a seed among the settings is taken, which would count one run as several"
says "reproduce.sh: error: seed=4 contradicts --seeds, which trains the seeds from 1 on: leave it out"
code=0
"$tree/jobs/reproduce.sh" few --here -set=seed=4 >"$work/output" 2>&1 || code=$?
[ $code -eq 64 ] || fail "a seed is taken where -set=seed gives it"
says "reproduce.sh: error: seed=4 contradicts --seeds, which trains the seeds from 1 on: leave it out"

# Through a link, from a shell with CDPATH; its help is its own; a short option would be taken for none.
ln -s "$tree/jobs/local.sh" "$work/link.sh"
(cd "$work" && CDPATH=/ ./link.sh) >"$work/output" 2>&1 || fail "local.sh through a link"
says "eval --np $cores $tree/logs/quick"
run 0 --set train.lr=1 --help
lacks "train --np"
run 64 --run-di mine
says "local.sh: error: --run-di is not clear: write all of the option, --run-dir"

# Failures are the program's own, or shown.
run 75 --stop
says "local.sh: stopped early; the same command goes on from there"
lacks "eval"
run 64 --np

# A signal to the script alone stops the training, which it waits for. Ctrl-C comes as such, and so does a second one.
signalled() { # EXPECTED-STATUS SCRIPT-AND-ARGUMENTS... -- SIGNALS...
    local expected=$1 code=0 script signal command=()
    shift
    while [ "$1" != -- ]; do command+=("$1") && shift; done
    shift
    rm -f "$work/waits"
    env --default-signal=INT "${command[@]}" --wait "$work/waits" >"$work/output" 2>&1 &
    script=$!
    until [ -e "$work/waits" ]; do
        kill -0 "$script" || fail "no training begins: ${command[*]}"
        sleep 0.05
    done
    sleep 0.3 # what comes in its first moments is handed on as USR1
    for signal; do kill "-$signal" "$script" && sleep 0.2; done
    wait "$script" || code=$?
    [ $code -eq "$expected" ] || fail "expected status $expected, got $code after $*: ${command[*]}"
    ! pgrep -f "$work/[w]aits" >"$work/left" || fail "the training goes on by itself"
}
for signal in TERM=USR1 HUP=USR1 USR1=USR1 INT=INT; do
    signalled 75 "$tree/jobs/local.sh" -- ${signal%=*}
    says "asked by SIG${signal#*=}"
    says "local.sh: stopped early; the same command goes on from there"
done
signalled 130 "$tree/jobs/local.sh" -- INT INT
signalled 75 "$tree/jobs/reproduce.sh" few --here --seeds 2 -- TERM
says "reproduce.sh: stopped early; the same command goes on from there"
lacks "seed=2"
touch --no-dereference "$sweep/checkpoints/best" # to be measured again
code=0
STAND_IN_ASKS=yes "$tree/jobs/reproduce.sh" few --here --seeds 1 >"$work/output" 2>&1 || code=$?
[ $code -eq 75 ] || fail "asked to stop while it measures, it ended with $code"
says "reproduce.sh: stopped early; the same command goes on from there"
asked=yes run 0 # whatever the environment says
echo 'message(FATAL_ERROR "no compiler")' >>"$tree/CMakeLists.txt"
run 70
grep -q "no compiler" "$work/output" || fail "the reason of a failed configuration is not shown"
printf '#!/bin/sh\nexit 69\n' >"$tree/jobs/install.sh"
run 69
lacks "configuring"
echo PASSED
