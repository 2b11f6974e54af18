#!/usr/bin/env python3
"""Converts weights between PyTorch (.pth, .pth.tar, .pt), Paddle (.pdparams) and safetensors.

    convert_checkpoint.py IN OUT        to .safetensors, or from it to .pth or .pdparams: the endings say which way

Needs numpy; PyTorch only to write its files and to read those from before its version 1.6; Paddle never. Nothing in a
file is executed: its pickle goes through an unpickler that knows arrays and nothing else, PyTorch's old files are read
with weights_only. Exit codes: 0 done, 64 usage, 65 a file that cannot be converted, 69 numpy or PyTorch is missing, 74
the target cannot be written.
"""
import io
import json
import math
import os
import pickle
import struct
import sys
import zipfile

try:
    import numpy as np
except ImportError as error:
    reason = " ".join(str(error).split())  # a broken installation is told in many lines
    print(f"convert_checkpoint.py: error: numpy is needed (Debian: python3-numpy): {reason}", file=sys.stderr)
    sys.exit(69)

# what a training saves beside its weights, outermost first
WRAPPERS = ("model_state", "model_state_dict", "state_dict", "model")
TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


class Refused(Exception):
    """What is wrong with a file, in one line."""


def widen(halves):
    """bf16, read as unsigned integers: the upper halves of float32."""
    return (halves.astype("<u4") << 16).view("<f4")


# --- safetensors


def unique(pairs):
    entries = dict(pairs)
    if len(entries) < len(pairs):
        raise Refused("a key of the header stands twice")
    return entries


def is_sizes(value):
    return isinstance(value, list) and all(type(size) is int and size >= 0 for size in value)


def read_entry(name, entry, buffer):
    """The array of one entry of the header, and its range."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise Refused(f"tensor {name!r} has not exactly dtype, shape and data_offsets")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or kind not in TYPES:
        raise Refused(f"tensor {name!r} has type {kind!r}: F64, F32, F16 and BF16 are taken")
    if not is_sizes(shape) or not is_sizes(offsets) or len(offsets) != 2:
        raise Refused(f"tensor {name!r} has a shape or data_offsets that are no list of sizes")
    begin, end = offsets
    if not begin <= end <= len(buffer) or end - begin != math.prod(shape) * np.dtype(TYPES[kind]).itemsize:
        raise Refused(f"tensor {name!r}: its data_offsets do not fit its shape or the file")
    values = np.frombuffer(buffer[begin:end], TYPES[kind])
    return (widen(values) if kind == "BF16" else values).reshape(shape), (begin, end)


def read_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else len(data)
    if length > len(data) - 8:
        raise Refused("not a safetensors file: its header is longer than the file")
    try:
        header = json.loads(data[8 : 8 + length].decode(), object_pairs_hook=unique)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise Refused("not a safetensors file: its header is no JSON object")
    header.pop("__metadata__", None)
    buffer, arrays, ranges = data[8 + length :], {}, []
    for name, entry in header.items():
        arrays[name], place = read_entry(name, entry, buffer)
        ranges.append(place)
    ranges.sort()
    if [0] + [end for _, end in ranges] != [begin for begin, _ in ranges] + [len(buffer)]:
        raise Refused("its tensors overlap, or bytes belong to none")
    return arrays


def write_safetensors(file, arrays):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, array in arrays.items():
        end = offset + 4 * array.size
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    for array in arrays.values():
        file.write(np.ascontiguousarray(array, "<f4").tobytes())


# --- pickles of arrays


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
        ("builtins", "tuple"),
        ("__builtin__", "tuple"),
    }

    def find_class(self, module, name):
        if (module, name) not in self.ALLOWED:
            raise Refused(f"the file wants to run {module}.{name}: only arrays are taken")
        if module.startswith("numpy._core") and not hasattr(np, "_core"):
            module = module.replace("numpy._core", "numpy.core")
        return super().find_class(module, name)


# --- PyTorch: since its version 1.6 a zip file of one pickle and the storages of its tensors


class TensorsOnly(ArraysOnly):
    """Tensors of PyTorch's zip files become arrays."""

    STORAGES = {
        "DoubleStorage": "<f8",
        "FloatStorage": "<f4",
        "HalfStorage": "<f2",
        "BFloat16Storage": "<u2",
        "LongStorage": "<i8",
        "IntStorage": "<i4",
        "ShortStorage": "<i2",
        "CharStorage": "i1",
        "ByteStorage": "u1",
        "BoolStorage": "?",
    }

    def __init__(self, archive, pickled):
        super().__init__(io.BytesIO(read_member(archive, pickled)))
        self.archive, self.folder = archive, pickled.removesuffix("data.pkl")

    def persistent_load(self, pid):  # ("storage", class, key, location, count)
        return pid[1], read_member(self.archive, f"{self.folder}data/{pid[2]}")

    def find_class(self, module, name):
        if module == "torch" and name in self.STORAGES:
            return name
        if (module, name) == ("torch", "Size"):
            return tuple
        if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return self.rebuild
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        return super().find_class(module, name)

    def rebuild(self, storage, offset, shape, strides, *_):
        kind = np.dtype(self.STORAGES[storage[0]])
        if math.prod(shape) * kind.itemsize > len(storage[1]):
            raise Refused("a tensor is larger than its storage")
        strides = [stride * kind.itemsize for stride in strides]
        array = np.ndarray(shape, kind, storage[1], offset * kind.itemsize, strides)  # which checks the bounds
        return widen(array) if storage[0] == "BFloat16Storage" else array


