#!/usr/bin/env bash
# learns.sh RAM_DIST: on real MNIST and two ranks, the defaults reach at most 4 % validation error in 30 epochs, and
# configs/quick.yaml, which jobs/local.sh trains, at most 2 % test error, with 75 epochs the 1.18 % of the README.
# shellcheck disable=SC1091,SC2154 # mnist.bash sets ram_dist, root and work
. "$(dirname "${BASH_SOURCE[0]}")/mnist.bash"
"$ram_dist" --np 2 --run-dir "$work/run" --set train.epochs=30 | tail -n 30 || exit 1
best=$(sed -n 's/.*"split":"validation".*"error":\([0-9.]*\).*/\1/p' "$work/run/metrics.jsonl" | sort -g | head -n 1)
echo "best validation error $best %"
awk -v best="$best" 'BEGIN { exit !(best != "" && best <= 4) }' || exit 1

# reaches ERROR ARGUMENTS...: configs/quick.yaml with these has at most ERROR percent on the test set.
reaches() {
    local error most=$1
    "$ram_dist" --np 2 --config "$root/configs/quick.yaml" --run-dir "$work/quick" "${@:2}" | tail -n 30 || exit 1
    error=$(sed -n 's/.*"split":"test".*"policy":"sample".*"error":\([0-9.]*\).*/\1/p' "$work/quick/metrics.jsonl")
    echo "test error of configs/quick.yaml ${*:2} $error %"
    awk -v error="$error" -v most="$most" 'BEGIN { exit !(error != "" && error <= most) }' || exit 1
    rm -r "$work/quick"
}
reaches 2
reaches 1.18 --set train.epochs=75
