#!/usr/bin/env bash
# eval.sh RAM_DIST: `eval` repeats the recorded figures of a checkpoint exactly, on any number of ranks and threads,
# finds what it is asked for, and refuses what is damaged or missing.
# shellcheck disable=SC1091,SC2154 # checks.bash sets work, ram_dist, here and python
. "$(dirname "$0")/checks.bash"
blobs data 600 203
small_model
export RAM_DATA=$work/data
settings=(--config small.yaml --set train.ema=0.9 --set eval.batch=64 --set eval.rollouts=2 --set checkpoint.keep=9)
run 0 "${settings[@]}" --run-dir one
figures() { grep -E '^test, |^ +(is|[0-9]) *' out; }
figures >trained # three policies and the confusion matrix of five classes
[ "$(wc -l <trained)" -eq 9 ] || fail "not three policies and a matrix"
"$python" "$here/check_run.py" lines one >recorded || exit 1
find one -type f -exec cksum {} + | sort >before

# The same lines as at the end of the training, and the figures of metrics.jsonl.
for arguments in "--np 1" "--np 2" "--np 3" "--np 8" "--set threads=1" "--set threads=2" "--np 2 --set threads=2"; do
    # shellcheck disable=SC2086 # words
    run 0 eval one $arguments
    quiet
    figures | diff trained - || fail "other figures with $arguments"
    while read -r line; do says out "$line"; done <recorded
    tail -n 1 out | grep -q '^test error: [0-9.]* %$' || fail "no last line with the test error"
done

# For programs: the lines of metrics.jsonl, and nothing else; what qualifies them is told beside them.
for count in 1 2; do
    run 0 eval one --np $count --set model.sigma=0.5
    mv out text
    says text "changed: model.sigma was "
    run 0 eval one --np $count --set model.sigma=0.5 --json
    diff text err || fail "the text on stderr is another than without --json"
    run 0 eval one --np $count --json
    grep '"split":"test"' one/metrics.jsonl | diff - out || fail "other lines than metrics.jsonl on $count ranks"
done

# Ways to name a checkpoint: the folder of the run means its best.
best=$(readlink one/checkpoints/best)
for name in one one/ "$work/one" one/checkpoints/best one/checkpoints/best// "one/checkpoints/$best" \
    "one/checkpoints/$best/index.h5"; do
    run 0 eval "$name"
    quiet
    says out "checkpoints/$best (step $((10#${best#step-})))" # of a link, which may move, the set that it names now
    figures | diff trained - >/dev/null || fail "other figures from $name"
done
run 0 eval --checkpoint one/checkpoints/best
figures | diff trained - >/dev/null || fail "other figures by --checkpoint"
run 0 eval --run-dir one
figures | diff trained - >/dev/null || fail "other figures by --run-dir"
run 0 "${settings[@]}"
run 0 eval "${settings[@]}" # logs/small, the default place of small.yaml's run
figures | diff trained - >/dev/null || fail "other figures by --config"

