#!/usr/bin/env python3
"""Converts weights between PyTorch (.pth, .pth.tar, .pt), Paddle (.pdparams) and safetensors.

    convert_checkpoint.py IN OUT        the endings say which way: to .safetensors, or from it to .pth or .pdparams

Needs numpy, and PyTorch for its own files; Paddle is not needed. Nothing in a file is executed: PyTorch's are read with
weights_only, Paddle's through an unpickler that knows arrays and nothing else. Only the standard library reads and
writes safetensors here, so that no further package is needed.
"""
import io
import json
import pickle
import struct
import sys

import numpy as np

# what a training saves beside its weights, outermost first
WRAPPERS = ("model_state", "model_state_dict", "state_dict", "model")
TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}


class Refused(Exception):
    """What is wrong with a file, in one line."""


# --- safetensors


def read_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else len(data)
    if length > len(data) - 8:
        raise Refused(f"{path} is not a safetensors file")
    buffer = data[8 + length :]
    arrays = {}
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        raw, kind = buffer[begin:end], entry["dtype"]
        if kind == "BF16":  # the upper halves of float32
            values = (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
        elif kind in TYPES:
            values = np.frombuffer(raw, TYPES[kind])
        else:
            raise Refused(f"{path}: tensor {name} has type {kind}")
        arrays[name] = values.reshape(entry["shape"])
    return arrays


def write_safetensors(path, arrays):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, array in arrays.items():
        end = offset + 4 * array.size
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            file.write(np.ascontiguousarray(array, "<f4").tobytes())


# --- PyTorch


def read_torch(path):
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)


def write_torch(path, arrays):
    import torch

    torch.save({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}, path)


# --- Paddle: a pickle of numpy arrays


class ArraysOnly(pickle.Unpickler):
    """Finds what a pickled numpy array is made of; refuses all else."""

    ALLOWED = {
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
        ("collections", "OrderedDict"),
        ("_codecs", "encode"),
    }

    def find_class(self, module, name):
        if (module, name) not in self.ALLOWED:
            raise Refused(f"the file wants to run {module}.{name}: only arrays are taken")
        if module.startswith("numpy._core") and not hasattr(np, "_core"):
            module = module.replace("numpy._core", "numpy.core")
        return super().find_class(module, name)


def read_paddle(path):
    with open(path, "rb") as file:
        return ArraysOnly(io.BytesIO(file.read())).load()


def write_paddle(path, arrays):
    transposed = {}
    for name, array in arrays.items():
        cell = name.startswith("rnn.weight_")  # LSTM cells lie alike in both
        transposed[name] = np.ascontiguousarray(array.T) if array.ndim == 2 and not cell else np.array(array)
    with open(path, "wb") as file:
        pickle.dump(transposed, file, protocol=2)


# --- what is in them


def weights_of(loaded, path):
    """The dictionary of arrays inside, names without the prefix that wrappers for several GPUs add."""
    for wrapper in WRAPPERS:
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
            loaded = loaded[wrapper]
    if not isinstance(loaded, dict):
        raise Refused(f"{path} holds no dictionary of tensors")
    arrays = {}
    for name, value in loaded.items():
        array = value.detach().to("cpu").float().numpy() if hasattr(value, "detach") else value
        if not isinstance(name, str) or not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            continue  # names that Paddle keeps for itself, counters
        arrays[name.removeprefix("module.")] = array
    if not arrays:
        raise Refused(f"{path} holds no weights under names that are texts")
    return arrays


def convert(source, target):
    readers = {".safetensors": read_safetensors, ".pdparams": read_paddle}
    writers = {".safetensors": write_safetensors, ".pdparams": write_paddle}

    def choose(table, path, other):
        return next((f for ending, f in table.items() if path.endswith(ending)), other)

    arrays = weights_of(choose(readers, source, read_torch)(source), source)
    choose(writers, target, write_torch)(target, arrays)
    return arrays


def main():
    if len(sys.argv) != 3 or sys.argv[1].startswith("-"):
        print(__doc__)
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 64
    try:
        arrays = convert(sys.argv[1], sys.argv[2])
    except ImportError as error:
        print(f"convert_checkpoint.py: error: {error}: install PyTorch for its files", file=sys.stderr)
        return 69
    except Exception as error:  # pylint: disable=broad-except
        # whatever a damaged or hostile file provokes is one line, not a trace
        print(f"convert_checkpoint.py: error: {sys.argv[1]}: {str(error).splitlines()[0]}", file=sys.stderr)
        return 65
    print(f"{sys.argv[2]}: {len(arrays)} tensors, {sum(a.size for a in arrays.values())} values")
    return 0


if __name__ == "__main__":
    sys.exit(main())
