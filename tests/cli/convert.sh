#!/usr/bin/env bash
# convert.sh RAM_DIST: data/convert_checkpoint.py between PyTorch's and Paddle's files and safetensors, to the bit and
# through the program; hostile pickles run nothing. Without PyTorch its part is left out, and said so.
# shellcheck disable=SC1091,SC2154 # checks.bash sets work, ram_dist, here and python
. "$(dirname "$0")/checks.bash"
convert() { command_run 0 "$python" "$here/../../data/convert_checkpoint.py" "$@"; }
# refused CODE TEXT FILE [TARGET]: one line of error, nothing written.
refused() {
    command_run "$1" "$python" "$here/../../data/convert_checkpoint.py" "$3" "${4-refused.safetensors}"
    [ "$(wc -l <err)" -eq 1 ] || fail "stderr is not one line"
    says err "$2"
    [ -z "$(find . -name 'refused*' -o -name '*.tmp')" ] || fail "a refused file was converted"
}
same() { "$python" "$here/foreign.py" same "$1" "$2" || fail "$1 and $2 differ"; }

for core in rnn lstm; do
    "$python" "$here/foreign.py" make $core.safetensors core=$core || exit 1
    convert $core.safetensors $core.pdparams
    says out "tensors"
    convert $core.pdparams $core.paddle.safetensors
    run 0 import $core.paddle.safetensors --output $core
    run 0 export $core --output $core.back.safetensors
    same $core.safetensors $core.back.safetensors
done

"$python" - <<'PY' || exit 1
import os, pickle
class Evil:
    def __reduce__(self):
        return os.system, ("touch ran",)
pickle.dump({"sensor.fc1.weight": Evil()}, open("evil.pdparams", "wb"), protocol=2)
pickle.dump([1, 2], open("list.pdparams", "wb"), protocol=2)
pickle.dump({"a": 1}, open("none.pdparams", "wb"), protocol=2)
PY
refused 65 "only arrays are taken" evil.pdparams
refused 65 "no dictionary" list.pdparams
refused 65 "no weights" none.pdparams
refused 65 "absent" absent.pdparams
echo "no pickle" >text.pdparams
refused 65 "text.pdparams" text.pdparams
cp text.pdparams text.safetensors
refused 65 "text.safetensors" text.safetensors
refused 64 "ends in .safetensors" rnn.pdparams refused.pth

# What Paddle saves beside layers: tensors as (name, array), bf16 as unsigned integers, names of its own.
"$python" - <<'PY' || exit 1
import pickle
import numpy as np
class Packed:
    def __reduce__(self):
        return tuple, (("linear_0.w_0", np.arange(6, dtype="f4").reshape(2, 3)),)
pickle.dump({"model": {"a": Packed(), "b": np.array([0x3F80, 0xC000], "u2"), "StructuredToParameterName@@": {}},
             "opt": {"LR_Scheduler": {"last_lr": 0.1}}}, open("packed.pdparams", "wb"), protocol=2)
PY
convert packed.pdparams packed.safetensors
says out "2 tensors, 8 values; left out, being no weights: 'StructuredToParameterName@@'"
"$python" -c "
import sys
sys.path.insert(0, '$here')
from foreign import read
arrays = read('packed.safetensors')[0]
assert arrays['a'].tolist() == [[0, 1, 2], [3, 4, 5]] and arrays['b'].tolist() == [1, -2], arrays" ||
    fail "Paddle's own forms are not read"

# Ranges, types and texts of safetensors are checked as import checks them; values are import's to judge.
mkdir bad
"$python" "$here/foreign.py" spoil bad >cases || exit 1
for name in empty short long_header zero_header a_list twice truncated trailing overlap gap backwards negative \
    fractions one_offset wrong_size overflow negative_shape no_shape extra_field no_entry type type_number integers; do
    [ -e "bad/$name.safetensors" ] || fail "there is no $name"
    refused 65 "bad/$name.safetensors" "bad/$name.safetensors" refused.pdparams
