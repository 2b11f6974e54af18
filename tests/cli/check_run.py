"""check_run.py MODE ...: looks at run folders from outside, knowing only the files' contract.

  metrics RUN TRAIN BATCH EPOCHS [AVERAGE]   metrics.jsonl has the rows and fields of a run of EPOCHS epochs; the best
                                        model is that of the smallest validation error, averaged over AVERAGE epochs
  learned RUN ERROR                     the test error is at most ERROR percent, the last loss below the first
  same RUN RUN                          equal metrics but for seconds; equal latest and best, every bit of every array
  weights RUN RUN                       equal latest vectors, every bit
  near RUN RUN SHARE                    other weights, apart by at most SHARE of how far they are from zero
  differ RUN RUN                        other weights
  within RUN                            the latest checkpoint stands within an epoch
  timed RUN                             that checkpoint has the time of its epoch so far
  moved RUN                             the moving average is that of the epochs' rewards, which are one step each
  averages RUN                          the average of the weights is the weights themselves, but for rounding
  rates RUN BATCHES KIND EPOCHS LR WARMUP [FACTOR PATIENCE]   the learning rate of each epoch's last step
  waited RUN PATIENCE EPOCHS            stopped early, PATIENCE epochs after the best, before EPOCHS
  lines RUN                             prints the lines that an evaluation of the best model must repeat
"""
import json
import math
import sys

import h5py
import numpy as np

EPOCH = {"kind", "epoch", "step", "lr", "loss", "nll", "baseline_loss", "reinforce_loss", "error", "reward", "seconds"}
EVAL = {"kind", "split", "epoch", "step", "policy", "sigma", "rollouts", "images", "wrong", "error", "low", "high", "loss",
        "reward"}


def no_constant(name):
    raise ValueError(f"{name} is no JSON")


def rows(run):
    with open(f"{run}/metrics.jsonl", encoding="ascii") as file:
        text = file.read()
    assert text.endswith("\n") or not text, "the last line is not whole"
    return [json.loads(line, parse_constant=no_constant) for line in text.splitlines()]


def of_kind(run, kind, split=None):
    return [row for row in rows(run) if row["kind"] == kind and row.get("split") == split]


def averaged(validation, average):
    mean = 0
    for seen, row in enumerate(validation, 1):
        mean += (row["error"] - mean) / min(seen, average)
        yield mean


def metrics(run, train, batch, epochs, average=1):
    train, batch, epochs = int(train), int(batch), int(epochs)
    steps = -(-train // batch)
    kinds = [(row["kind"], row.get("split")) for row in rows(run)]
    assert kinds == [("epoch", None), ("eval", "validation")] * epochs + [("eval", "test")] * 3, kinds
    for row in rows(run):
        need = EPOCH if row["kind"] == "epoch" else EVAL
        assert need <= set(row), need - set(row)
        assert all(math.isfinite(value) for value in row.values() if not isinstance(value, str)), row
        assert 0 <= row["error"] <= 100 and 0 <= row["reward"] <= 1, row
        if row["kind"] == "eval":
            n, p, z = row["images"], row["wrong"] / row["images"], 1.959964
            centre, half = p + z * z / 2 / n, z * math.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
            wilson = [100 * max(0, centre - half) / (1 + z * z / n), 100 * (centre + half) / (1 + z * z / n)]
            assert np.allclose([row["low"], row["high"]], wilson, atol=1e-5), (row, wilson)
            assert abs(row["error"] - 100 * p) < 1e-6 and row["low"] <= row["error"] <= row["high"], row
        else:
            assert abs(row["error"] - 100 * (1 - row["reward"])) < 1e-6, row
            count = row["reward"] * train * 3  # with one roll-out an image, or three
            assert abs(count - round(count)) < 1e-4, "not an exact count"
            assert row["seconds"] > 0
    for number, row in enumerate(of_kind(run, "epoch"), 1):
        assert (row["epoch"], row["step"]) == (number, number * steps), row
    validation = of_kind(run, "eval", "validation")
    assert [(row["epoch"], row["step"]) for row in validation] == [(n, n * steps) for n in range(1, epochs + 1)]
    best = min(zip(averaged(validation, int(average)), validation), key=lambda pair: round(pair[0], 9))[1]
    test = of_kind(run, "eval", "test")
    assert all((row["epoch"], row["step"]) == (best["epoch"], best["step"]) for row in test), "not of the best model"
    assert [row["policy"] for row in test][1:] == ["random", "center"]
    for link, step in (("best", best["step"]), ("latest", epochs * steps)):
        with h5py.File(f"{run}/checkpoints/{link}/index.h5", "r") as file:
            assert file.attrs["step"] == step, link


def learned(run, error):
    epochs, test = of_kind(run, "epoch"), of_kind(run, "eval", "test")
    assert test[0]["error"] <= float(error), test[0]
    assert epochs[-1]["nll"] < epochs[0]["nll"], "the loss does not fall"


def arrays(run, link):
    found = {}
    with h5py.File(f"{run}/checkpoints/{link}/index.h5", "r") as file:
        file.visititems(lambda name, item: found.update({name: item[...]}) if isinstance(item, h5py.Dataset) else None)
        state = {key: file["state"].attrs[key] for key in file["state"].attrs
                 if key not in ("seconds", "metrics_bytes", "metrics_hash")}
    assert found and all(np.isfinite(values).all() for values in found.values())
    return found, state


def curve(run):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows(run)]