def read_member(archive, name):
    if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
        raise Refused(f"{name} in it is compressed, which PyTorch's files are not")
    return archive.read(name)


def read_torch(path):
    with open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            file.seek(0)
            if file.read(1) != b"\x80":  # as every pickle of protocol 2 and later begins
                raise Refused("damaged or cut off, or no file of PyTorch's: copy it anew")
            return read_old_torch(path)
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            pickled = next((name for name in names if name.endswith("/data.pkl")), None)
            if not pickled:
                raise Refused("a zip file, but not one of PyTorch's")
            order = pickled.removesuffix("data.pkl") + "byteorder"
            if order in names and read_member(archive, order) != b"little":
                raise Refused("its numbers are not little-endian")
            return TensorsOnly(archive, pickled).load()


def read_old_torch(path):
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pylint: disable=broad-except
        raise Refused(
            "no zip file as PyTorch 1.6 and newer write, and weights_only does not take it; if it is older and you "
            "trust it, load it in PyTorch and save its state dict again"
        ) from error


def write_torch(file, arrays):
    import torch

    torch.save({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}, file)


# --- Paddle: a pickle of numpy arrays


def plain(value):
    """What Paddle packs unpacked: a tensor that is no layer's own as (name, array), bf16 as unsigned integers."""
    if isinstance(value, dict):
        return {name: plain(entry) for name, entry in value.items()}
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], np.ndarray):
        value = value[1]
    return widen(value) if isinstance(value, np.ndarray) and value.dtype == np.uint16 else value


def read_paddle(path):
    with open(path, "rb") as file:
        return plain(ArraysOnly(io.BytesIO(file.read())).load())


def write_paddle(file, arrays):
    transposed = {}
    for name, array in arrays.items():
        cell = name.startswith("rnn.weight_")  # LSTM cells lie alike in both
        transposed[name] = np.ascontiguousarray(array.T) if array.ndim == 2 and not cell else np.array(array)
    pickle.dump(transposed, file, protocol=2)


# --- what is in them


