#!/usr/bin/env bash
# doctor.sh RAM_DIST: the page, the verdicts on what a training would trip over, and that nothing is left behind.
# shellcheck disable=SC1091,SC2154 # checks.bash sets work, ram_dist, here and python
. "$(dirname "$0")/checks.bash"
blobs data 600 200
small_model
export RAM_DATA=$work/data
small=(--config small.yaml)
unset CUDA_VISIBLE_DEVICES

for ranks in 1 3; do
    run 0 doctor --np $ranks "${small[@]}" --run-dir some/run
    quiet
    says out "$ranks rank"
    says out "all-reduce of 1 MB"
    says out "HDF5 1."
    says out "540 training, 60 validation, 200 test images"
    says out "would start"
    grep -qE '^ok +run folder +some/run: .* at \., seen by all ranks' out || fail "the run folder is not judged"
    [ "$(grep -cE "^ +[0-9]+ +$(hostname -s) " out)" -eq $ranks ] || fail "not a row for each of $ranks ranks"
    [ ! -e some ] || fail "a folder was made"
    [ "$(wc -l <out)" -lt 40 ] || fail "longer than a page"
done
cp out page
run 0 train "${small[@]}" --run-dir trained --set train.epochs=1
"$python" - <<'PYTHON' >err 2>&1 || fail "doctor's hashes are not those that a checkpoint carries"
import h5py, re
page = dict(re.findall(r"^ {7}(train|test|validation) +(\w{32})$", open("page").read(), re.M))
with h5py.File("trained/checkpoints/best/index.h5") as file:
    saved = file["provenance"].attrs["data_hashes"]
saved = dict(pair.split("=") for pair in (saved.decode() if isinstance(saved, bytes) else str(saved)).split())
assert saved == page and len(page) == 3, (saved, page)
PYTHON

# wrong CODE WHAT TEXT ARGUMENT...: the page marks WHAT, goes on to its end, and the error is the training's own.
wrong() {
    run "$1" doctor "${small[@]}" "${@:4}"
    error_has "$3"
    grep -qE "^WRONG +$2 " out || fail "the page does not mark $2 as wrong"
    lacks out "would start"
    cp err told
    case " ${*:4} " in *--run-dir*) ;; *) set -- "$@" --run-dir fresh ;; esac
    run "$1" train "${small[@]}" "${@:4}"
    cmp -s err told || [ "$2" = "run folder" ] || fail "training says something else"
}
# With --resume the checkpoint's own configuration counts, as in training; a finished run needs no data any more.
run 0 train "${small[@]}" --run-dir own --set train.epochs=1 --set data.dir="$work/data"
RAM_DATA=$work/nothing run 0 doctor --run-dir own --resume auto --set train.epochs=2
says out "540 training"
says out "would start"
RAM_DATA=$work/nothing run 0 doctor --run-dir own --resume auto --set data.dir=
says out "this run is finished"
run 0 doctor "${small[@]}" --run-dir new --resume auto
says out "starting from the beginning"
fingerprint own >before
echo >file
wrong 64 training "cannot become" --run-dir own --resume auto --set model.hidden=32
cp -r own edited && echo '{}' >edited/metrics.jsonl
wrong 65 training "edited/metrics.jsonl has 3 bytes, but had" --run-dir edited --resume auto --set train.epochs=2
cp -r own asked && touch asked/stop
run 0 doctor --run-dir asked --resume auto --set train.epochs=2
says out "has a file \`stop\`"
fingerprint own | diff before - >/dev/null || fail "doctor changed a run"
wrong 64 training "train.reduction" --np 2 --set train.reduction=fast
wrong 69 training "nccl" --comm nccl
wrong 64 training "no file train-images" --np 2 --set data.dir=nowhere
wrong 69 training "cuda" --device cuda
wrong 74 "run folder" "file/" --np 2 --run-dir file/run
wrong 64 training "train.lanes" --np 3 --set train.lanes=2
for name in config.yaml metrics.jsonl run.log; do
    mkdir -p "folder-$name/$name"
    wrong 74 "run folder" "folder-$name/$name is a folder, and a run needs a file" --run-dir "folder-$name" --resume auto
done
for name in checkpoints traces; do
    mkdir "file-$name" && touch "file-$name/$name"
    wrong 74 "run folder" "file-$name/$name is no folder, and a run needs one" --np 2 --run-dir "file-$name"
done
if ! grep -q __asan_init "$ram_dist"; then # a sanitizer's shadow has no place in such a limit
    large=(--set train.samples=1024 --set train.batch=540 --set model.glimpses=64 --set model.hidden=2048 --set threads=1)
    for command in doctor train; do
        for ranks in 1 2; do
            command_run 64 bash -c 'ulimit -v 1200000; exec "$@"' bash "$ram_dist" $command "${small[@]}" "${large[@]}" \
                --np $ranks --run-dir fresh
            error_has "out of memory: "
            [ $command = train ] || grep -qE "^WRONG +training +out of memory" out || fail "the page does not tell of memory"
        done
    done
fi
"$python" - <<'PYTHON' &
import fcntl, struct, time
file = open("trained/.lock", "r+")
fcntl.fcntl(file, 37, struct.pack("hhqqi", fcntl.F_WRLCK, 0, 0, 0, 0))  # F_OFD_SETLK
open("locked", "w").close()
time.sleep(30)
PYTHON
for _ in {1..100}; do [ ! -e locked ] || break && sleep 0.05; done
wrong 64 "run folder" "in use" --run-dir trained --resume auto
wrong 64 "run folder" "holds a run already" --run-dir trained
kill $!
refuses 64 "--np" doctor --np 0
refuses 64 "no-such" doctor --set no-such=1

# what it sees of GPUs: hidden, listed, by UUID; shared ones are told
gpus() { # VARIABLE EXPECTED...: the own GPU of each of two ranks
    command_run 0 env ${1:+CUDA_VISIBLE_DEVICES="$1"} "$ram_dist" doctor --np 2 "${small[@]}"
    [ "$(awk '$1 ~ /^[0-9]+$/ { print $5 }' out | xargs)" = "${*:2}" ] || fail "CUDA_VISIBLE_DEVICES=$1: not ${*:2}"
}
gpus -1 - -
grep -qE '^ok +CUDA +no GPU can be used here \([^;]+\): device auto takes the CPU$' out || fail "no GPU, in other words"
lacks out "--device"
gpus 3,1,2 3 1
gpus GPU-aa,GPU-bb GPU-aa GPU-bb
lacks out "both take"
gpus 5 5 5
says out "ranks 0 and 1 of $(hostname -s) both take GPU 5"
[ "$(find . -name '.doctor*' | wc -l)" -eq 0 ] || fail "a file was left behind"
finish
