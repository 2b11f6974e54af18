#!/usr/bin/env bash
# gpu.sh: all that needs a GPU, in one go, on a machine that has one and little else.
#
#   gpu.sh pack BUILD      where the program was built (a folder of CMake's): the bundle, the tests' programs, what they
#                          read, and this script, in BUILD/gpu and BUILD/gpu.tar.gz
#   gpu.sh run [PART...]   in a copy of that folder, on the machine with the GPU. RAM_DATA names the folder of MNIST.
#
# Parts: conformance graph nccl gpus precision ranks speed resume host curves racecheck synccheck memcheck torch; without
# any, all of them in this order. Each line of the table at the end, also of a run that SIGTERM ends, is a part's result;
# the exit status is 1 when one has failed.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
programs=(test_conformance test_engine test_bits reference_case)

# --- pack

pack() { # BUILD
    local build=$1 to=$1/gpu source program library
    source=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$build/CMakeCache.txt") || return
    grep -q '^RAM_NVCC:FILEPATH=.*nvcc' "$build/CMakeCache.txt" || {
        echo "gpu.sh: error: $build has no CUDA backend: configure it with -DRAM_CUDA=ON" >&2
        return 69
    }
    cmake --build "$build" --target bundle "${programs[@]}" >/dev/null || return
    rm -rf "$to" "$to.tar.gz"
    cp -a "$build"/bundle/ram_dist-*/ "$to" || return
    mkdir -p "$to/tests/reference"
    for program in "${programs[@]}"; do
        strip -o "$to/lib/bin/$program" "$(find "$build/tests" -name "$program" -type f -perm -u+x)" || return
        patchelf --force-rpath --set-rpath "\$ORIGIN/.." "$to/lib/bin/$program" || return
        # libraries that only the tests need; those of the C library and CUDA are the machine's
        ldd "$to/lib/bin/$program" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' |
            grep -vE '/(ld-linux.*|lib(c|m|dl|rt|pthread|util|resolv|cuda|cublas|nccl)[.-].*)$' |
            while read -r library; do
                [ -e "$to/lib/$(basename "$library")" ] || cp -L "$library" "$to/lib/"
            done
    done
    cp -L "$source"/tests/reference/*.h5 "$to/tests/reference/" || return
    for program in "$source"/../shared/reference/*.h5; do
        [ ! -e "$program" ] || cp -L "$program" "$to/tests/reference/shared_$(basename "$program")"
    done
    cp "$source/tests/gpu.sh" "$to/tests/"
    program=$source/../shared/bench/torch_ram.py
    [ ! -e "$program" ] || cp "$program" "$to/tests/"
    tar czf "$to.tar.gz" -C "$build" gpu || return
    du -sh "$to" "$to.tar.gz"
}

# --- run

lines=()
failures=0
result() { # NAME RESULT
    lines+=("$(printf '%-44s %s' "$1" "$2")")
    echo "--- $1: $2"
}
# limited SECONDS COMMAND...: in the background, so that a SIGTERM to this script is heeded at once
child=''
limited() {
    timeout -k 10 "$@" </dev/null &
    child=$!
    wait $child
}
# part NAME SECONDS COMMAND...: one line of the table; the command's output goes to $work/out
part() {
    local name=$1 limit=$2 started=$SECONDS code=0
    shift 2
    limited "$limit" "$@" >"$work/out" 2>&1 || code=$?
    if [ $code -eq 0 ]; then
        result "$name" "ok, $((SECONDS - started)) s"
        return 0
    fi
    tail -n 25 "$work/out" | sed 's/^/    /'
    result "$name" "FAILED (exit code $code)"
    failures=$((failures + 1))
    return 1
}
expect() { # NAME COMMAND...: a check of results
    local name=$1
    shift
    if "$@" >"$work/out" 2>&1; then
        result "$name" ok
    else
        tail -n 10 "$work/out" | sed 's/^/    /'
        result "$name" FAILED
        failures=$((failures + 1))
    fi
}

part_conformance() {
    part "kernels against the CPU's" 300 "$root/lib/bin/test_conformance" cuda
    part "engine against the plain reference" 300 "$root/lib/bin/test_engine" cuda
    part "same bits for any grouping of lanes" 600 "$root/lib/bin/test_bits" cuda
    part "reference cases" 300 "$root/lib/bin/reference_case" "$root"/tests/reference/*.h5 --device cuda
    awk '$NF ~ /e[-+][0-9]+$/ && $NF + 0 > most { most = $NF + 0 } END { print "    largest deviation " most }' "$work/out"
}

sanitize() { # TOOL [OPTION...]
    local tool=$1 sanitizer='' place
    for place in "$(command -v compute-sanitizer)" /usr/local/cuda*/bin/compute-sanitizer; do
        [ ! -x "$place" ] || sanitizer=$place
    done
    if [ -z "$sanitizer" ]; then
        result "compute-sanitizer, $tool" "SKIPPED: it is not here"
        return
    fi
    part "compute-sanitizer, $tool" 900 "$sanitizer" --tool "$@" --error-exitcode 9 "$root/lib/bin/test_conformance" cuda && return
    if grep -q 'Device not supported' "$work/out"; then
        unset 'lines[-1]'
        result "compute-sanitizer, $tool" "SKIPPED: it does not support this machine"
        failures=$((failures - 1))
    fi
}
part_memcheck() { sanitize memcheck --report-api-errors no; } # ours are all looked at; libraries probe with some
part_racecheck() { sanitize racecheck --racecheck-detect-level error "${ours[@]}"; }
part_synccheck() { sanitize synccheck "${ours[@]}"; }
# The kernels with shared memory: the pipelines of cuBLAS's own are not ours to judge.
ours=()
for kernel in classification columns few_outputs locate partials reinforce squares transpose; do
    ours+=(--kernel-name "kns=${kernel}_kernel")
