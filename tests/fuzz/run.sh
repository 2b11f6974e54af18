#!/usr/bin/env bash
# run.sh BUILD SECONDS: lets libFuzzer throw bytes at every reader of untrusted files for so long, from real files on; a
# crash, a leak, an endless loop or an input that takes more than 512 MB fails, and is kept in BUILD/tests/fuzz.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "$1" && pwd)/tests/fuzz
seconds=$2
cd "$build"
rm -rf seeds
mkdir -p seeds/{safetensors,idx,yaml,metrics}
for settings in "" "type=F16" "type=F64 core=lstm" "type=BF16 locator=linear order=in_out"; do
    # shellcheck disable=SC2086 # words
    /usr/bin/python3 "$here/../cli/foreign.py" make "seeds/safetensors/${settings//[ =]/_}.st" hidden=2 patch=1 $settings
done
/usr/bin/python3 "$here/../cli/blobs.py" seeds/idx 6 5
gzip -k seeds/idx/t10k-*
cp "$here"/../../configs/*.yaml seeds/yaml
cat >seeds/metrics/two_epochs <<'JSON'
{"kind":"epoch","epoch":1,"step":422,"lr":0.001,"loss":1.5,"nll":1.4,"baseline_loss":0.1,"reinforce_loss":-0.2,"error":40.5,"reward":0.6,"seconds":2.5}
{"kind":"eval","split":"validation","epoch":1,"step":422,"policy":"sample","rollouts":1,"images":6000,"wrong":1200,"error":20.0,"low":19.0,"high":21.0,"loss":0.7,"reward":0.8}
{"kind":"eval","split":"test","epoch":1,"step":422,"policy":"random","rollouts":1,"images":10000,"wrong":5000,"error":50.0,"low":49.0,"high":51.0,"loss":1.7,"reward":0.5}
JSON
code=0
for target in safetensors idx yaml metrics; do
    mkdir -p "found/$target"
    echo "--- $target"
    "./fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=512 -print_final_stats=1 \
        -artifact_prefix="$build/$target-" "found/$target" "seeds/$target" >"$target.log" 2>&1 || code=1
    grep -E 'number_of_executed_units|SUMMARY|ERROR' "$target.log" || true
done
exit $code
