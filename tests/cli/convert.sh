#!/usr/bin/env bash
# convert.sh RAM_DIST: data/convert_checkpoint.py between PyTorch's and Paddle's files and safetensors, to the bit and
# through the program; hostile pickles run nothing. Without PyTorch its part is left out, and said so.
# shellcheck disable=SC1091,SC2154 # checks.bash sets work, ram_dist, here and python
. "$(dirname "$0")/checks.bash"
convert() { command_run 0 "$python" "$here/../../data/convert_checkpoint.py" "$@"; }
# refused CODE TEXT FILE: one line of error, nothing written.
refused() {
    command_run "$1" "$python" "$here/../../data/convert_checkpoint.py" "$3" refused.safetensors
    [ "$(wc -l <err)" -eq 1 ] || fail "stderr is not one line"
    says err "$2"
    [ ! -e refused.safetensors ] || fail "a refused file was converted"
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
torch.save({"epoch": 3, "model_state": state, "optim_state": {"step": 1}}, "usual.pth.tar")
class Evil:
    def __reduce__(self):
        return os.system, ("touch ran",)
torch.save({"model_state": Evil()}, "evil.pth")
PY
    convert usual.pth.tar usual.safetensors
    same rnn.safetensors usual.safetensors
    convert rnn.back.safetensors back.pth
    "$python" -c "
import torch
state = torch.load('back.pth', weights_only=True)
assert state['rnn.h2h.weight'].shape == (16, 16) and len(state) == 20" || fail "PyTorch does not load what was written"
    convert back.pth again.safetensors
    same rnn.safetensors again.safetensors
    refused 65 "evil.pth" evil.pth
else
    echo "SKIPPED: PyTorch's files, since python3-torch is not installed"
fi
[ ! -e ran ] || fail "a pickle was executed"
finish