done

# curve RUN: epoch and validation error
curve() { sed -n 's/.*"split":"validation","epoch":\([0-9]*\).*"error":\([0-9.]*\).*/\1 \2/p' "$1/metrics.jsonl"; }
facts() { sed 's/"seconds":[0-9.e+-]*//' "$1/metrics.jsonl"; }
same_facts() { [ -s "$1/metrics.jsonl" ] && [ -s "$2/metrics.jsonl" ] && diff <(facts "$1") <(facts "$2"); }

# The GPUs that programs see, the first of them alone, and what its hardware has beside fp32
gpus() {
    local visible=${CUDA_VISIBLE_DEVICES-}
    if [ -n "$visible" ]; then tr , '\n' <<<"$visible"; else nvidia-smi --query-gpu=index --format=csv,noheader; fi | wc -l
}
first=${CUDA_VISIBLE_DEVICES:-0}
on_one=(env "CUDA_VISIBLE_DEVICES=${first%%,*}")
precisions() { # all of them where it is not known
    local capability
    capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1)
    if [ "${capability%.*}" -lt 8 ] 2>/dev/null; then echo fp32; else echo fp32 tf32 bf16; fi
}

part_graph() { # a step's kernels recorded and one by one, with whole and short batches, and one batch size after another
    local graph reduction
    for reduction in fast tree; do
        for graph in true false; do
            part "1 epoch, $reduction, train.graph=$graph" 300 ram_dist --device cuda \
                --run-dir "$work/graph-$reduction-$graph" --set train.epochs=1 --set train.graph=$graph \
                --set train.reduction=$reduction --set train.baseline=moving_average || return
        done
        expect "$reduction: recorded or not: the same figures" \
            same_facts "$work/graph-$reduction-true" "$work/graph-$reduction-false"
    done
}

part_curves() {
    local device
    for device in cuda cpu; do
        part "10 epochs on $device" 900 ram_dist --device $device --run-dir "$work/$device" --set train.epochs=10 \
            --set checkpoint.keep=20 || return
    done
    echo "    epoch, validation error on the GPU and the CPU, the same seed:"
    paste -d' ' <(curve "$work/cuda") <(curve "$work/cpu") | awk '{ printf "    %2d  %6.2f %%  %6.2f %%\n", $1, $2, $4 }'
    for device in one two; do
        part "1 epoch, run $device" 300 ram_dist --device cuda --run-dir "$work/$device" --set train.epochs=1 || return
    done
    expect "two runs: the same figures" same_facts "$work/one" "$work/two"
}

