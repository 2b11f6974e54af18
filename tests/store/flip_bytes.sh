#!/usr/bin/env bash
# flip_bytes.sh RAM_DIST [STEP]: one bit of every STEP-th byte of every file of a small checkpoint and of a small trace is
# flipped in turn, and the command is asked about the set: refused with 65 and the file's name, never accepted, a crash or
# a wait. Without STEP as many bytes as a few minutes allow, MANIFEST whole. All is done in one process elsewhere
# (test_damage).
# shellcheck disable=SC1091,SC2154 # checks.bash sets work, ram_dist, here and python
. "$(dirname "$0")/../cli/checks.bash"
step=${2-0} most=3000 # bytes of a file
blobs data 60 20
cat >small.yaml <<'YAML'
model: {hidden: 2, glimpse_hidden: 2, location_hidden: 2, locator_hidden: 2, patch: 2, glimpses: 2}
train: {epochs: 1, batch: 32, lanes: 1}
YAML
export RAM_DATA=$work/data
run 0 --config small.yaml --run-dir one
run 0 trace one --limit 1
set=$(realpath one/checkpoints/latest) trace=$(echo one/traces/*)
asked=0

# ask FILE COMMAND...: the command refuses the set and names the file.
ask() {
    local code=0
    timeout -k 5 30 "$ram_dist" "${@:2}" >out 2>err </dev/null || code=$?
    asked=$((asked + 1))
    [ $code -eq 65 ] || fail "exit code $code with byte $byte of $1 flipped: ${*:2}"
    grep -q "^ram_dist: error: .*${1##*/}" err || fail "byte $byte of $1 is flipped, and it is not named: ${*:2}"
}

put() { # FILE BYTE VALUE
    local code
    printf -v code '%03o' "$3"
    printf '%b' "\\0$code" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

for file in "$set"/* "$trace"/*; do
    bytes=$(stat -c %s "$file")
    stride=$step
    [ "$stride" -gt 0 ] || stride=$((bytes / most + 1))
    cp "$file" kept
    for ((byte = 0; byte < bytes; byte += stride)); do
        value=$(od -An -tu1 -j $byte -N 1 "$file")
        put "$file" $byte $((value ^ 1 << byte / stride % 8)) # another bit each time
        case $file in
        "$trace"/*) ask "$file" inspect "$trace" ;;
        *) if [ $((byte / stride % 2)) -eq 0 ]; then ask "$file" inspect "$set"; else ask "$file" eval "$set"; fi ;;
        esac
        put "$file" $byte "$value"
        [ "$failures" -lt 20 ] || finish
    done
    cmp "$file" kept || fail "the test itself changed $file"
    echo "$file: $bytes bytes, one in $stride"
done
run 0 inspect "$set"
run 0 inspect "$trace"
run 0 eval one
echo "$asked flipped bytes were refused"
finish
