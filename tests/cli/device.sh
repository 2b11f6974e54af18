#!/usr/bin/env bash
# device.sh RAM_DIST [cpu-check|cuda]: the whole program on another device than the CPU: training, evaluation, traces and
# going on. Results on cpu-check, the backend that keeps its memory apart from the host's, have the bits of the CPU's; a
# GPU repeats its own, with a step's kernels recorded or one by one; in the lanes' order they are those of any number of
# ranks, in no order of the lanes they are near. What a run begins on one device goes on on another.
# shellcheck disable=SC1091,SC2154 # checks.bash sets work, ram_dist, here and python
. "$(dirname "$0")/checks.bash"
blobs data 300 103
small_model
export RAM_DATA=$work/data
device=${2:-cpu-check} same_as=cpu
[ "$device" = cpu-check ] || same_as=$device
variants=(
    ""
    "--set model.core=lstm --set train.glimpse_nll=0.3 --set train.clip=0.5 --set train.ema=0.9"
    "--set data.task=cluttered --set data.canvas=20 --set train.optimizer=sgd --set train.baseline=others --set train.samples=2 --set train.reward=log_likelihood --set train.credit=gain --set train.glimpse_nll=1 --set threads=3"
    "--set model.locator=linear --set train.baseline=moving_average --set train.reward=log_likelihood --set trace.every=1 --set trace.count=50 --set threads=3"
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
    compute plain "${settings[@]}" --device "$same_as" --set train.graph=false
    compute checked "${settings[@]}" --device "$device"
    check weights plain checked
    diff plain.eval checked.eval >out || fail "an evaluation on $device differs"
    best=$(readlink plain/checkpoints/best)
    "$python" "$here/trace.py" same "plain/traces/test-$best/index.h5" "checked/traces/test-$best/index.h5" >out 2>&1 ||
        fail "a trace on $device differs"
done

# Ranks whose memory is not the host's send copies of it.
run 0 --config small.yaml --set train.epochs=2 --set train.reduction=tree --run-dir alone --device "$same_as"
for np in 2 3; do
    run 0 --np $np --config small.yaml --set train.epochs=2 --set train.reduction=tree --run-dir ranks$np --device "$device"
    quiet
    check weights alone ranks$np
done

# A GPU computes a rank's rows as one lane where nothing else is asked for, and the ranks make a tree.
if [ "$device" = cuda ]; then
    for np in 1 2 3; do
        run 0 --np $np --config small.yaml --set train.epochs=2 --run-dir fast$np --device cuda
        says out "a training batch is cut into $((np == 3 ? 8 : np)) lane"
        if [ $np -eq 3 ]; then
            check weights alone fast$np # no tree of three lanes, and no NCCL here
        else
            check near alone fast$np 0.02
            run 0 --np $np --config small.yaml --set train.epochs=2 --set train.reduction=fast --comm mpi --run-dir again$np --device cuda
            check weights fast$np again$np
        fi
    done
    for np in 1 2 3; do # NCCL's sum as a part of the record, between two, and of a step kernel by kernel
        settings=(--np "$np" --config small.yaml --set train.epochs=2 --set train.ema=0.9 --comm nccl --device cuda)
        EMULATED_NCCL=yes run 0 "${settings[@]}" --run-dir whole$np
        quiet
        says out "gradients are summed by NCCL"
        EMULATED_NCCL=uncaptured run 0 "${settings[@]}" --run-dir pieces$np
        EMULATED_NCCL=yes run 0 "${settings[@]}" --set train.graph=false --run-dir single$np
        check same whole$np pieces$np
        check same whole$np single$np
        [ $np -eq 1 ] || check near whole1 whole$np 0.02
    done
    if [[ $ram_dist == *_emulated ]]; then
        # A step of the default network waits for one launch after the other: there are to be few.
        EMULATED_LAUNCHES=yes run 0 --set train.epochs=2 --run-dir launches --device cuda
        most=$(sed -n 's/^launches: //p' err | sort -n | tail -n 1)
        [ "${most:-1000}" -le 111 ] || fail "a step takes ${most:-no} launches, more than 111"
        # CUDA refuses to record a step on one rank (R:N, the N-th launch or, 0, the end): no rank plays its record.
        EMULATED_NCCL=yes run 0 --np 3 --config small.yaml --set train.epochs=2 --comm nccl --run-dir recorded --device cuda
        for refusal in 0:5 2:0 1:80; do
            EMULATED_REFUSAL=$refusal EMULATED_NCCL=yes run 0 --np 3 --config small.yaml --set train.epochs=2 --comm nccl \
                --run-dir "refused$refusal" --device cuda
            says err "no CUDA graph can be made of this work"
            says err ", on rank ${refusal%:*}): its kernels are launched one by one"
            check same recorded "refused$refusal"
        done
        # A batch that the GPU has no room for: no rank begins.
        export EMULATED_MEMORY=$((164 << 20))
        for np in 1 2 3; do
            run 64 --np $np --config small.yaml --set train.batch=100000 --set train.samples=160 --run-dir large$np --device cuda
            error_has "out of GPU memory: " " MiB more were asked for" "train.batch"
            EMULATED_NCCL=yes run 64 --np $np --config small.yaml --set train.batch=100000 --set train.samples=160 --set train.reduction=tree \
                --comm nccl --run-dir large$np --device cuda
            error_has "out of GPU memory: "
        done
        # The least memory that a training begins with is enough to its end, whatever the first steps take themselves.
        for ((mib = 192; mib < 400; mib += 8)); do
            code=0
            EMULATED_MEMORY=$((mib << 20)) "$ram_dist" --set train.batch=500 --set train.reduction=tree \
                --set model.hidden=1024 --set model.glimpses=2 --set train.epochs=1 --set train.graph=false \
                --run-dir barely --device cuda >out 2>err || code=$?
            [ $code -eq 64 ] || break
        done
        [ "$code:$((mib > 192))" = 0:1 ] || fail "a training in $mib MiB of GPU memory ends with $code"
        run 0 --config small.yaml --set train.epochs=1 --run-dir large1 --device cuda
        for command in eval trace; do
            EMULATED_MEMORY=$(((32 << 20) + 20000)) run 64 $command large1 --device cuda --set eval.batch=20000
            error_has "out of GPU memory: "
        done
        EMULATED_MEMORY=$((16 << 20)) run 64 eval large1 --device cuda
        error_has "out of GPU memory: 32.0 MiB more were asked for, 16.0 of the GPU's 16.0 MiB are free"
        EMULATED_MEMORY=$(((32 << 20) + 20000)) run 64 bench --config small.yaml --device cuda --steps 5
        error_has "out of GPU memory: "
        unset EMULATED_MEMORY
        # cuBLAS is not installed, or in another version than the program was built with.
        for np in 1 2; do
            EMULATED_CUBLAS=none refuses 69 "device cuda: the library libcublasLt.so.13 cannot be used" --np $np \
                --config small.yaml --run-dir none --device cuda
        done
        EMULATED_CUBLAS_FAULT=yes refuses 69 "libcublasLt.so.13 does not start: an emulated error" --config small.yaml \
            --run-dir none --device cuda
        EMULATED_CUBLAS=libcublasLt.so.12 run 0 bench --device cuda --steps 5
    fi
    for np in 2 3; do
        EMULATED_NCCL=yes run 0 --np $np --config small.yaml --set train.epochs=2 --set train.reduction=tree --run-dir sent$np --device cuda
        says out "sent from GPU to GPU by NCCL"
        check weights alone sent$np
    done
else
    refuses 64 "train.reduction is fast" --config small.yaml --set train.reduction=fast --run-dir none --device "$device"
fi

# A fault strikes between the pieces of a step.
RAM_FAULT=nan:12 run 0 --config small.yaml --set train.epochs=2 --set train.reduction=tree --set train.on_nan=rollback \
    --run-dir struck --device "$device"
says err "the gradient is not finite at step 12"
check weights alone struck

# From one device to the other and back, at an epoch's end.
run 0 --config small.yaml --run-dir whole --set train.epochs=3 --device cpu
run 0 --config small.yaml --run-dir moved --set train.epochs=1 --device cpu
run 0 --run-dir moved --resume auto --set train.epochs=2 --device "$device"
says out "changed: device was"
run 0 --run-dir moved --resume auto --set train.epochs=3 --device cpu
says out "epoch 3/3"
[ "$same_as" != cpu ] || check weights whole moved
run 0 bench --device "$device" --steps 5
# What cannot be had is refused, on any number of ranks.
if [ "$device" != cuda ] && [ ! -e /dev/nvidiactl ]; then
    for np in 1 2; do
        refuses 69 "device cuda" --np $np --config small.yaml --run-dir none --device cuda
    done
fi
refuses 69 "only GPUs have" --config small.yaml --run-dir none --device cpu --set train.precision=tf32
finish
