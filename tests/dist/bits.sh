#!/bin/sh
# bits.sh BITS: the program tests/dist/bits.c prints the same lines on every number of ranks and threads.
set -u
bits=$1
mpirun=$(dirname "$0")/../mpirun.sh
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0
lines=24 # hashes that the six models of any CPU print
grep -qw avx512_bf16 /proc/cpuinfo && lines=28 # and the one with bf16 products

for pair in 1x1 1x2 2x1 2x2 4x1 8x1 3x1 5x1 1x5 3x2; do
    ranks=${pair%x*}
    threads=${pair#*x}
    if [ "$ranks" -eq 1 ]; then
        timeout -k 5 60 "$bits" "$threads" >"$work/$pair" 2>"$work/err"
    else
        timeout -k 5 60 "$mpirun" "$ranks" "$bits" "$threads" >"$work/$pair" 2>"$work/err"
    fi
    code=$?
    if [ $code -ne 0 ]; then
        echo "FAILED: $ranks ranks x $threads threads end with code $code"
        cat "$work/err"
        failures=$((failures + 1))
    fi
    # a note about capped threads is not a result
    grep -E '^[a-z0-9]+ [a-z/]+ [0-9a-f]{32}$' "$work/$pair" >"$work/$pair.lines"
    if [ "$(wc -l <"$work/$pair.lines")" -ne $lines ]; then
        echo "FAILED: $ranks ranks x $threads threads: not $lines lines"
        cat "$work/$pair"
        failures=$((failures + 1))
    elif ! diff "$work/1x1.lines" "$work/$pair.lines"; then
        echo "FAILED: $ranks ranks x $threads threads: other bits than 1 x 1 (lines with >)"
        failures=$((failures + 1))
    fi
done

# The lines say something: no two models, and no two vectors of one, are alike.
if [ "$(cut -d' ' -f3 "$work/1x1.lines" | sort -u | wc -l)" -ne $lines ]; then
    echo "FAILED: two lines are alike"
    cat "$work/1x1.lines"
    failures=$((failures + 1))
fi
[ "$failures" -eq 0 ] || exit 1
echo "bits: the same on all"
