#!/bin/sh
# kill_campaign.sh STORE_CASE MPIRUN FOLDER RANKS: kills a rank of a save before each of its file operations in turn; the
# set from before or the new one must be found, whole, on another number of ranks, and the next save must go through.
set -eu
case=$1 mpirun=$2 folder=$3 ranks=$4
old=6 new=7
mkdir -p "$folder"
for victim in $(seq 0 $((ranks - 1))); do
    n=0 killed=1
    while [ $killed = 1 ]; do
        n=$((n + 1))
        rm -rf "$folder/run"
        "$mpirun" 1 "$case" save "$folder/run" 6 $old
        killed=0
        "$mpirun" "$ranks" "$case" save "$folder/run" 7 $new "kill:$n@$victim" > "$folder/log" 2>&1 || killed=1
        found=$("$mpirun" 1 "$case" load "$folder/run" auto $old $new) ||
            { echo "rank $victim killed at $n: no whole set"; exit 1; }
        [ $killed = 1 ] || [ "$found" = $new ]
        [ $n -lt 60 ] || { cat "$folder/log"; exit 1; } # fails for another reason
    done
    [ $n -gt 3 ] || { echo "rank $victim was never killed"; exit 1; }
    "$mpirun" "$ranks" "$case" save "$folder/run" 8 8
    [ "$("$mpirun" 1 "$case" load "$folder/run" latest 8)" = 8 ]
    echo "rank $victim of $ranks: killed at $((n - 1)) operations"
done