part_precision() { # two runs of each: the same figures; the last validation error beside fp32's
    local precision again
    for precision in $(precisions); do
        for again in one two; do
            part "3 epochs in $precision, run $again" 300 ram_dist --device cuda --run-dir "$work/$precision-$again" \
                --set train.epochs=3 --set train.precision="$precision" || return
        done
        expect "$precision: the same figures" same_facts "$work/$precision-one" "$work/$precision-two"
        [ "$precision" = fp32 ] || expect "$precision: other figures than fp32's" refused 1 "" same_facts "$work/$precision-one" "$work/fp32-one"
        echo "    $precision: epoch and validation error $(curve "$work/$precision-one" | tail -n 1)"
    done
}

part_resume() {
    part "begun on the GPU" 300 ram_dist --device cuda --run-dir "$work/moved" --set train.epochs=1 || return
    part "gone on with on the CPU" 300 ram_dist --resume auto --device cpu --run-dir "$work/moved" --set train.epochs=2
    part "and on the GPU again" 300 ram_dist --resume auto --device cuda --run-dir "$work/moved" --set train.epochs=3
    part "evaluated on the CPU" 300 ram_dist eval "$work/moved" --device cpu
    part "traced on the GPU" 300 ram_dist trace "$work/moved" --device cuda
}

part_ranks() { # two ranks on one GPU meet through the host's memory
    local np
    for np in 1 2; do
        part "1 epoch on $np rank(s), one GPU" 300 "${on_one[@]}" ram_dist --np $np --device cuda --set train.reduction=tree \
            --run-dir "$work/np$np" --set train.epochs=1 || return
    done
    expect "the same figures on 1 and 2 ranks" same_facts "$work/np1" "$work/np2"
}

refused() { # CODE TEXT COMMAND...
    local expected=$1 text=$2 code=0 output
    shift 2
    output=$("$@" 2>&1) || code=$?
    echo "exit code $code: $output"
    [ $code -eq "$expected" ] && [[ $output == *"$text"* ]]
}
# One rank alone; two on one GPU, which NCCL refuses. A sum over one rank may be nothing at all to NCCL: that sums of
# several are recorded and played, two GPUs must show.
part_nccl() {
    local code=0
    limited 300 ram_dist --device cuda --comm nccl --run-dir "$work/probe" --set train.epochs=1 >"$work/out" 2>&1 || code=$?
    if [ $code -eq 69 ] && grep -q 'NCCL cannot be loaded' "$work/out"; then
        result "NCCL" "SKIPPED: it is not here"
        return
    fi
    part "1 epoch, summed by NCCL" 300 ram_dist --device cuda --comm nccl --run-dir "$work/nccl" --set train.epochs=1 || return
    expect "the log says so" grep -q 'gradients are summed by NCCL' "$work/nccl/run.log"
    expect "its sum is part of the recorded step" refused 1 "" grep 'no part of a recorded step' "$work/nccl/run.log"
    part "the same, kernel by kernel" 300 ram_dist --device cuda --comm nccl --run-dir "$work/nccl-single" \
        --set train.epochs=1 --set train.graph=false || return
    expect "recorded or not: the same figures" same_facts "$work/nccl" "$work/nccl-single"
    part "1 epoch, tree by NCCL" 300 ram_dist --device cuda --comm nccl --set train.reduction=tree \
        --run-dir "$work/nccl-tree" --set train.epochs=1
    expect "the log says so" grep -q 'sent from GPU to GPU by NCCL' "$work/nccl-tree/run.log"
    part "1 epoch on 2 ranks, one GPU, as it comes" 300 "${on_one[@]}" ram_dist --np 2 --run-dir "$work/shared" --set train.epochs=1
    expect "the log says why not by NCCL" grep -q 'through the host by .* share GPU-' "$work/shared/run.log"
    expect "--comm nccl there is an error" refused 69 "share GPU-" "${on_one[@]}" timeout 300 ram_dist --np 2 --comm nccl \
        --set train.epochs=1 --run-dir "$work/none"
}

