"""read_with_h5py.py INDEX SHARDS: opens the index of a sample saved by store_case (seed 11) as one file and checks what
h5py sees: every value, shape, attribute and check sum, and NaN where a shard is missing."""
import os
import sys
import tempfile

import h5py
import numpy as np

SEED = 11
FIELDS = {"rnn.i2h.weight": (7, 5), "rnn.i2h.bias": (7,), "baseliner.fc.weight": (1, 9), "baseliner.fc.bias": (1,),
          "locator.fc.bias": (2,), "wide": (3, 1)}


def any_value(vector, element):
    """As in sample.c."""
    seed = SEED * 2654435761 & 0xFFFFFFFF
    bits = seed ^ vector * 40503 ^ element * 2246822519 & 0xFFFFFFFF
    return bits ^ bits >> 15


index, shards = sys.argv[1], int(sys.argv[2])
with h5py.File(index, "r") as file:
    assert set(file) == {"param", "adam", "state", "config", "provenance"}, set(file)
    for number, group in enumerate(("param", "adam/m", "adam/v")):
        assert set(file[group]) == set(FIELDS)
        offset = 0
        for name, shape in FIELDS.items():
            data = file[group][name]
            count = int(np.prod(shape))
            wanted = np.array([any_value(number, offset + i) for i in range(count)], np.uint32).reshape(shape)
            assert data.is_virtual and data.shape == shape and data.dtype == np.dtype("<f4"), name
            assert np.isnan(data.fillvalue)
            assert (data[...].view(np.uint32) == wanted).all(), name
            offset += -(-count // 16) * 16
    assert file.attrs["step"] == 17724 and file.attrs["shards"] == shards and "shard" not in file.attrs
    assert file["state"].attrs["epoch"] == 1000003 * SEED
    assert file["config"].attrs["train.lr"] == 0.1 * SEED
    assert file["provenance"].attrs["host"].decode() == "Gerät 11"

folder = os.path.dirname(index)
rows = 0
for shard in range(shards):
    with h5py.File(f"{folder}/shard-{shard:05d}-of-{shards:05d}.h5", "r") as file:
        assert file.attrs["shard"] == shard and file["provenance"].attrs["host"].decode() == "Gerät 11"

        def check(name, item):
            assert not isinstance(item, h5py.Dataset) or (item.fletcher32 and item.chunks), name

        file.visititems(check)
        if "rnn.i2h.bias" in file["param"]:
            data = file["param/rnn.i2h.bias"]
            assert data.attrs["first_row"] == rows
            rows += len(data)
assert rows == 7

with tempfile.TemporaryDirectory() as alone:
    os.symlink(index, f"{alone}/index.h5")
    with open(index, "rb") as source, open(f"{alone}/copy.h5", "wb") as copy:
        copy.write(source.read())
    with h5py.File(f"{alone}/copy.h5", "r") as file:
        assert np.isnan(file["param/wide"][...]).all()
