#!/usr/bin/env bash
# import.sh RAM_DIST: weights come in from safetensors and go out again to the bit, whatever their type and order; what
# is malformed is refused by name; an exported model has the error that an independent RAM finds for it.
# shellcheck disable=SC1091,SC2154 # checks.bash sets work, ram_dist, here and python
. "$(dirname "$0")/checks.bash"
foreign() { "$python" "$here/foreign.py" "$@" || fail "foreign.py $*"; }

# there_and_back NAME "IMPORT OPTIONS" KEY=VALUE...: what comes out is what PyTorch's file holds; nothing is left open.
there_and_back() {
    local name=$1 options=$2
    shift 2
    foreign make "$name.st" "$@"
    # shellcheck disable=SC2086 # words
    run 0 import "$name.st" --output "$name" --set model.patch=8 $options
    quiet
    run 0 export "$name" --output "$name.back.st"
    quiet
}
there_and_back plain ""
foreign same plain.st plain.back.st
says out "20 tensors of step 0"
there_and_back lstm "--set model.glimpses=3 --set model.sigma=0.2 --set model.start=0.5" core=lstm locator=linear
foreign same lstm.st lstm.back.st
there_and_back scales "--set model.scales=3" scales=3
foreign same scales.st scales.back.st
there_and_back colour "--set model.scales=1" channels=3
foreign same colour.st colour.back.st
for order in auto in_out; do
    there_and_back "paddle_$order" "--layout $order" order=in_out
    foreign same plain.st "paddle_$order.back.st"
done
foreign make cell.plain.st core=lstm
there_and_back cell "" order=in_out core=lstm
foreign same cell.plain.st cell.back.st
there_and_back doubles "" type=F64
foreign same plain.st doubles.back.st # float32 values, kept as doubles
for type in F16 BF16; do
    there_and_back "$type" "" type=$type
    run 0 import "$type.back.st" --output "$type.again"
    run 0 export "$type.again" --output "$type.again.st"
    foreign same "$type.back.st" "$type.again.st"
done

# Two channels and four are found where one and three do not fit; an export says how many there are.
for channels in 1 2 3 4; do
    there_and_back "channels_$channels" "--set model.scales=1" channels=$channels
    foreign same "channels_$channels.st" "channels_$channels.back.st"
    run 0 import "channels_$channels.back.st" --output "channels_$channels.again"
    quiet
    [ "$channels" -eq 1 ] || says out "1 scale of 8 x 8 with $channels channels"
done
refuses 64 "no number of square patches" import channels_2.st --output none --set model.scales=1 --set model.patch=5

# Where other patches than the usual one fit, that is said, once, with the way to say so; and then it is quiet.
run 0 import plain.st --output open
[ "$(wc -l <err)" -eq 1 ] || fail "not one line of warning"
says err "warning: 1 scale of 8 x 8, as is usual, but these fit the inputs of sensor.fc1.weight too: 4 of 4 x 4; say which"
run 0 import plain.st --output fours --set model.patch=4
quiet
says out "4 scales of 4 x 4"
says out "6 glimpses, sigma 0.05, starts within 1, scale 2, mean 0.1307, stddev 0.3081"

# The file's own metadata settles what shapes leave open, and the command line wins over it.
run 0 import scales.back.st --output scales.again
says out "3 scales of 8 x 8"
run 0 import lstm.back.st --output lstm.again
says out "3 glimpses, sigma 0.2, starts within 0.5,"
run 0 import lstm.back.st --output lstm.other --set model.glimpses=7
says out "7 glimpses, sigma 0.2"
echo 'model: {sigma: 0.3}' >sigma.yaml
run 0 import lstm.back.st --output lstm.file --config sigma.yaml
says out "3 glimpses, sigma 0.3"
run 0 inspect plain
says out "rnn.h2h.weight"