# A file lies over the checkpoint's own values; what that changes of the model is told.
printf 'eval:\n  rollouts: 2\n' >two.yaml
run 0 eval one --set eval.rollouts=2
grep '^test' out >by_set
run 0 eval one --config two.yaml
grep '^test' out | diff by_set - >/dev/null || fail "a file without model.* changed the model"
lacks out changed:
run 0 eval one --set model.sigma=0.5
says out "changed: model.sigma was "
figures >scattered
! cmp -s trained scattered || fail "model.sigma does not show in the figures"
run 0 eval one --set eval.sigma=0.5 # the run has two roll-outs, which are drawn as in training
lacks out changed:
says out "several roll-outs are drawn with model.sigma 0.05; eval.sigma 0.5 is for one"
figures | diff trained - >/dev/null || fail "eval.sigma shows in several roll-outs"
run 0 eval one --set eval.sigma_many=0.5
lacks out changed:
says out "locations are drawn with eval.sigma_many 0.5, model.sigma is 0.05"
figures | diff scattered - >/dev/null || fail "eval.sigma_many is not the policy's with several roll-outs"
run 0 eval one --set eval.sigma_many=0.5 --set eval.sigma=0.25 --json
says out '"sigma":0.5,'
run 0 eval one --set eval.rollouts=1 --set eval.sigma_many=0.5
figures >alone_many
lacks out "locations are drawn"
run 0 eval one --set eval.rollouts=1 --set model.sigma=0.5
figures >scattered
run 0 eval one --set eval.rollouts=1 --set eval.sigma=0.5
lacks out changed:
says out "locations are drawn with eval.sigma 0.5, model.sigma is 0.05"
figures | diff scattered - >/dev/null || fail "eval.sigma is not the policy's at evaluation"
run 0 eval one --set eval.rollouts=1
figures >alone
diff alone alone_many >/dev/null || fail "eval.sigma_many shows in one roll-out"
! cmp -s alone scattered || fail "eval.sigma does not show in the figures"
run 0 eval one --set eval.rollouts=1 --set eval.sigma=0.05 # as model.sigma is
figures | diff alone - >/dev/null || fail "other figures with the model's own sigma"
run 0 eval best --run-dir one
run 0 eval latest --run-dir one
run 65 eval best --run-dir nowhere
run 0 inspect --run-dir one

# What was done to training images stands beside the figures, whatever the line says of it.
run 0 --config small.yaml --set train.epochs=1 --set augment.shift=2 --set augment.rotation=7.5 --run-dir bent
[ "$(grep -c "training images are augmented: shift 2, rotation 7.5$" out)" -eq 2 ] || fail "not at the start and the end"
run 0 eval bent --set augment.shift=0
says out "training images are augmented: shift 2, rotation 7.5"
run 0 eval one --set augment.shift=3
lacks out augmented
says err "augment.* changes what a training sees, not what is measured"
run 0 report bent
grep -q 'Augmentation of training images</th><td>shift 2, rotation 7.5</td>' bent/report.html || fail "not in the report"

# Images of another kind are named as such, not as the shapes that follow from them.
blobs colour 600 203
for file in train t10k; do
    "$python" -c "
import struct, sys
for kind, item in ('images-idx3', 144), ('labels-idx1', 1):
    path = f'colour/$file-{kind}-ubyte'
    data = open(path, 'rb').read()
    count = struct.unpack('>I', data[4:8])[0] // 3
    sizes = (count, 12, 12, 3) if item > 1 else (count,)
    pixels = data[16:16 + count * 432] if item > 1 else data[8:8 + count]
    open(path, 'wb').write(struct.pack('>HBB%dI' % len(sizes), 0, 8, len(sizes), *sizes) + pixels)
" || exit 1
done
run 65 eval one --set data.dir=colour
error_has "the images in colour have 3 channels, those that the checkpoint" "have 1: give such images"
run 65 eval one --set data.classes=7
error_has "are of 7 classes, those that the checkpoint" "of 5: give such images"
run 65 trace one --set data.dir=colour --output elsewhere
error_has "have 3 channels"
run 65 train --resume one/checkpoints/latest --set train.epochs=100 --set data.dir=colour --run-dir elsewhere
error_has "have 3 channels"

