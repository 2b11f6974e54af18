#!/usr/bin/env bash
# reproduce.sh RAM_DIST: a row of configs/RESULTS.md in small: one seed of configs/mnist.yaml, four epochs, on real MNIST,
# by jobs/reproduce.sh in a tree of its own. The numbers are plausible, a second call only prints them again, and one that
# asks for something else is refused.
# shellcheck disable=SC1091,SC2154 # mnist.bash sets ram_dist, root and work
. "$(dirname "${BASH_SOURCE[0]}")/mnist.bash"
cp -r "$root/jobs" "$root/configs" "$root/CMakePresets.json" "$work"
printf '#!/bin/sh\n' >"$work/jobs/install.sh"
cat >"$work/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.22)
project(stand_in LANGUAGES NONE)
add_custom_target(ram_dist COMMAND \${CMAKE_COMMAND} -E create_symlink "$ram_dist" ram_dist)
CMAKE
reproduce() { "$work/jobs/reproduce.sh" mnist --here --seeds=1 --set train.epochs=4 >"$work/$1" 2>&1 || { tail -n 20 "$work/$1" && exit 1; }; }
refuses() { # WORDS ARGUMENTS...
    local code=0 words=$1
    shift
    "$work/jobs/reproduce.sh" "$@" --here >"$work/out" 2>&1 || code=$?
    if [ $code -ne 64 ] || [[ $(tail -n 1 "$work/out") != *"$words"* ]]; then
        cat "$work/out" && echo "FAILED: $* ends with $code" && exit 1
    fi
}
refuses "its first argument is ''"
refuses "its first argument is '--seeds'" --seeds 2
refuses "its first argument is '../configs/mnist'" ../configs/mnist
refuses "there is no configs/mnits.yaml" mnits
refuses "--run-dir and --resume are decided by TASK" mnist --run-dir here
refuses "seed=4 contradicts --seeds" mnist --set seed=4
echo 'seven seed=7' >"$work/seed.variants"
refuses "the variant seven" mnist --variants "$work/seed.variants"
refuses "eval.policy is random" mnist --set eval.policy=random
printf 'plain\r\nwide model.glimpses=99 # too many\r\n' >"$work/bad.variants"
refuses "model.glimpses" mnist --variants="$work/bad.variants"
[ ! -e "$work/logs" ] || { echo "FAILED: something was trained before the arguments were judged" && exit 1; }
reproduce first
row=$(tail -n 1 "$work/first")
echo "$row"
# | mnist, train.epochs=4 | 1 | M = 1 | M = 10 | random | M = 10 | centre |
awk -F'|' '{
    one = $4; ten = $5; random = $6; randoms = $7; centre = $8
    exit !(NF == 9 && ten < randoms && randoms < random && $2 == " mnist, train.epochs=4 " && ten > 0 && ten < one && one < 6 && one < random && one < centre)
}' <<<"$row" || exit 1
reproduce second
[ "$(tail -n 1 "$work/second")" = "$row" ] || { echo "FAILED: another row when called again" && exit 1; }
refuses "was made with other settings (train.epochs=4)" mnist --seeds 1 --set train.epochs=3
refuses "(augment.shift=0)" mnist --seeds 1 --set train.epochs=4 --set augment.shift=1
# Other images than the run's own: one label differs.
cp -rL "$RAM_DATA" "$work/other"
labels=$work/other/t10k-labels-idx1-ubyte
last=$(tail -c 1 "$labels" | od -An -tu1)
truncate -s -1 "$labels"
# shellcheck disable=SC2059 # an escape
printf "\\x0$(((last + 1) % 10))" >>"$labels"
refuses "was trained on other images" mnist --seeds 1 --set train.epochs=4 --set "data.dir=$work/other"
[ "$(grep -c '"kind":"epoch"' "$work/logs/mnist-sweep/as_configured-seed-1/metrics.jsonl")" -eq 4 ]
