#!/usr/bin/env bash
# reproduce.sh RAM_DIST: a row of configs/RESULTS.md in small: one seed of configs/mnist.yaml, four epochs, on real MNIST,
# by jobs/reproduce.sh in a tree of its own. The numbers are plausible, and a second call only prints them again.
# shellcheck disable=SC1091,SC2154 # mnist.bash sets ram_dist, root and work
. "$(dirname "${BASH_SOURCE[0]}")/mnist.bash"
cp -r "$root/jobs" "$root/configs" "$root/CMakePresets.json" "$work"
printf '#!/bin/sh\n' >"$work/jobs/install.sh"
cat >"$work/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.22)
project(stand_in LANGUAGES NONE)
add_custom_target(ram_dist COMMAND \${CMAKE_COMMAND} -E create_symlink "$ram_dist" ram_dist)
CMAKE
reproduce() { "$work/jobs/reproduce.sh" mnist --seeds 1 --set train.epochs=4 >"$work/$1" 2>&1 || { tail -n 20 "$work/$1" && exit 1; }; }
reproduce first
row=$(tail -n 1 "$work/first")
echo "$row"
# | mnist | 1 | M = 1 +- | M = 10 +- | random +- | centre +- |
awk -F'[|+]' -v row="$row" 'BEGIN {
    n = split(row, field, "[|+]")
    one = field[4]; ten = field[6]; random = field[8]; centre = field[10]
    exit !(n == 12 && ten > 0 && ten < one && one < 6 && one < random && one < centre)
}' || exit 1
reproduce second
[ "$(tail -n 1 "$work/second")" = "$row" ] || { echo "FAILED: another row when called again" && exit 1; }
[ "$(grep -c '"kind":"epoch"' "$work/logs/mnist-sweep/as_configured-seed-1/metrics.jsonl")" -eq 4 ]
