"""foreign.py: RAM weights as other programs have them.

    make FILE [KEY=VALUE]...    random weights as safetensors; keys: hidden patch scales channels classes core locator
                                type order seed
    spoil FOLDER                one malformed file of each kind; prints a line `NAME: what is wrong` for each
    evaluate FILE DATA ROLLOUTS error in percent of the weights on a data set's test images, by an independent RAM
    same A B                    the weights of two files are equal to the bit
"""
import json
import os
import struct
import sys

import numpy as np

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def write(path, header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def pack(tensors, kind="F32"):
    header, data = {}, b""
    for name, array in tensors.items():
        if kind == "BF16":
            raw = (array.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
        else:
            raw = array.astype(DTYPES[kind]).tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    return header, data


def read(path):
    with open(path, "rb") as file:
        bytes_ = file.read()
    length = struct.unpack("<Q", bytes_[:8])[0]
    header, data = json.loads(bytes_[8 : 8 + length]), bytes_[8 + length :]
    about = header.pop("__metadata__", {})
    arrays = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        assert entry["dtype"] == "F32", entry
        arrays[name] = np.frombuffer(data[begin:end], "<f4").reshape(entry["shape"])
    return arrays, about


def ram(hidden=16, patch=8, scales=1, channels=1, classes=5, core="rnn", locator="mlp", seed=0):
    random, tensors = np.random.default_rng(seed), {}

    def layer(name, outputs, inputs, weight="weight", bias="bias"):
        bound = 1 / np.sqrt(inputs)
        tensors[f"{name}.{weight}"] = random.uniform(-bound, bound, (outputs, inputs)).astype("f4")
        tensors[f"{name}.{bias}"] = random.uniform(-bound, bound, outputs).astype("f4")

    layer("sensor.fc1", 8, scales * channels * patch * patch)
    layer("sensor.fc2", 9, 2)
    layer("sensor.fc3", hidden, 8)
    layer("sensor.fc4", hidden, 9)
    if core == "rnn":
        layer("rnn.i2h", hidden, hidden)
        layer("rnn.h2h", hidden, hidden)
    else:
        layer("rnn", 4 * hidden, hidden, "weight_ih", "bias_ih")
        layer("rnn", 4 * hidden, hidden, "weight_hh", "bias_hh")
    if locator == "mlp":
        layer("locator.fc", 7, hidden)
        layer("locator.fc_lt", 2, 7)
    else:
        layer("locator.fc", 2, hidden)
    layer("baseliner.fc", 1, hidden)
    layer("classifier.fc", classes, hidden)
    return tensors


def paddle(tensors):
    return {
        name: array.T if array.ndim == 2 and not name.startswith("rnn.weight_") else array
        for name, array in tensors.items()
    }


def make(path, *settings):
    options = {}
    for setting in settings:
        key, value = setting.split("=")
        options[key] = int(value) if value.isdigit() else value
    kind, order = options.pop("type", "F32"), options.pop("order", "out_in")
    tensors = ram(**options)
    write(path, *pack(paddle(tensors) if order == "in_out" else tensors, kind))


def spoil(folder):
    good, data = pack(ram())
    text = json.dumps(good).encode()
    fc1 = "sensor.fc1.weight"

    def case(name, what, header, buffer=data, raw=None):
        path = os.path.join(folder, name + ".safetensors")
        if raw is None:
            write(path, header, buffer)
        else:
            with open(path, "wb") as file:
                file.write(raw)
        print(f"{name}: {what}")

    def changed(name, **fields):
        return {**good, name: {**good[name], **fields}}

    case("empty", "shorter", None, raw=b"")
    case("short", "shorter", None, raw=b"1234567")
    case("long_header", "longer than the file", None, raw=struct.pack("<Q", len(text) + len(data) + 1) + text + data)
    case("huge_header", "longer than the file", None, raw=struct.pack("<Q", 2**64 - 1) + text + data)
    case("zero_header", "not a JSON object", b"")
    case("no_json", "not a JSON object", b"weights")
    case("a_list", "not a JSON object", b"[1]")
    case("twice", "duplicate", text[:-1] + b"," + json.dumps({fc1: good[fc1]}).encode()[1:])
    case("nul_in_name", "not a JSON object", text.replace(b"sensor.fc1.weight", b"sensor.fc1\\u0000weight"))
    case("truncated", "beyond the end", good, data[:-4])
    case("trailing", "belong to no tensor", good, data + b"1234")
    case("overlap", "shares bytes",
         changed("sensor.fc2.bias", data_offsets=[offset - 4 for offset in good["sensor.fc2.bias"]["data_offsets"]]))
    gap, moved = {}, 4
    for name, entry in good.items():
        gap[name] = {**entry, "data_offsets": [offset + moved for offset in entry["data_offsets"]]}
    case("gap", "gap", gap, b"1234" + data)
    case("backwards", "data_offsets", changed(fc1, data_offsets=good[fc1]["data_offsets"][::-1]))
    case("negative", "data_offsets", changed(fc1, data_offsets=[-4, 2044]))
    case("fractions", "data_offsets", changed(fc1, data_offsets=[0.0, 2048.0]))
    case("one_offset", "data_offsets", changed(fc1, data_offsets=[0]))
    case("wrong_size", "do not fit its shape", changed(fc1, shape=[8, 65]))
    case("overflow", "shape", changed(fc1, shape=[2**40, 2**40, 16]))
    case("negative_shape", "shape", changed(fc1, shape=[-8, -16]))
    case("deep_shape", "shape", changed(fc1, shape=[1] * 9))
    case("no_shape", "exactly dtype", {**good, fc1: {"dtype": "F32", "data_offsets": [0, 2048]}})
    case("extra_field", "exactly dtype", changed(fc1, more=1))
    case("no_entry", "exactly dtype", {**good, fc1: 7})
    case("type", "unknown dtype", changed(fc1, dtype="F31"))
    case("type_number", "unknown dtype", changed(fc1, dtype=32))
    case("integers", "has type I32", changed(fc1, dtype="I32"))
    case("metadata", "__metadata__", {**good, "__metadata__": []})
    case("metadata_value", "__metadata__", {**good, "__metadata__": {"a": 1}})
    case("metadata_key", "model.glimpses", {**good, "__metadata__": {"model.glimpses": "many"}})
    case("newline_in_name", "a?b", {**good, "a\nb": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}})

    def weights(name, what, **settings):
        tensors = ram()
        for key, value in settings.items():
            key = key.replace("__", ".")
            if value is None:
                del tensors[key]
            else:
                tensors[key] = np.asarray(value, "f4")
        case(name, what, *pack(tensors))

    bad = ram()[fc1].copy()
    bad[3, 5] = np.nan
    weights("nan", "NaN", sensor__fc1__weight=bad)
    weights("infinite", "infinity", rnn__h2h__bias=np.full(16, -np.inf))
    weights("missing", "no tensor 'rnn.h2h.weight'", rnn__h2h__weight=None)
    weights("missing_bias", "no tensor 'sensor.fc3.bias'", sensor__fc3__bias=None)
    weights("no_sensor", "no tensor 'sensor.fc1.weight'", sensor__fc1__weight=None)
    weights("unknown", "none of this RAM's", encoder__weight=np.zeros((2, 2)))
    weights("misfit", "where the other tensors want", rnn__h2h__weight=np.zeros((16, 17)))
    weights("misfit_bias", "where the other tensors want", rnn__h2h__bias=np.zeros(17))
    weights("cube", "where the other tensors want", rnn__h2h__weight=np.zeros((16, 16, 1)))
    weights("odd_sensor", "no number of square patches", sensor__fc1__weight=np.zeros((8, 65)))
    weights("empty_bias", "not a vector of 1", sensor__fc1__bias=np.zeros(0))
    weights("contrary", "lies", classifier__fc__weight=ram()["classifier.fc.weight"].T)
    header, buffer = pack(ram(), "F64")
    buffer = struct.pack("<d", 1e300) + buffer[8:]
    case("too_large", "beyond float32", header, buffer)


# --- an independent RAM: DESIGN 2 in numpy, rnn core, one channel


def idx(path):
    with open(path, "rb") as file:
        data = file.read()
    sizes = np.frombuffer(data, ">i4", data[3], 4)
    return np.frombuffer(data, np.uint8, -1, 4 + 4 * data[3]).reshape(sizes)


def glimpse(images, location, patch, scales):
    count, side = len(images), images.shape[1]
    centre = np.trunc(0.5 * (location + 1) * side).astype(int)
    parts = []
    for k in range(scales):
        size = patch * 2**k
        padded = np.pad(images, ((0, 0), (size, size), (size, size)))
        start = centre - size // 2 + size
        rows = start[:, 1, None, None] + np.arange(size)[None, :, None]
        columns = start[:, 0, None, None] + np.arange(size)[None, None, :]
        cut = padded[np.arange(count)[:, None, None], rows, columns]
        parts.append(cut.reshape(count, patch, 2**k, patch, 2**k).mean((2, 4)).reshape(count, -1))
    return np.concatenate(parts, 1)


def evaluate(path, folder, rollouts):
    w, about = read(path)
    assert os.path.getsize(path) % 8 == 4 * sum(array.size for array in w.values()) % 8, "the data is not on 8 bytes"
    images, labels = idx(f"{folder}/t10k-images-idx3-ubyte"), idx(f"{folder}/t10k-labels-idx1-ubyte")
    pixels = (images / 255 - float(about["data.mean"])) / float(about["data.stddev"])
    random = np.random.default_rng(11)

    def linear(name, x):
        return x @ w[name + ".weight"].T + w[name + ".bias"]

    relu = lambda x: np.maximum(x, 0)
    probability = 0
    for _ in range(int(rollouts)):
        location = float(about["model.start"]) * random.uniform(-1, 1, (len(images), 2))
        hidden = 0 * linear("rnn.h2h", np.zeros((len(images), len(w["rnn.h2h.bias"]))))
        for _ in range(int(about["model.glimpses"])):
            seen = glimpse(pixels, location, int(about["model.patch"]), int(about["model.scales"]))
            feature = relu(linear("sensor.fc3", relu(linear("sensor.fc1", seen)))
                           + linear("sensor.fc4", relu(linear("sensor.fc2", location))))
            hidden = relu(linear("rnn.i2h", feature) + linear("rnn.h2h", hidden))
            mean = np.tanh(linear("locator.fc_lt", relu(linear("locator.fc", hidden))))
            noise = float(about["model.sigma"]) * random.standard_normal(mean.shape)
            location = np.clip(mean + noise, -1, 1)
        logits = linear("classifier.fc", hidden)
        shifted = np.exp(logits - logits.max(1, keepdims=True))
        probability = probability + shifted / shifted.sum(1, keepdims=True)
    print(100 * float(np.mean(probability.argmax(1) != labels)))


def same(a, b):
    first, second = read(a)[0], read(b)[0]
    assert first.keys() == second.keys(), first.keys() ^ second.keys()
    for name in first:
        assert first[name].tobytes() == second[name].tobytes(), name


if __name__ == "__main__":
    {"make": make, "spoil": spoil, "evaluate": evaluate, "same": same}[sys.argv[1]](*sys.argv[2:])