# Every saved epoch's validation, as recorded: rows of metrics.jsonl by step.
for set in one/checkpoints/step-*; do
    run 0 eval "$set" --split validation
    step=$((10#${set##*step-}))
    row=$(grep '"split":"validation"' one/metrics.jsonl | grep "\"step\":$step,")
    wrong=${row#*\"wrong\":} loss=${row#*\"loss\":}
    says out "${wrong%%,*} of 60 wrong, loss $(printf '%.4f' "${loss%%,*}")"
done
[ "$(find one/checkpoints -maxdepth 1 -name 'step-*' | wc -l)" -eq 4 ] || fail "not four checkpoints kept"

# Other splits, roll-outs and policies; a change of both is the same on any number of ranks.
run 0 eval one --split train
says out "of 540 wrong"
for set in eval.rollouts=3 eval.policy=mean eval.policy=center eval.batch=50 seed=9; do
    run 0 eval one --set $set
    quiet
    grep '^test, ' out >changed
    run 0 eval one --set $set --np 3
    grep '^test, ' out | diff changed - || fail "$set differs on 3 ranks"
    [ $set = eval.batch=50 ] || [ "$(head -n 1 changed)" != "$(head -n 1 trained)" ] || fail "$set changes nothing"
done
run 0 eval one --set eval.rollouts=3
says out "M = 3"
run 0 eval one --set eval.policy=mean
says out "test, policy's mean"
for count in 1 3; do # roll-outs that are all alike change nothing
    run 0 eval one --set eval.policy=center --set eval.rollouts=$count
    says out "M = $count"
    grep '^test, ' out | head -n 1 | sed 's/M = .*//' >alike$count
done
diff alike1 alike3 || fail "three equal roll-outs are other than one"
find one -type f -exec cksum {} + | sort | diff before - >/dev/null || fail "an evaluation changed the run"

# What cannot be evaluated.
flip() { # FILE: all bits of its middle byte
    "$python" - "$1" <<'PYTHON'
import sys
with open(sys.argv[1], "r+b") as file:
    data = bytearray(file.read())
    data[len(data) // 2] ^= 255
    file.seek(0)
    file.write(data)
PYTHON
}
for ranks in 1 2; do
    for file in shard-00000-of-00001.h5 index.h5 MANIFEST; do
        rm -rf damaged && cp -r "one/checkpoints/$best" damaged
        flip damaged/$file
        refuses 65 "damaged" eval --np $ranks damaged
        [ $file = MANIFEST ] || error_has $file
        rm damaged/$file
        refuses 65 "" eval --np $ranks damaged
    done
    refuses 65 "absent" eval --np $ranks absent
    refuses 65 "empty" eval --np $ranks "$(mkdir -p empty && echo empty)"
    refuses 64 "one" eval --np $ranks one two
    refuses 64 "both 'one' and --checkpoint 'two' are given" eval --np $ranks one --checkpoint two
    refuses 64 "--split is 'tset'" eval --np $ranks one --split tset
    run 65 eval --np $ranks one --set model.hidden=32
    error_has "in the checkpoint one/checkpoints/$best and"
    run 64 eval --np $ranks one --set train.lr=fast
    error_has "train.lr"
done
refuses 65 "logs/default" eval
run 64 eval --np 9 one
error_has "9 ranks share 8 lanes"

# A damaged best in a run: named in a warning, and the newest good one is measured.
cp -r one half
flip "half/checkpoints/$best/index.h5"
run 0 eval half
grep -q "^ram_dist: warning: .*$best.*index.h5" err || fail "the damaged best is not named"

# For `inspect` nothing takes the place of a damaged newest: it is named, and so is the newest good one.
sets=(one/checkpoints/step-*)
newest=${sets[-1]##*/} older=${sets[-2]##*/}
for name in one one/ one/checkpoints; do
    run 0 inspect $name
    quiet
    says out "checkpoint         one/checkpoints/$newest"
    says out "LIBXSMM 1."
done
run 0 inspect one/checkpoints/latest/
says out "checkpoint         one/checkpoints/$newest"
run 0 inspect "one/checkpoints/$older/index.h5"
says out "$older"
rm -r half && cp -r one half
flip "half/checkpoints/$newest/index.h5"
for name in half half/checkpoints; do
    refuses 65 "half/checkpoints/$newest/index.h5 is damaged" inspect $name
    error_has "the newest good one is half/checkpoints/$older"
done
run 0 inspect "half/checkpoints/$older"
for set in half/checkpoints/step-*; do flip "$set/MANIFEST"; done
refuses 65 "half/checkpoints/$newest/MANIFEST is damaged" inspect half
error_has "no older one is good"
refuses 65 "absent" inspect absent
refuses 65 "empty" inspect empty
refuses 65 "small.yaml is no file of a checkpoint or a trace" inspect small.yaml
refuses 64 "inspect needs a path" inspect
finish
