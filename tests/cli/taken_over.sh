#!/usr/bin/env bash
# taken_over.sh RAM_DIST: what a run takes over from the checkpoint that it goes on from (the rate that it has come to), and
# what it does not (another's folder, best model and patience).
# shellcheck disable=SC1091,SC2154 # checks.bash sets work, ram_dist, here and python
. "$(dirname "$0")/checks.bash"
blobs data 600 200
small_model
export RAM_DATA=$work/data

# A run that begins with another's checkpoint names its own folder in config.yaml, also without --run-dir.
run 0 --config small.yaml --set train.epochs=2 --run-dir parent
fingerprint parent >before
run 0 --resume parent/checkpoints/latest --set train.epochs=3
lacks logs/default/config.yaml "parent"
run 0 --config logs/default/config.yaml --resume auto --set train.epochs=4
fingerprint parent | diff before - >/dev/null || fail "the run that it began with was changed"

# Its patience is its own as well.
run 0 --config small.yaml --set train.epochs=4 --set train.lr=0 --run-dir patient
run 0 --resume patient/checkpoints/latest --run-dir heir --set train.epochs=9 --set train.patience=3
says out "early stop after epoch 8: no better validation error for 3 epochs (train.patience)"
run 0 --run-dir heir --resume auto --set train.epochs=20
says out "nothing is left to train (epoch 8 of 20); raise train.patience to go on"
run 0 --resume heir --run-dir other --set train.epochs=20
says out "early stop after epoch 12"
refuses 64 "or raise train.patience to go on" --run-dir heir --resume auto --set train.batch=64

# Errors from before no longer count when it is judged anew, the rate that the plateau has come to does; another
# train.lr is what it says.
run 0 --config small.yaml --set train.epochs=4 --set train.lr=1e-4 --set schedule.kind=plateau --set schedule.patience=1 \
    --run-dir plateau
rate=$(sed -n 's/.*"kind":"epoch","epoch":4,.*"lr":\([0-9.e-]*\),.*/\1/p' plateau/metrics.jsonl)
cp -r plateau asked
run 0 --run-dir plateau --resume auto --set train.epochs=5 --set eval.batch=50
"$python" - "$rate" plateau asked <<'PYTHON' || fail "the rate of a plateau is lost when it is judged anew"
import json, sys
row = [json.loads(line) for line in open(f"{sys.argv[2]}/metrics.jsonl") if '"epoch","epoch":5,' in line][0]
assert float(sys.argv[1]) < 1e-4 and row["lr"] <= float(sys.argv[1]) * 1.001, (row["lr"], sys.argv[1])
PYTHON
run 0 --run-dir asked --resume auto --set train.epochs=5 --set train.lr=2e-4
[ "$(sed -n 's/.*"kind":"epoch","epoch":5,.*"lr":\([0-9.e-]*\),.*/\1/p' asked/metrics.jsonl)" = 0.0002 ] ||
    fail "another train.lr is not what it says"

# What `auto` measured on the images of the training, which those of a day may not have; exported files take it along.
cp -r data dark
"$python" - dark/train-images-idx3-ubyte <<'PYTHON'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[16:] = bytes(value // 2 for value in data[16:])
open(sys.argv[1], "wb").write(data)
PYTHON
run 0 --config small.yaml --set data.mean=auto --set data.stddev=auto --run-dir measured
run 0 eval measured
grep '^test' out >own
run 0 export measured --output measured.safetensors
run 0 import measured.safetensors --output given
for model in measured/checkpoints/best given; do
    run 0 eval "$model" --set data.dir=dark
    says out "mean and standard deviation are those of the training"
    grep '^test' out | cmp -s own - || fail "$model is measured with another normalisation"
done

# Where an older set names a best one that is not there any more, the best is chosen from what comes.
run 0 --config small.yaml --set train.epochs=5 --set train.lr=0.02 --set seed=2 --set checkpoint.keep=9 --run-dir pruned
best=$("$python" - pruned <<'PYTHON'
import json, sys
rows = [json.loads(line) for line in open(f"{sys.argv[1]}/metrics.jsonl")]
errors = [row["error"] for row in rows if row.get("split") == "validation"]
assert errors.index(min(errors[:4])) < 3, errors
step = [row["step"] for row in rows if row.get("split") == "validation"][errors.index(min(errors[:4]))]
print("step-%08d %d" % (step, [row["step"] for row in rows if row.get("split") == "validation"][3]))
PYTHON
) || fail "a run whose fourth epoch is not its best so far"
rm -r "pruned/checkpoints/${best% *}"
run 0 --run-dir pruned --resume "$(printf 'pruned/checkpoints/step-%08d' "${best#* }")" --set train.epochs=6 --set train.lr=0.5
says out "the best model is chosen from the epochs from here on"
says pruned/metrics.jsonl '"kind":"measured_anew"'
grep -qE 'best model: epoch [56],' out || fail "no epoch can become the best"
# So it is where the roll-outs of what is measured are drawn otherwise; what is told of the end is what eval finds.
run 0 --config small.yaml --set train.epochs=2 --run-dir drawn
run 0 --run-dir drawn --resume auto --set train.epochs=3 --set seed=5 --set train.lr=0
says drawn/metrics.jsonl '"kind":"measured_anew"'
run 0 eval drawn --json
grep '"policy":"sample"' out | grep -o '"wrong":.*' >again || fail "no figures of an evaluation"
grep '"split":"test".*"policy":"sample"' drawn/metrics.jsonl | tail -n 1 | grep -o '"wrong":.*' | cmp -s - again ||
    fail "eval does not repeat what was told at the end"

run 0 watch pruned
grep -qE '^best validation .* epoch [56]' out || fail "watch tells another best than the run"
finish
