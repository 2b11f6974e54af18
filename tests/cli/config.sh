#!/bin/sh
# The command line as a user meets it: help, version, the list of keys, resolved values, and errors in one line with code 64.
# Usage: config.sh PATH_OF_RAM_DIST
set -u
ram_dist=$1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0

fail() {
    echo "FAILED: $*"
    sed 's/^/    /' out err
    failures=$((failures + 1))
}

# expect CODE COMMAND...: runs it; its output is in the files `out` and `err`.
expect() {
    expected=$1
    shift
    "$@" >out 2>err </dev/null
    code=$?
    [ "$code" -eq "$expected" ] || fail "code $code instead of $expected: $*"
}

says() { grep -qF -- "$2" "$1" || fail "'$2' is not in $1"; }

# refuses TEXT ARGUMENT...: code 64, one line on stderr that holds TEXT, nothing on stdout.
refuses() {
    text=$1
    shift
    expect 64 "$ram_dist" "$@"
    says err "$text"
    [ "$(wc -l <err)" -eq 1 ] || fail "not one line: $*"
    grep -q '^ram_dist: error: ' err || fail "no 'ram_dist: error: ': $*"
    [ ! -s out ] || fail "an error printed to stdout: $*"
}

for help in --help -h help; do
    expect 0 "$ram_dist" $help
    says out "Usage: ram_dist [COMMAND]"
    for command in train eval config; do says out "  $command "; done
done
expect 0 "$ram_dist" --version
grep -Eq '^ram_dist [0-9]+\.[0-9]+\.[0-9]+ \(revision [^ ,]+, .+\)$' out || fail "version"
for command in train eval config; do
    expect 0 "$ram_dist" $command --help
    says out "Usage: ram_dist $command"
    says out "--config=FILE"
    says out "ram_dist config"
    cp out help
    expect 0 "$ram_dist" help $command
    cmp -s out help || fail "two helps of $command"
    [ ! -s err ] || fail "help of $command on stderr"
done
expect 0 "$ram_dist" --np 2 --help
says out "Usage: ram_dist train"

refuses "unknown command 'tain'; did you mean 'train'?" tain
refuses "unknown command ''" ''
refuses "unknown command 'configs/mnist.yaml'; \`ram_dist --help\`" configs/mnist.yaml
refuses "unknown command 'nothing'" help nothing
refuses "unknown option '--confg'; did you mean '--config'?" --confg x
refuses "--np is '0'" --np 0
refuses "--np is '0'" train --np 0
refuses "did you mean 'train.lr'?" --set train.lrr=1
refuses "did you mean 'train.lr'?" eval --set train.lrr=1
refuses "device is 'gpu' (--device)" --device gpu
refuses "unknown option '--resume'" eval --resume best
refuses "unknown option '--np'" config --np 2
refuses "unexpected argument 'x'" config x
refuses "absent.yaml: No such file" train --config absent.yaml

printf 'seed: 3\ntrain:\n  lr: 1e-2\n  lanse: 8\n' >bad.yaml
refuses "unknown key 'train.lanse' (bad.yaml:4); did you mean 'train.lanes'?" --config bad.yaml
refuses "train.lanes is 3, not a power of two" config --set train.lanes=3

expect 0 "$ram_dist" config
says out "train.lr               0.0003   real 0 to 1000                            free"
says out "    learning rate"
expect 0 "$ram_dist" config --resolved
says out "  lr: 0.0003"
cp out default.yaml
expect 0 "$ram_dist" config --config default.yaml
cmp -s out default.yaml || fail "the resolved defaults do not read back"
expect 0 "$ram_dist" config --config default.yaml --changed
[ "$(cat out)" = '{}' ] || fail "defaults count as changed"
printf 'seed: 3\ntrain:\n  lr: 1e-2\n' >small.yaml
expect 0 "$ram_dist" config --set train.lr=0.5 --config small.yaml --changed --device cpu
[ "$(cat out)" = "$(printf 'seed: 3\ndevice: cpu\ntrain:\n  lr: 0.5')" ] || fail "changed values"
if [ -c /dev/full ]; then
    for line in config --help --version "eval --help" "train --help" --man "config --set seed=1"; do
        # shellcheck disable=SC2086 # words
        "$ram_dist" $line >/dev/full 2>err
        code=$?
        : >out
        [ "$code" -eq 74 ] || fail "code $code instead of 74 on a full disk: $line"
        says err "ram_dist: error: cannot write"
    done
fi

[ "$failures" -eq 0 ] && echo "all as expected"
exit "$failures"