# What is wrong is said, with the right code, and leaves nothing behind.
refuses 64 "3 of 8 x 8" import scales.st --output none
refuses 64 "model.hidden is given as 32" import plain.st --output none --set model.hidden=32
echo 'model: {hidden: 32}' >hidden.yaml
refuses 64 "model.hidden is given as 32" import plain.st --output none --config hidden.yaml
echo 'model: {hidden: 256}' >hidden.yaml # given, though it is the default
refuses 64 "model.hidden is given as 256" import plain.st --output none --config hidden.yaml
echo 'model: {patch: 5}' >five.yaml
refuses 64 "of the size given" import scales.st --output none --config five.yaml
# metadata_of FILE KEY VALUE: plain.st with that in its metadata.
metadata_of() {
    "$python" - "$@" <<'PY' || exit 1
import json, struct, sys
data = open("plain.st", "rb").read()
length = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8:8 + length]) | {"__metadata__": {sys.argv[2]: sys.argv[3]}}
text = json.dumps(header).encode()
open(sys.argv[1], "wb").write(struct.pack("<Q", len(text)) + text + data[8 + length:])
PY
}
metadata_of wrong.st model.hidden 32
refuses 65 "model.hidden is 32 in the metadata" import wrong.st --output none
metadata_of wrong.st model.patch 5
refuses 65 "of the size given" import wrong.st --output none
metadata_of wrong.st data.channels 5
refuses 65 "data.channels is '5' in its metadata" import wrong.st --output none
metadata_of wrong.st data.channels 3
refuses 65 "no number of square patches" import wrong.st --output none
metadata_of wrong.st train.lr nonsense # what export does not write is not read
run 0 import wrong.st --output strange --set model.patch=8
refuses 64 "import needs a file and a folder" import plain.st
refuses 64 "import needs a file and a folder" import --output none
refuses 64 "--layout is 'sideways'" import plain.st --output none --layout sideways
refuses 64 "exists already" import plain.st --output scales
refuses 64 "exists already" export plain --output plain.st
refuses 64 "export needs --output" export plain
refuses 64 "--format is 'onnx'" export plain --output none --format onnx
refuses 65 "absent.st" import absent.st --output none
refuses 65 "lies [out, in]" import plain.st --output none --layout in_out
refuses 74 "no/such" export plain --output no/such/folder.st
mkdir bad
foreign spoil bad >cases
while IFS=: read -r name what; do
    refuses 65 "${what# }" import "bad/$name.safetensors" --output none
done <cases
[ "$(wc -l <cases)" -gt 40 ] || fail "only $(wc -l <cases) malformed files"
# PyTorch's and Paddle's files and HDF5 are told from damaged ones; a header of 640 bytes starts as a pickle does.
converter="python3 data/convert_checkpoint.py IN OUT.safetensors converts it"
printf 'PK\3\4\0\0\0\0\0\0' >ours.pth
refuses 65 "not a safetensors file but a zip archive, as PyTorch saves: $converter" import ours.pth --output none
"$python" -c 'import pickle; pickle.dump({"a": 1}, open("ours.pdparams", "wb"), protocol=2)'
refuses 65 "not a safetensors file but a pickle, as PyTorch and Paddle save: $converter" import ours.pdparams --output none
"$python" -c 'import h5py; h5py.File("ours.h5", "w").close()'
refuses 65 "but an HDF5 file: ram_dist export --format safetensors" import ours.h5 --output none
{ printf '\200\2\0\0\0\0\0\0' && printf '%640s' '{'; } >padded.st
refuses 65 "its header is not a JSON object" import padded.st --output none
[ ! -e none ] || fail "a refused import left a folder"

# A failed import is not in its own way when it is tried again.
for operation in 1 3 5 7; do
    RAM_FAULT=enospc:$operation run 74 import plain.st --output retry --set model.patch=8
    [ ! -e retry ] || fail "an import that failed at operation $operation left $(find retry)"
done
run 0 import plain.st --output retry --set model.patch=8