# after FILE COMMAND...: runs it once FILE holds an epoch
after() {
    local file=$1 looks
    shift
    for ((looks = 0; looks < 1200; looks++)); do
        if grep -qs '"kind":"epoch"' "$file"; then
            "$@"
            return
        fi
        sleep 0.1
    done
}
last_rank() { # SIGNAL RUN: to the youngest process of the run, which is a rank
    pkill "-$1" -n -f "^[^ ]*ram_dist[^ ]* train .*--run-dir $2( |\$)"
}
# Several GPUs: sums between them by NCCL, recorded or not; the lanes' tree with one's bits; ranks that hang and die.
part_gpus() {
    local np graph all
    all=$(gpus)
    if [ "$all" -lt 2 ]; then
        result "several GPUs" "SKIPPED: nvidia-smi tells of $all"
        return
    fi
    for ((np = 1; np <= all && np <= 8; np++)); do
        for graph in true false; do
            part "1 epoch on $np GPU(s), train.graph=$graph" 300 ram_dist --np $np --device cuda --comm nccl \
                --set train.epochs=1 --set train.graph=$graph --run-dir "$work/gpus$np-$graph" || return
        done
        expect "recorded or not: the same figures" same_facts "$work/gpus$np-true" "$work/gpus$np-false"
        part "1 epoch on $np GPU(s), tree" 300 ram_dist --np $np --device cuda --comm nccl --set train.reduction=tree \
            --set train.epochs=1 --run-dir "$work/tree$np" || return
        [ $np -eq 1 ] || expect "$np GPUs: the figures of one" same_facts "$work/tree1" "$work/tree$np"
    done
    expect "the log says so" grep -q 'gradients are summed by NCCL' "$work/gpus2-true/run.log"
    expect "its sum is part of the recorded step" refused 1 "" grep 'no part of a recorded step' "$work/gpus2-true/run.log"
    after "$work/hanging/metrics.jsonl" last_rank STOP "$work/hanging" &
    expect "a rank that hangs" refused 124 "goes on from the last checkpoint" timeout 300 ram_dist --np 2 --device cuda --comm nccl \
        --set comm.timeout=10 --run-dir "$work/hanging" --set train.epochs=100000
    after "$work/dying/metrics.jsonl" last_rank KILL "$work/dying" &
    part "a rank that dies, and a restart" 300 ram_dist --np 2 --device cuda --comm nccl --max-restarts 1 \
        --run-dir "$work/dying" --set train.epochs=30
    expect "it started again" grep -q 'starting all ranks again' "$work/dying/run.log"
    wait
}

part_host() { # what the host does for the GPU: pictures that it draws, a step ahead; and what does not fit
    local graph
    for graph in true false; do
        part "1 epoch of cluttered pictures, train.graph=$graph" 600 ram_dist --device cuda --set data.task=cluttered \
            --set train.epochs=1 --set train.graph=$graph --run-dir "$work/cluttered-$graph" || return
    done
    expect "recorded or not: the same figures" same_facts "$work/cluttered-true" "$work/cluttered-false"
    expect "too large a batch is refused" refused 64 "out of GPU memory" ram_dist --device cuda \
        --set train.batch=54000 --set train.samples=64 --set model.hidden=4096 --run-dir "$work/large"
}

figure() { sed -n "s/^ *\"$1\": \([0-9.e+-]*\),*$/\1/p" "$work/out"; }

speed_row() { # DEVICE BATCH REDUCTION PRECISION GRAPH
    part "bench, $1, batch $2, $3, $4, graph $5" 300 ram_dist bench --json --device "$1" --set train.batch="$2" \
        --set train.reduction="$3" --set train.precision="$4" --set train.graph="$5" || return
    awk -v rate="$(figure train_images_per_second)" -v step="$(figure step_seconds)" \
        -v flops="$(figure train_flops_per_image)" -v setting="$(printf '%-6s %6d %9s %5s %6s' "$@")" \
        'BEGIN { printf "    %s %12.0f %12.3f %10.3f %9.2f\n", setting, rate, 54000 / rate, 1e3 * step, 1e-12 * rate * flops }' \
        | tee -a "$work/speed"
}
part_speed() {
    local batch reduction precision
    printf '    %-6s %6s %9s %5s %6s %12s %12s %10s %9s\n' device batch reduction "" graph "images/s" "epoch, s" "step, ms" "TFLOP/s" |
        tee "$work/speed"
    for batch in 128 4096; do
        for reduction in tree fast; do
            for precision in $(precisions); do speed_row cuda $batch $reduction "$precision" true; done
            speed_row cuda $batch $reduction fp32 false
        done
        speed_row cpu $batch tree fp32 true
    done
}

