#!/usr/bin/env bash
# data.sh RAM_DIST: `data` writes what a task shows: whole images somewhere on the canvas, pieces of others around them,
# the same for every seed on what is measured.
# shellcheck disable=SC1091,SC2154 # checks.bash sets work, ram_dist, here and python
. "$(dirname "$0")/checks.bash"
blobs data 60 30
export RAM_DATA=$work/data
run 0 data --export plain.h5
quiet
says out "30 test samples (all there are) of 12 x 12"
run 0 data --task translated --export translated.h5 --count 20 --set data.canvas=30
run 0 data --task cluttered --export cluttered.h5 --split validation --set data.canvas=30
run 0 data --task cluttered --export other_seed.h5 --split validation --set data.canvas=30 --set seed=7
run 0 data --task cluttered --export first.h5 --split train --set data.canvas=30
run 0 data --task cluttered --export second.h5 --split train --epoch 2 --set data.canvas=30
run 0 data --export turned.h5 --split train --set augment.rotation=30
run 0 data --export kept.h5 --set augment.rotation=30
"$python" - <<'PY' || fail "the pictures are not what the tasks say"
import h5py, numpy as np
load = lambda name: h5py.File(name + ".h5")
images = lambda name: load(name)["images"][:, :, :, 0].astype(int)
data = open("data/t10k-images-idx3-ubyte", "rb").read()
file = np.frombuffer(data, np.uint8, -1, 16).reshape(30, 12, 12).astype(int)
labels = np.frombuffer(open("data/t10k-labels-idx1-ubyte", "rb").read(), np.uint8, -1, 8)
assert (images("plain") == file).all() and (images("kept") == file).all()
assert (load("plain")["label"][:] == labels).all() and (load("plain")["index"][:] == np.arange(30)).all()
shown = images("translated")
assert shown.shape == (20, 30, 30)
places = set()
for picture, image in zip(shown, file):
    at = [(r, c) for r in range(19) for c in range(19) if (picture[r:r + 12, c:c + 12] == image).all()]
    assert len(at) == 1 and picture.sum() == image.sum(), at
    places.add(at[0])
assert len(places) > 15
assert (images("cluttered") == images("other_seed")).all()
assert (images("first") != images("second")).any() and (images("turned").sum((1, 2)) > 0).all()
assert load("first")["metadata"].attrs["epoch"] == b"1" and load("first")["images"].dtype == np.uint8
facts = {name: load(name)["metadata"].attrs for name in ("turned", "kept")}
assert facts["turned"]["augment.rotation"] == b"30" and not any("augment" in key for key in facts["kept"])
assert facts["kept"]["data.classes"] == b"5" and b"test=" in facts["kept"]["data_hashes"]
axes = {"images": "NHWC", "label": "N", "index": "N"}
for name, letters in axes.items():
    assert [list(axis.keys())[0] for axis in load("plain")[name].dims] == list(letters)
    assert [list(axis.keys()) for axis in load("plain")[name].dims] == [[letter] for letter in letters]
PY
# Data of one's own as the README describes them: in colour, packed, and with classes that do not occur.
"$python" - <<'PY' || exit 1
import gzip, os, struct
import numpy as np
os.mkdir("own")
for name, labels in (("train", [0, 2, 4, 4]), ("t10k", [2, 0])):
    images = np.arange(len(labels) * 5 * 6 * 3, dtype=np.uint8)
    with gzip.open(f"own/{name}-images-idx4-ubyte.gz", "wb") as file:
        file.write(struct.pack(">IIIII", 0x804, len(labels), 5, 6, 3) + images.tobytes())
    with open(f"own/{name}-labels-idx1-ubyte", "wb") as file:
        file.write(struct.pack(">II", 0x801, len(labels)) + bytes(labels))
PY
run 0 data --set data.dir=own --set data.classes=6 --export own.h5
says out "2 test samples (all there are) of 5 x 6"
"$python" - <<'PY' || fail "the colours are not those of the files"
import h5py, numpy as np
assert (h5py.File("own.h5")["images"][:] == np.arange(180, dtype=np.uint8).reshape(2, 5, 6, 3)).all()
PY
refuses 65 "set data.classes=5" data --set data.dir=own --export none.h5
refuses 65 "labels are 0..3" data --set data.dir=own --set data.classes=4 --export none.h5
mkdir empty
refuses 64 "no file train-images-idx3-ubyte (in colour: train-images-idx4-ubyte), plain or .gz, in" \
    data --set data.dir=empty --export none.h5
mv own/train-images-idx4-ubyte.gz empty
refuses 64 "no file train-labels-idx1-ubyte, plain or .gz, in the data folder empty of $(pwd -P):" \
    data --set data.dir=empty --export none.h5
refuses 64 "in the data folder $work/empty:" data --set data.dir="$work/empty" --export none.h5
cp -r data led
rm led/train-images* && ln -s nowhere led/train-images-idx3-ubyte
refuses 74 "cannot open led/train-images-idx3-ubyte: No such file" data --set data.dir=led --export none.h5
# Names as EMNIST has them; two files for one purpose are told, once and by rank 0.
mkdir letters
for file in own/*; do cp "$file" "letters/emnist-letters-$(basename "${file/t10k/test}")"; done
cp empty/train-images-idx4-ubyte.gz letters/emnist-letters-train-images-idx4-ubyte.gz
letters=(--set data.dir=letters --set data.classes=6)
refuses 64 "but emnist-letters-train-images-idx4-ubyte.gz is: set data.prefix=emnist-letters-" \
    data "${letters[@]}" --export none.h5
run 0 data "${letters[@]}" --set data.prefix=emnist-letters- --export letters.h5
quiet
cmp -s own.h5 letters.h5 || fail "a prefix changed the pictures"
cp -r letters twice
gunzip -k twice/*.gz
run 0 data "${letters[@]}" --set data.dir=twice --set data.prefix=emnist-letters- --export twice.h5
[ "$(grep -c "^ram_dist: warning: the data folder twice has files twice" err)" -eq 1 ] || fail "no warning of two files"
says err "emnist-letters-train-images-idx4-ubyte, not emnist-letters-train-images-idx4-ubyte.gz; emnist-letters-test-"

refuses 64 "--export is empty" data --export ""
refuses 64 "contradicts --set data.task" data --task translated --set data.task=cluttered --export none.h5
run 0 data --task translated --set data.task=translated --set data.canvas=30 --export same.h5
blobs many 200 30
refuses 64 "give --count 128 or less, or a smaller data.canvas" \
    data --task translated --set data.dir=many --set data.canvas=4096 --split train --count 129 --export none.h5
refuses 64 "exists already" data --export plain.h5
refuses 64 "needs a file" data --task cluttered
refuses 64 "data.task" data --task jumbled --export none.h5
refuses 64 "--count is '0'" data --count 0 --export none.h5
refuses 64 "data.canvas" data --task translated --set data.canvas=11 --export none.h5
refuses 74 "cannot create no/such.h5: No such file or directory; make its folder first" data --export no/such.h5
finish