def weights_of(loaded):
    """The dictionary of arrays inside, names without the prefix that wrappers for several GPUs add, and the names of
    what is left out."""
    for wrapper in WRAPPERS:
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
            loaded = loaded[wrapper]
    if not isinstance(loaded, dict):
        raise Refused("it holds no dictionary of tensors")
    arrays, left_out = {}, []
    for name, value in loaded.items():
        array = value.detach().to("cpu").float().numpy() if hasattr(value, "detach") else value
        if not isinstance(name, str) or not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            left_out.append(name)  # names that Paddle keeps for itself, counters
            continue
        plain_name = name.removeprefix("module.")
        if plain_name in arrays:
            raise Refused(f"tensor {plain_name!r} stands there twice, with and without 'module.'")
        arrays[plain_name] = array
    if not arrays:
        raise Refused("it holds no weights under names that are texts")
    return arrays, left_out


def check_order(arrays):
    """That layers lie [out, in], as both PyTorch and this script's Paddle files take them."""
    for name, array in arrays.items():
        bias = arrays.get(name.removesuffix(".weight") + ".bias")
        if name.endswith(".weight") and array.ndim == 2 and bias is not None:
            if array.shape[0] != bias.size and array.shape[1] == bias.size:
                raise Refused(f"tensor {name!r} lies [in, out], as Paddle's: import it and convert what export writes")


def check_range(arrays):
    for name, array in arrays.items():
        if (np.abs(array[np.isfinite(array)]) > np.finfo("f4").max).any():
            raise Refused(f"tensor {name!r} has values beyond float32")


def read(path):
    readers = {".safetensors": read_safetensors, ".pdparams": read_paddle}
    return weights_of(readers.get(os.path.splitext(path)[1], read_torch)(path))


def write(path, arrays):
    """Whole or not at all."""
    writers = {".safetensors": write_safetensors, ".pdparams": write_paddle}
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "xb") as file:
            writers.get(os.path.splitext(path)[1], write_torch)(file, arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        if os.path.lexists(temporary):
            os.remove(temporary)


def one_line(error):
    return " ".join(str(error).split()) or type(error).__name__


def fail(code, what):
    print(f"convert_checkpoint.py: error: {what}", file=sys.stderr)
    return code


def tell(text):
    """Prints it; the exit code. To an output that is closed nothing is told."""
    try:
        print(text, flush=True)
    except OSError as error:
        sys.stdout = None  # or Python would try again at its end
        return fail(74, f"cannot write to the standard output: {error.strerror}")
    return 0


def summary(path, arrays, left_out):
    text = f"{path}: {len(arrays)} tensors, {sum(a.size for a in arrays.values())} values"
    if left_out:
        text += f"; left out, being no weights: {', '.join(repr(name)[:60] for name in left_out[:5])}"
    if len(left_out) > 5:
        text += f" and {len(left_out) - 5} more"
    return text


def convert(source, target):
    # whatever a damaged or hostile file provokes is one line, not a trace
    try:
        arrays, left_out = read(source)
        (check_range if target.endswith(".safetensors") else check_order)(arrays)
    except ImportError as error:
        return fail(69, f"{source}: {error}: install PyTorch for its files from before version 1.6")
    except OSError as error:
        return fail(65, f"{source}: {error.strerror or one_line(error)}")
    except Exception as error:  # pylint: disable=broad-except
        return fail(65, f"{source}: {one_line(error)}")
    try:
        write(target, arrays)
    except ImportError as error:
        return fail(69, f"{target}: {error}: install PyTorch to write its files")
    except OSError as error:
        return fail(74, f"{target}: cannot be written: {error.strerror or one_line(error)}")
    except Exception as error:  # pylint: disable=broad-except
        return fail(74, f"{target}: cannot be written: {one_line(error)}")
    return tell(summary(target, arrays, left_out))


def main():
    if sys.stdout:
        sys.stdout.reconfigure(errors="backslashreplace")
    names = sys.argv[1:]
    if len(names) != 2 or names[0].startswith("-"):
        return tell(__doc__) or (0 if names in (["-h"], ["--help"]) else 64)
    if not any(name.endswith(".safetensors") for name in names):
        return fail(64, f"neither {names[0]} nor {names[1]} ends in .safetensors: convert to it first, then from it")
    try:
        return convert(*names)
    except KeyboardInterrupt:
        return fail(130, "interrupted")


if __name__ == "__main__":
    sys.exit(main())