def same(one, other):
    for a, b in zip(curve(one), curve(other)):
        assert a == b, (a, b)
    assert len(curve(one)) == len(curve(other)), "another number of rows"
    for link in ("latest", "best"):
        (a, state_a), (b, state_b) = arrays(one, link), arrays(other, link)
        assert state_a == state_b, (link, state_a, state_b)
        assert set(a) == set(b), set(a) ^ set(b)
        for name, values in a.items():
            assert values.tobytes() == b[name].tobytes(), (link, name)


def weights(one, other):
    a, b = arrays(one, "latest")[0], arrays(other, "latest")[0]
    assert a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a), "other weights"


def differ(one, other):
    a, b = arrays(one, "latest")[0], arrays(other, "latest")[0]
    assert any(a[name].tobytes() != b[name].tobytes() for name in a if name.startswith("param/"))


def near(one, other, share):
    a, b = (arrays(run, "latest")[0] for run in (one, other))
    differ(one, other)
    names = [name for name in a if name.startswith("param/")]
    apart = math.sqrt(sum(np.square(a[name] - b[name]).sum() for name in names))
    size = math.sqrt(sum(np.square(a[name]).sum() for name in names))
    assert apart <= float(share) * size, apart / size


def within(run):
    assert arrays(run, "latest")[1]["batch"] > 0


def timed(run):
    with h5py.File(f"{run}/checkpoints/latest/index.h5", "r") as file:
        assert file["state"].attrs["seconds"] > 0


def moved(run):
    average = 0
    for row in of_kind(run, "epoch"):
        average += (row["reward"] - average) / 10
    saved = arrays(run, "latest")[1]["moving_average"]
    assert average > 0 and math.isclose(saved, average, rel_tol=1e-6), (saved, average)


def averages(run):
    found = arrays(run, "latest")[0]
    names = [name for name in found if name.startswith("param/")]
    assert names and all(np.allclose(found[name], found["ema/" + name], rtol=0, atol=1e-5) for name in names)


def rates(run, batches, kind, epochs, lr, warmup, factor=1, patience=1):
    batches, epochs, lr, warmup = int(batches), int(epochs), float(lr), float(warmup)
    dropped, best, waited = 1.0, math.inf, 0
    found = of_kind(run, "epoch")
    assert found
    for row, validation in zip(found, of_kind(run, "eval", "validation")):
        time = row["epoch"] - 0.5 / batches  # the middle of the epoch's last step
        part = (time - warmup) / (epochs - warmup)
        rate = {"constant": lr, "plateau": lr * dropped, "linear": lr * (1 - part),
                "cosine": lr * (1 + math.cos(math.pi * part)) / 2}[kind]
        rate = lr * time / warmup if time < warmup else rate
        assert math.isclose(row["lr"], rate, rel_tol=1e-7), (row["epoch"], row["lr"], rate)
        if validation["error"] < best:
            best, waited = validation["error"], 0
        else:
            waited += 1
            if waited == int(patience):
                dropped, waited = dropped * float(factor), 0
    assert kind != "plateau" or found[-1]["lr"] < lr, "nothing was lowered, so nothing was seen"


def waited(run, patience, epochs):
    errors = [row["error"] for row in of_kind(run, "eval", "validation")]
    assert len(errors) < int(epochs) and len(errors) == errors.index(min(errors)) + 1 + int(patience), errors


def lines(run):
    last = {}
    for row in of_kind(run, "eval", "test"):
        last[row["policy"]] = row
    for row in last.values():
        print(f"{row['wrong']} of {row['images']} wrong, loss {row['loss']:.4f}, mean reward {row['reward']:.4f}, "
              f"M = {row['rollouts']}")


globals()[sys.argv[1]](*sys.argv[2:])