part_torch() { # the same training by PyTorch, where it is here, beside ours on the same GPU; its failures are not ours
    local batch compile name ours data=$work/plain python=(env "LD_LIBRARY_PATH=$libraries_before" python3)
    if [ ! -e "$here/torch_ram.py" ] || [ -z "${RAM_DATA-}" ] || ! "${python[@]}" -c 'import torch' 2>/dev/null; then
        result "PyTorch" "SKIPPED: torch_ram.py, PyTorch or RAM_DATA is not here"
        return
    fi
    mkdir -p "$data"
    for name in train-images-idx3-ubyte train-labels-idx1-ubyte; do
        if [ -e "$RAM_DATA/$name" ]; then cp "$RAM_DATA/$name" "$data"; else gunzip -c "$RAM_DATA/$name.gz" >"$data/$name"; fi
    done
    for batch in 128 4096; do
        part "bench, batch $batch" 300 ram_dist bench --json --device cuda --set train.batch=$batch || return
        ours=$(awk -v rate="$(figure train_images_per_second)" 'BEGIN { print 54000 / rate }')
        for compile in '' --compile; do
            limited 600 "${python[@]}" "$here/torch_ram.py" "$data" --vector --device cuda --batch $batch --epochs 3 \
                $compile >"$work/out" 2>&1 || {
                tail -n 5 "$work/out" | sed 's/^/    /'
                result "PyTorch $compile, batch $batch" "SKIPPED: it failed"
                continue
            }
            awk -v ours="$ours" -v batch="$batch" '/s per epoch/ {
                printf "    batch %4d: PyTorch %s; ram_dist %.3f s: %.1f times as fast\n", batch, $0, ours, $1 / ours
            }' "$work/out" >>"$work/torch"
        done
    done
}

table() { # also of a run that is cut short
    echo
    printf '%s\n' "${lines[@]}"
    for name in speed torch; do [ ! -e "$work/$name" ] || cat "$work/$name"; done
    rm -rf "$work"
}

run() { # PART...
    local name folder
    root=$(cd "$here/.." && pwd)
    work=$(mktemp -d) || return 74
    trap table EXIT
    trap 'kill $child; exit 143' TERM
    export PATH="$root/bin:$PATH"
    libraries_before=${LD_LIBRARY_PATH-}
    # cuBLAS and NCCL where the system does not know them: the toolkit's, and those that come with PyTorch
    while read -r folder; do
        [ ! -d "$folder" ] || export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder"
    done < <(
        printf '%s\n' /usr/local/cuda*/lib64
        python3 -c 'import glob, nvidia; print(*(f for p in nvidia.__path__ for f in glob.glob(p + "/*/lib")), sep="\n")' 2>/dev/null
    )
    for name in "${RAM_DATA:-data/mnist}"/train-images-idx3-ubyte*; do
        [ -e "$name" ] || echo "gpu.sh: MNIST is not in ${RAM_DATA:-data/mnist}: only the parts that train nothing can pass"
    done
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader || echo "gpu.sh: nvidia-smi does not answer"
    limited 60 ram_dist doctor --device cuda
    [ $? -ne 69 ] || exit 69 # no part can pass
    for name; do "part_$name"; done
    [ $failures -eq 0 ] || echo "FAIL: $failures"
    [ $failures -gt 0 ] || echo PASS
    return $((failures > 0))
}

case ${1:-} in
pack)
    [ $# -eq 2 ] && pack "$(cd "$2" && pwd)"
    ;;
run)
    shift
    [ $# -gt 0 ] || set -- conformance graph nccl gpus precision ranks speed resume host curves racecheck synccheck memcheck torch
    for name; do
        declare -F "part_$name" >/dev/null || { echo "gpu.sh: error: there is no part '$name'" >&2 && exit 64; }
    done
    run "$@"
    ;;
*)
    sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 64
    ;;
esac
