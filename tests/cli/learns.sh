#!/usr/bin/env bash
# learns.sh RAM_DIST: on real MNIST and two ranks, the defaults reach at most 4 % validation error in 30 epochs,
# configs/quick.yaml, which jobs/local.sh trains, at most 2.5 % test error, and configs/mnist_fast.yaml the 1.18 % that it
# is there for.
# shellcheck disable=SC1091,SC2154 # mnist.bash sets ram_dist, root and work
. "$(dirname "${BASH_SOURCE[0]}")/mnist.bash"
"$ram_dist" --np 2 --run-dir "$work/run" --set train.epochs=30 | tail -n 30 || exit 1
best=$(sed -n 's/.*"split":"validation".*"error":\([0-9.]*\).*/\1/p' "$work/run/metrics.jsonl" | sort -g | head -n 1)
echo "best validation error $best %"
awk -v best="$best" 'BEGIN { exit !(best != "" && best <= 4) }' || exit 1

# reaches NAME ERROR: configs/NAME.yaml at most ERROR percent on the test set.
reaches() {
    local error
    "$ram_dist" --np 2 --config "$root/configs/$1.yaml" --run-dir "$work/$1" | tail -n 30 || exit 1
    error=$(sed -n 's/.*"split":"test".*"policy":"sample".*"error":\([0-9.]*\).*/\1/p' "$work/$1/metrics.jsonl")
    echo "test error of configs/$1.yaml $error %"
    awk -v error="$error" -v most="$2" 'BEGIN { exit !(error != "" && error <= most) }' || exit 1
}
reaches quick 2.5
reaches mnist_fast 1.18
