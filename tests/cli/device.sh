#!/usr/bin/env bash
# device.sh RAM_DIST: the whole program on the backend that keeps its memory apart from the host's (cpu-check): training,
# evaluation, traces and going on have the bits of the CPU's; what a run begins on one device goes on on another.
# shellcheck disable=SC1091,SC2154 # checks.bash sets work, ram_dist, here and python
. "$(dirname "$0")/checks.bash"
blobs data 300 103
small_model
export RAM_DATA=$work/data
check_device=(--device cpu-check)
variants=(
    ""
    "--set model.core=lstm --set train.glimpse_nll=0.3 --set train.clip=0.5 --set train.ema=0.9"
    "--set data.task=cluttered --set data.canvas=20 --set train.optimizer=sgd --set train.baseline=others --set train.samples=2"
    "--set model.locator=linear --set train.baseline=moving_average --set trace.every=1 --set trace.count=50 --set threads=3"
)
compute() { # FOLDER ARGUMENT...: trains, evaluates into FOLDER.eval, traces
    local folder=$1
    shift
    run 0 --config small.yaml --set train.epochs=2 --run-dir "$folder" "$@"
    quiet
    run 0 eval "$folder" --set eval.rollouts=2 "$@"
    grep -v '^checkpoint' out >"$folder.eval"
    run 0 trace "$folder" --set eval.batch=64 "$@"
}
for variant in "${variants[@]}"; do
    rm -rf plain checked
    read -ra settings <<<"$variant"
    compute plain "${settings[@]}"
    compute checked "${settings[@]}" "${check_device[@]}"
    check weights plain checked
    diff plain.eval checked.eval >out || fail "an evaluation on cpu-check differs"
    best=$(readlink plain/checkpoints/best)
    "$python" "$here/trace.py" same "plain/traces/test-$best/index.h5" "checked/traces/test-$best/index.h5" >out 2>&1 ||
        fail "a trace on cpu-check differs"
done

# Ranks whose memory is not the host's send copies of it.
run 0 --config small.yaml --set train.epochs=2 --run-dir plain2
run 0 --np 2 --config small.yaml --set train.epochs=2 --run-dir checked2 "${check_device[@]}"
quiet
check weights plain2 checked2

# From one device to the other and back, at an epoch's end.
run 0 --config small.yaml --run-dir whole --set train.epochs=3
run 0 --config small.yaml --run-dir moved --set train.epochs=1
run 0 --run-dir moved --resume auto --set train.epochs=2 "${check_device[@]}"
says out "changed: device was"
run 0 --run-dir moved --resume auto --set train.epochs=3 --device cpu
check weights whole moved
run 0 bench "${check_device[@]}" --steps 5
finish
