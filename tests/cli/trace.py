"""trace.py MODE ...: looks at traces from outside, as a user would, knowing only the files' contract.

  values INDEX CHECKPOINT DATA   names, shapes, axes and attributes are as documented, and every value is what numpy
                                 computes in double from the checkpoint's parameters, the IDX files and Philox
  xarray INDEX                   xarray opens it with named dimensions and coordinates
  same INDEX INDEX               every bit of every data set is equal
  part INDEX INDEX               the first is the first rows and roll-outs of the second, bit for bit
  differ INDEX INDEX             other locations
  evaluation INDEX JSON TEXT     `eval --json` of the same roll-outs has the counts, the loss and the matrix that follow
  facts INDEX KEY=VALUE...       attributes of /trace or /provenance; VALUE empty: there is none
"""
import json
import struct
import sys

import h5py
import numpy as np

SETS = {
    "location": ("sample", "rollout", "fixation", "xy"),
    "location_mean": ("sample", "rollout", "glimpse", "xy"),
    "log_pi": ("sample", "rollout", "glimpse"),
    "baseline": ("sample", "rollout", "glimpse"),
    "prob": ("sample", "rollout", "glimpse", "class"),
    "reward": ("sample", "rollout"),
    "prediction": ("sample", "rollout"),
    "label": ("sample",),
    "index": ("sample",),
}
AXES = ("sample", "rollout", "glimpse", "fixation", "xy", "class")
SPLITS = ("train", "validation", "test")