# A trained model measured elsewhere: the same error within sampling noise, on 1,500 images and 4 roll-outs.
blobs data 600 1500
small_model
export RAM_DATA=$work/data
run 0 --config small.yaml --set eval.rollouts=4 --run-dir run
ours=$(grep -oE 'test, learned policy: +[0-9.]+' out | grep -oE '[0-9.]+$')
run 0 export run --output run.st
theirs=$(foreign evaluate run.st data 4)
"$python" -c "
ours, theirs = float('$ours') / 100, float('$theirs') / 100
noise = (2 * max(theirs, 0.01) * (1 - theirs) / 1500) ** 0.5
assert 0.01 < ours < 0.7 and abs(ours - theirs) < 4 * noise, (ours, theirs, noise)
" || fail "ours $ours %, an independent RAM $theirs %"
run 0 import run.st --output again
run 0 eval again --set eval.rollouts=4
grep -qF "$ours % error" out || fail "an import of an export has another error"
# Finite weights whose outputs are not: their images are counted, alike on any number of ranks and threads.
"$python" - <<'PY' || fail "no weights were made"
import json, struct
import numpy as np
data = bytearray(open("run.st", "rb").read())
begin = 8 + struct.unpack("<Q", data[:8])[0]
first, end = json.loads(data[8:begin])["classifier.fc.weight"]["data_offsets"]
weight = np.frombuffer(data, "<f4", (end - first) // 4, begin + first)
signs = np.sign(weight)
for name, size in ("huge", 3e38), ("steep", 1e4):
    weight[:] = signs * np.float32(size)
    open(f"{name}.st", "wb").write(data)
PY
run 0 import huge.st --output huge
run 76 eval huge
error_has "the model's output is not finite for" "of 1500 images: its weights are damaged"
sed 's/.*finite for \([0-9]* of\) .*/\1/' err >counted
[ "$(cut -d ' ' -f 1 counted)" -gt 1 ] || fail "no number of images"
for arguments in "--np 3" "--set threads=2"; do
    # shellcheck disable=SC2086 # words
    run 76 eval huge $arguments
    sed 's/.*finite for \([0-9]* of\) .*/\1/' err | diff counted - || fail "another number of images with $arguments"
done
run 0 import steep.st --output steep # a wrong answer has probability 0 for the label: a loss of 87 at most, not of infinity
run 0 eval steep
grep '^test, learned policy' out | grep -qE 'loss [2-8][0-9]\.' || fail "the loss of impossible answers"
run 0 train --resume again --run-dir more --set train.epochs=1
run 0 train --config small.yaml --resume again --run-dir filed --set train.epochs=1 # whose data.classes is auto
grep -qE "^  classes: [0-9]" filed/config.yaml || fail "data.classes is not the checkpoint's"
# Imported weights have no moments: any optimiser begins with them, and none later.
sgd=(--set train.optimizer=sgd --set train.momentum=0.9)
run 0 import run.st --output again_sgd "${sgd[@]}"
run 0 train --resume again_sgd --run-dir more_sgd --set train.epochs=1
run 0 train --resume again --run-dir turned_sgd "${sgd[@]}" --set train.epochs=1
check same more_sgd turned_sgd
run 0 train --resume again --run-dir averaged "${sgd[@]}" --set train.epochs=1 --set train.ema=0.9
mkdir within && cp -r again within/checkpoints # no run began them
run 64 train --run-dir within --resume auto --set train.epochs=1
error_has "holds imported weights" "--run-dir"
refuses 64 "cannot become 'sgd'" train --resume more --run-dir later "${sgd[@]}" --set train.epochs=2
# On several ranks, and from a checkpoint of several shards: the same file.
run 0 --np 4 --config small.yaml --set train.epochs=1 --run-dir shards
run 0 export shards --output one.st
for np in 2 3; do
    for model in run:run.st shards:one.st; do
        command_run 0 "$here/../mpirun.sh" $np "$ram_dist" export "${model%:*}" --output "$np.${model#*:}"
        cmp "${model#*:}" "$np.${model#*:}" || fail "$np ranks export something else of ${model%:*}"
    done
done
command_run 0 "$here/../mpirun.sh" 2 "$ram_dist" import run.st --output by_two
run 0 export by_two --output by_two.st
foreign same run.st by_two.st
# Without --format the ending of the file chooses, and nothing else in its path does.
run 0 export run --output run.h5 --format hdf5
sleep 1.1 # the files below are equal although they are younger
for name in ending.h5 ending.hdf5; do
    run 0 export run --output $name
    cmp run.h5 $name || fail "$name is not HDF5"
done
mkdir folder.h5
for options in "ending.st" "folder.h5/ending" "forced.h5 --format safetensors"; do
    # shellcheck disable=SC2086 # words
    run 0 export run --output $options
    cmp run.st "${options%% *}" || fail "${options%% *} is not safetensors"
done
"$python" - <<'PY' || fail "the HDF5 file does not hold the weights"
import h5py, sys
with h5py.File("run.h5") as file:
    assert file["param/rnn.h2h.weight"].shape == (16, 16) and file["metadata"].attrs["model.patch"] in (b"4", "4")
    assert len(file["param"]) == 20
PY
finish