done
refused 65 "beyond float32" bad/too_large.safetensors
refused 65 "lies [in, out]" rnn.paddle.safetensors refused.pdparams
refused 74 "no/such/refused.pdparams" rnn.safetensors no/such/refused.pdparams
mkdir folder.pdparams
refused 74 "folder.pdparams" rnn.safetensors folder.pdparams

mkdir bare && printf 'raise ImportError("there is\\n\\nnone")\n' >bare/numpy.py
PYTHONPATH=bare refused 69 "numpy is needed (Debian: python3-numpy): there is none" rnn.pdparams

if "$python" -c 'import torch' 2>/dev/null; then
    "$python" - <<'PY' || exit 1
import json, os, struct, sys
import numpy as np, torch
data = open("rnn.safetensors", "rb").read()
length = struct.unpack("<Q", data[:8])[0]
state = {}
for name, entry in json.loads(data[8:8 + length]).items():
    begin, end = entry["data_offsets"]
    state["module." + name] = torch.from_numpy(
        np.frombuffer(data[8 + length:][begin:end], "<f4").reshape(entry["shape"]).copy())
parameters = [torch.nn.Parameter(values.clone()) for values in state.values()]
optimizer = torch.optim.Adam(parameters, lr=3e-4)
sum(values.square().sum() for values in parameters).backward()
optimizer.step()
usual = {"epoch": 3, "model_state": state, "optim_state": optimizer.state_dict(), "best_valid_acc": 98.1}
torch.save(usual, "usual.pth.tar")
torch.save(state, "old.pth", _use_new_zipfile_serialization=False)
torch.save(usual, "old.pth.tar", _use_new_zipfile_serialization=False)
torch.save({**state, "rnn.h2h.bias": state["module.rnn.h2h.bias"]}, "twice.pth")
turned = torch.nn.Parameter(torch.arange(12.0).reshape(3, 4).bfloat16().t()[1:])
torch.save({"a": turned, "b": torch.arange(4).double() / 3, "count": torch.tensor(3)}, "kinds.pth")
class Evil:
    def __reduce__(self):
        return os.system, ("touch ran",)
torch.save({"model_state": Evil()}, "evil.pth")
torch.save({"model_state": Evil()}, "evil_old.pth", _use_new_zipfile_serialization=False)
whole = open("usual.pth.tar", "rb").read()
open("cut.pth", "wb").write(whole[:len(whole) // 2])
PY
    # as a machine without PyTorch reads it
    mkdir hidden && echo "raise ImportError('there is none')" >hidden/torch.py
    PYTHONPATH=hidden convert usual.pth.tar usual.safetensors
    same rnn.safetensors usual.safetensors
    PYTHONPATH=hidden refused 69 "install PyTorch" old.pth
    PYTHONPATH=hidden refused 69 "install PyTorch" rnn.safetensors refused.pth
    convert old.pth old.safetensors
    same rnn.safetensors old.safetensors
    convert kinds.pth kinds.safetensors
    says out "left out, being no weights: 'count'"
    "$python" -c "
import sys
sys.path.insert(0, '$here')
from foreign import read
import numpy as np
arrays = read('kinds.safetensors')[0]
assert (arrays['a'] == np.arange(12).reshape(3, 4).T[1:]).all() and (arrays['b'] == (np.arange(4) / 3).astype('f4')).all()
" || fail "views, bf16 or doubles are not read"
    convert rnn.back.safetensors back.pth
    "$python" -c "
import torch
state = torch.load('back.pth', weights_only=True)
assert state['rnn.h2h.weight'].shape == (16, 16) and len(state) == 20" || fail "PyTorch does not load what was written"
    convert back.pth again.safetensors
    same rnn.safetensors again.safetensors
    refused 65 "only arrays are taken" evil.pth
    refused 65 "weights_only does not take it" evil_old.pth
    refused 65 "weights_only does not take it" old.pth.tar
    refused 65 "cut.pth" cut.pth
    PYTHONPATH=hidden refused 65 "damaged or cut off" cut.pth
    refused 65 "stands there twice" twice.pth
    refused 65 "lies [in, out]" rnn.paddle.safetensors refused.pth
else
    echo "SKIPPED: PyTorch's files, since python3-torch is not installed"
fi
[ ! -e ran ] || fail "a pickle was executed"
finish