def text(value):
    """Attributes are texts of fixed length, which h5py gives as bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)


def read(path):
    with h5py.File(path, "r") as file:
        return {name: data[()] for name, data in file["trace"].items()}


def idx(folder, name):
    with open(f"{folder}/{name}", "rb") as file:
        data = file.read()
    dimensions = data[3]
    shape = struct.unpack(f">{dimensions}I", data[4:4 + 4 * dimensions])
    return np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def philox(counter, seed):
    """Philox4x32-10 (Salmon et al. 2011) of arrays of counters; (4, ...)."""
    mask = np.uint64(0xFFFFFFFF)
    c = [np.asarray(word, np.uint64) for word in counter]
    key = [np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32)]
    for _ in range(10):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(b >> np.uint64(32)) ^ c[1] ^ key[0], b & mask, (a >> np.uint64(32)) ^ c[3] ^ key[1], a & mask]
        key = [(key[0] + np.uint64(0x9E3779B9)) & mask, (key[1] + np.uint64(0xBB67AE85)) & mask]
    return np.stack(np.broadcast_arrays(*c))


def draws(purpose, split, index, rollouts, glimpse, seed):
    """(N, M, 4) numbers below 2^32 for one glimpse."""
    rollout = np.arange(rollouts, dtype=np.uint64)[None, :]
    words = (index.astype(np.uint64)[:, None], np.uint64(0), rollout << np.uint64(12) | np.uint64(glimpse),
             np.uint64(purpose << 28 | SPLITS.index(split) << 24))
    return np.moveaxis(philox(words, seed), 0, -1)


def signed(bits):
    return 2 * ((bits >> np.uint64(8)).astype(np.float64) * 2.0**-24) - 1


def normal(bits):
    radius = np.sqrt(-2 * np.log(((bits[..., 0] >> np.uint64(8)) + np.uint64(1)).astype(np.float64) * 2.0**-24))
    angle = 2 * np.pi * (bits[..., 1] >> np.uint64(8)).astype(np.float64) * 2.0**-24
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)


def glimpse(images, location, side):
    """(n, side * side): patches of (n, H, W) around (n, 2)."""
    n, height, width = images.shape
    padded = np.zeros((n, height + 2 * side, width + 2 * side))
    padded[:, side:-side, side:-side] = images
    half = np.float32(0.5)
    column = np.trunc(half * (location[:, 0] + np.float32(1)) * np.float32(width)).astype(int)
    row = np.trunc(half * (location[:, 1] + np.float32(1)) * np.float32(height)).astype(int)
    out = np.empty((n, side, side))
    for i in range(n):
        top, left = row[i] - side // 2 + side, column[i] - side // 2 + side
        out[i] = padded[i, top:top + side, left:left + side]
    return out.reshape(n, -1)


def recompute(checkpoint, config, images, location):
    """mu_t, b_t, prob_t in double of a rnn with the two-layer locator at the recorded locations (n, T+1, 2)."""
    with h5py.File(checkpoint, "r") as file:
        group = file["ema/param"] if "ema" in file else file["param"]
        p = {name: data[()].astype(np.float64) for name, data in group.items()}

    def layer(name, x):
        return x @ p[name + ".weight"].T + p[name + ".bias"]

    def relu(x):
        return np.maximum(x, 0)

    picture = (images / 255.0 - float(config["data.mean"])) / float(config["data.stddev"])
    hidden, mean, baseline, prob = np.zeros((len(images), int(config["model.hidden"]))), [], [], []
    for t in range(location.shape[1] - 1):
        phi = glimpse(picture, location[:, t], int(config["model.patch"]))
        what = layer("sensor.fc3", relu(layer("sensor.fc1", phi)))
        where = layer("sensor.fc4", relu(layer("sensor.fc2", location[:, t].astype(np.float64))))
        hidden = relu(layer("rnn.i2h", relu(what + where)) + layer("rnn.h2h", hidden))
        mean.append(np.tanh(layer("locator.fc_lt", relu(layer("locator.fc", hidden)))))
        baseline.append(layer("baseliner.fc", hidden)[:, 0])
        logits = np.exp(layer("classifier.fc", hidden))
        prob.append(logits / logits.sum(1, keepdims=True))
    return np.stack(mean, 1), np.stack(baseline, 1), np.stack(prob, 1)


def check_form(file):
    trace = file["trace"]
    assert set(file) == {"trace", "config", "provenance"}, set(file)
    assert set(trace) == set(SETS) | set(AXES), set(trace)
    assert file.attrs["format_version"] == 1 and "about" in file.attrs
    assert {"step", "epoch", "split", "policy"} <= set(trace.attrs), set(trace.attrs)
    assert {"program", "revision", "host", "date", "command"} <= set(file["provenance"].attrs)
    sizes = {name: len(trace[name]) for name in AXES}
    assert sizes["fixation"] == sizes["glimpse"] + 1 and sizes["xy"] == 2
    for name, axes in SETS.items():
        data = trace[name]
        assert data.is_virtual, name
        assert data.shape == tuple(sizes[axis] for axis in axes), (name, data.shape)
        for dimension, axis in zip(data.dims, axes):
            assert dimension.keys() == [axis] and dimension[0] == trace[axis], (name, axis)
        variable = [key for key in data.attrs.keys() if h5py.check_string_dtype(data.attrs.get_id(key).dtype) and
                    h5py.check_string_dtype(data.attrs.get_id(key).dtype).length is None]
        assert not variable, (name, variable)
        assert text(data.attrs["units"]) == "1" and len(data.attrs["long_name"]) > 4, name
        assert ("coordinate_system" in data.attrs) == name.startswith("location"), name
        for source in data.virtual_sources():
            first = source.vspace.get_select_bounds()[0][0]
            with h5py.File(f"{sys.argv[2].rpartition('/')[0]}/{source.file_name}", "r") as shard:
                rows = shard["trace"][name]
                assert rows.fletcher32 and rows.attrs["first_row"] == first, (name, first)
    for name, first in (("sample", 0), ("rollout", 0), ("glimpse", 1), ("fixation", 0), ("class", 0)):
        assert np.array_equal(trace[name], np.arange(sizes[name]) + first), name
    assert trace["xy"].dtype == "S1" and list(trace["xy"]) == [b"x", b"y"]
    return sizes


def values(index, checkpoint, data):
    with h5py.File(index, "r") as file:
        sizes = check_form(file)
        config = {key: text(value) for key, value in file["config"].attrs.items()}
        split, policy = (text(file["trace"].attrs[key]) for key in ("split", "policy"))
    got = read(index)
    seed, sigma, rollouts = int(config["seed"]), float(config["model.sigma"]), sizes["rollout"]
    width = np.float32(config["model.start"])
    assert int(config["eval.rollouts"]) == rollouts and config["eval.policy"] == policy
    name = "t10k" if split == "test" else "train"
    labels, images = idx(data, f"{name}-labels-idx1-ubyte"), idx(data, f"{name}-images-idx3-ubyte")
    assert np.array_equal(got["label"], labels[got["index"]])
    assert np.all(np.diff(got["index"]) > 0)
    if split == "test":
        assert np.array_equal(got["index"], np.arange(sizes["sample"]))

    location = got["location"]
    assert np.all(np.abs(location) <= 1) and len(np.unique(location[:, :, -1, 0])) > 1 or policy == "center"
    start = signed(draws(5, split, got["index"], rollouts, 0, seed))[..., :2]
    start = np.zeros_like(start) if policy == "center" else width * start.astype(np.float32)
    assert np.array_equal(location[:, :, 0], start)
    for t in range(1, sizes["glimpse"] + 1):
        mean, log_pi = got["location_mean"][:, :, t - 1].astype(np.float64), got["log_pi"][:, :, t - 1]
        if policy == "sample":
            noise = normal(draws(6, split, got["index"], rollouts, t, seed))
            expected = np.clip(mean + sigma * noise, -1, 1)
            density = -2 * np.log(sigma) - np.log(2 * np.pi) - (noise**2).sum(-1) / 2
        elif policy == "mean":
            expected, density = mean, -2 * np.log(sigma) - np.log(2 * np.pi)
        elif policy == "random":
            expected, density = signed(draws(7, split, got["index"], rollouts, t, seed))[..., :2], -np.log(4)
        else:
            expected, density = np.zeros_like(mean), 0
        assert np.allclose(location[:, :, t], expected, rtol=0, atol=1e-6), (t, policy)
        assert np.allclose(log_pi, density, rtol=1e-5, atol=1e-5), (t, policy)

    for m in range(rollouts):
        results = recompute(checkpoint, config, images[got["index"]], location[:, m])
        for name, result in zip(("location_mean", "baseline", "prob"), results):
            error = np.abs(got[name][:, m] - result).max() / np.abs(result).max()
            assert error < 2e-5, (name, m, error)
    assert np.allclose(got["prob"].sum(-1), 1, atol=1e-5)
    assert np.array_equal(got["prediction"], got["prob"][:, :, -1].argmax(-1))
    assert np.array_equal(got["reward"], (got["prediction"] == got["label"][:, None]).astype(np.float32))


def check_xarray(index):
    import xarray
    data = xarray.open_dataset(index, engine="h5netcdf", group="trace")
    for name, axes in SETS.items():
        assert data[name].dims == axes, (name, data[name].dims)
    assert set(data.coords) == set(AXES), set(data.coords)
    assert data.location.attrs["units"] == "1" and data.attrs["split"] in SPLITS
    for column, axis in enumerate("xy"):
        assert np.array_equal(data.location.sel(xy=axis, fixation=0).values, read(index)["location"][:, :, 0, column])
    assert float(data.prob.sel(glimpse=int(data.glimpse[-1])).sum("class").mean()) > 0.999


def same(one, other):
    a, b = read(one), read(other)
    assert set(a) == set(b)
    for name in a:
        assert a[name].dtype == b[name].dtype and a[name].shape == b[name].shape, name
        assert a[name].tobytes() == b[name].tobytes(), name


def part(one, other):
    a, b = read(one), read(other)
    for name, axes in SETS.items():
        cut = b[name][:len(a["sample"])]
        cut = cut[:, :len(a["rollout"])] if "rollout" in axes else cut
        assert cut.shape == a[name].shape and cut.tobytes() == a[name].tobytes(), name


def differ(one, other):
    assert not np.array_equal(read(one)["location"], read(other)["location"])


def evaluation(index, lines, shown):
    got = read(index)
    label, prob = got["label"], got["prob"][:, :, -1].astype(np.float64).mean(1)
    matrix = np.zeros((prob.shape[1],) * 2, int)
    np.add.at(matrix, (label, prob.argmax(1)), 1)
    assert not np.array_equal(matrix, matrix.T), "a matrix that does not tell rows from columns"
    with open(lines, encoding="ascii") as file:
        row = json.loads(file.readline())
    assert row["policy"] == "sample" and row["rollouts"] == got["reward"].shape[1], row
    assert row["images"] == len(label) and row["wrong"] == len(label) - np.trace(matrix), row
    assert np.isclose(row["reward"], got["reward"].astype(np.float64).mean(), rtol=0, atol=1e-6), row
    assert np.isclose(row["loss"], -np.log(prob[np.arange(len(label)), label]).mean(), rtol=1e-5), row
    with open(shown, encoding="utf-8") as file:
        numbers = [[int(word) for word in line.split()] for line in file if not line.split()[0].strip("0123456789")]
    assert np.array_equal(np.array(numbers)[:, 1:], matrix), numbers


def facts(index, *wanted):
    with h5py.File(index, "r") as file:
        for fact in wanted:
            key, value = fact.split("=", 1)
            group = file["provenance"] if key in file["provenance"].attrs else file["trace"]
            assert text(group.attrs.get(key, "")) == value, (key, group.attrs.get(key))


MODES = {"values": values, "xarray": check_xarray, "same": same, "part": part, "differ": differ,
         "evaluation": evaluation, "facts": facts}
MODES[sys.argv[1]](*sys.argv[2:])
