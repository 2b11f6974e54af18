#!/usr/bin/env bash
# trace.sh RAM_DIST: traces of a trained model and during a training: what they hold, where they lie, the same bits on
# any number of ranks and threads, and what happens when they cannot be written.
# shellcheck disable=SC1091,SC2154 # checks.bash sets work, ram_dist, here and python
. "$(dirname "$0")/checks.bash"
blobs data 600 203
small_model
export RAM_DATA=$work/data
settings=(--config small.yaml --set train.ema=0.9 --set eval.batch=64 --set train.epochs=3)
look() { "$python" "$here/trace.py" "$@" >"$work/out" 2>&1 || fail "trace.py $*"; }
leaves_nothing() { # FOLDER: no trace, no half of one
    [ -z "$(ls -A "$1" 2>/dev/null)" ] || fail "something is left in $1: $(ls -A "$1")"
}
ended_at() { # OPERATION: the first that did not happen any more
    if [ "$1" -lt 10 ] || [ "$1" -eq 40 ]; then fail "the campaign ended at operation $1"; fi
}
has_epochs() { # the traces of probed
    [ "$(echo probed/traces/*) $(find probed/traces -name '.*')" = "$(printf 'probed/traces/epoch-%s ' 0000 0002 0004)" ] ||
        fail "probed/traces holds $(ls -A probed/traces)"
}
run 0 "${settings[@]}" --run-dir one
best=$(readlink one/checkpoints/best)
checkpoint=one/checkpoints/$best/index.h5

# Where it lies, and what it holds.
run 0 trace one
quiet
full=one/traces/test-$best
says out "203 test images, 1 roll-out of 3 glimpses each"
says out "$full/index.h5"
look values "$full/index.h5" "$checkpoint" data
look facts "$full/index.h5" "step=$((10#${best#step-}))" split=test policy=sample "command=ram_dist trace one" \
    "checkpoint=$(realpath one)/checkpoints/$best" "checkpoint_hash=$(sed -n 's/^manifest //p' "one/checkpoints/$best/MANIFEST")"
h5dump -d /trace/location "$full/index.h5" >dump 2>&1 || fail "h5dump cannot show it"
says dump "DIMENSION_LIST"
lacks dump "DIMENSION_LABELS"
[ "$(grep -cE '^ +\([0-9]+,0,[0-9]+,0\)' dump)" -gt 0 ] || fail "h5dump shows no values"
look xarray "$full/index.h5"

# Its counts are those of the evaluation, whose roll-outs are all different.
for rollouts in 1 3; do
    run 0 trace one --rollouts $rollouts --output counts --name $rollouts
    run 0 eval one --set eval.rollouts=$rollouts --json
    cp out figures && cp err text
    look evaluation counts/$rollouts/index.h5 figures text
done

# The same bits on any number of ranks and threads; a batch that no segment's or lane's end falls on the end of.
for arguments in "--np 2" "--np 3" "--np 8" "--set threads=2" "--np 2 --set threads=2"; do
    # shellcheck disable=SC2086 # words
    run 0 trace one --force $arguments --output again
    quiet
    look same "$full/index.h5" "again/test-$best/index.h5"
done
[ -e "again/test-$best/shard-00000-of-00002.h5" ] || fail "not a shard for each rank"

# Parts of it, other splits and policies.
for limit in 1 2 5 63 64 65 202 203 1000; do
    run 0 trace one --limit $limit --np 3 --name limit$limit
    says out "$((limit < 203 ? limit : 203)) test images"
    look part one/traces/limit$limit/index.h5 "$full/index.h5"
done
run 0 trace one --rollouts 3 --np 2 --name three
look values one/traces/three/index.h5 "$checkpoint" data
look part "$full/index.h5" one/traces/three/index.h5
run 0 trace one --rollouts 3 --set eval.sigma_many=0.5 --set eval.sigma=0.1 --name many
run 0 trace one --rollouts 3 --set model.sigma=0.5 --name wide
look same one/traces/many/index.h5 one/traces/wide/index.h5
look differ one/traces/many/index.h5 one/traces/three/index.h5
for policy in mean random center; do
    run 0 trace one --set eval.policy=$policy --name $policy --split validation
    look values one/traces/$policy/index.h5 "$checkpoint" data
    look facts one/traces/$policy/index.h5 policy=$policy split=validation
done
run 0 trace one --split train --np 2
says out "540 train images"
look values "one/traces/train-$best/index.h5" "$checkpoint" data
run 0 trace one --set eval.batch=7 --name seven --limit 9
look values one/traces/seven/index.h5 "$checkpoint" data
run 0 trace one --set model.start=0.3 --name start --limit 50
look values one/traces/start/index.h5 "$checkpoint" data
run 0 trace one --set seed=9 --name seed
look differ one/traces/seed/index.h5 "$full/index.h5"
run 0 trace --checkpoint one/checkpoints/best --name named
look same "$full/index.h5" one/traces/named/index.h5
mkdir elsewhere && cp -r "one/checkpoints/$best" elsewhere/mine
run 0 trace elsewhere/mine
look same "$full/index.h5" "elsewhere/traces/test-$best/index.h5"

# What is there is not touched unasked, and replaced in one step.
cksum "$full"/* >before
for ranks in 1 2; do
    run 64 trace one --np $ranks
    error_has exists --force --name
done
cksum "$full"/* | diff before - || fail "a refused trace changed the old one"
run 64 trace one --name epoch-0042
error_has "give another name" # since the next training might set it aside
run 0 trace one --name epoch-42
run 0 trace one --force --limit 3
look part "$full/index.h5" one/traces/named/index.h5
"$ram_dist" trace one --force >/dev/null

# Only a trace is replaced, whatever --force says.
mkdir -p home/precious home/empty && echo thesis >home/precious/thesis.tex && echo file >home/file
ln -s "$work/$full" home/link && cp -r "one/checkpoints/$best" home/checkpoint && cp -r one home/run
cp -r "$full" home/half && rm home/half/MANIFEST
find home -type f -exec cksum {} + | sort >before
for name in precious empty file link checkpoint run half; do
    for ranks in 1 2; do
        run 64 trace one --np $ranks --output home --name $name --force
        error_has "home/$name exists and is no trace"
    done
done
find home -type f -exec cksum {} + | sort | diff before - || fail "--force changed what is no trace"
[ -z "$(find home -maxdepth 1 -name '.*')" ] || fail "something is left in home"
echo note >home/.tmp-precious
"$python" -c 'import sys; f = open(sys.argv[1], "r+b"); f.seek(-1, 2); f.write(b"?")' home/link/index.h5
run 0 trace one --output "${full%/*}" --force # a damaged one is
look values "$full/index.h5" "$checkpoint" data
[ -e home/.tmp-precious ] || fail "a file of somebody else's was swept"

# The command is stored as it was typed, and reads back in a shell.
run 0 trace --name "it's a \"trace\" \$HOME" one --np 2 --limit=5 --set "data.dir=$RAM_DATA"
stored=$("$python" -c 'import h5py, sys; print(h5py.File(sys.argv[1])["provenance"].attrs["command"].decode())' \
    "one/traces/it's a \"trace\" \$HOME/index.h5") || fail "no command is stored"
eval "words=($stored)"
[ "$(printf '<%s>' "${words[@]}")" = "<ram_dist><trace><--name><it's a \"trace\" \$HOME><one><--np><2><--limit=5><--set><data.dir=$RAM_DATA>" ] ||
    fail "stored: $stored"

# Wrong arguments.
for name in "" . .. .hidden a/b "$(printf 'n%.0s' {1..300})"; do
    run 64 trace one --name "$name"
    error_has "cannot be a trace's name"
done
refuses 64 "both 'one' and --checkpoint 'other' are given" trace one --checkpoint other
refuses 64 "both 'one' and --checkpoint 'one' are given" trace --np 2 --checkpoint one one
refuses 64 "--rollouts is '0'" trace one --rollouts 0
refuses 64 "--limit is 'many'" trace one --limit many
refuses 64 "--limit is '-1'" trace one --limit=-1
refuses 64 "--split is 'all'" trace one --split all
refuses 65 "there is no checkpoint" trace nothing
refuses 65 "is of a trace, not of a checkpoint" trace "$full"

# What a trace is, for people; a damaged one is refused by name.
run 0 inspect "$full"
quiet
for line in "trace              $full" "verification       MANIFEST and all hashes are right" "step               $((10#${best#step-}))" \
    "split              test" "policy             sample" "images             203" "roll-outs          1 of 3 glimpses each" \
    "checkpoint         $work/one/checkpoints/$best" "model.hidden               16 (default 256)" \
    "command                    ram_dist trace one"; do says out "$line"; done
cp -r "$full" worse
for file in worse/MANIFEST worse/index.h5 worse/shard-00000-of-00001.h5; do
    cp "$file" kept
    "$python" -c 'import sys; f = open(sys.argv[1], "r+b"); f.seek(70); f.write(b"?")' $file
    refuses 65 $file inspect worse
    refuses 65 $file inspect worse/index.h5
    rm $file
    refuses 65 worse inspect worse
    mv kept $file
done
run 0 inspect worse/index.h5

# One writer per name: two at once, and one of them is told so or comes later; what is there in the end is whole.
for _ in 1 2 3; do
    codes=()
    pids=()
    for writer in 1 2 3; do
        "$ram_dist" trace one --output crowd --name one --force --set seed=$writer >"out$writer" 2>"err$writer" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        code=0
        wait "$pid" || code=$?
        codes+=("$code")
        [ $code -eq 0 ] || [ $code -eq 64 ] || fail "a writer ended with $code"
    done
    [[ " ${codes[*]} " == *" 0 "* ]] || fail "nobody wrote"
    run 0 inspect crowd/one
    [ "$(ls -A crowd)" = one ] || fail "left behind: $(ls -A crowd)"
done

# What a killed one leaves is swept by the next in that folder, whatever its name.
{ RAM_FAULT=kill:6 "$ram_dist" trace one --output crowd --name dead >out 2>err; } 2>/dev/null
[ "$(find crowd -maxdepth 1 -name '.ram_dist-dead.*' | wc -l)" -eq 2 ] || fail "the killed one left $(ls -A crowd)"
run 0 trace one --output crowd --name two
[ "$(ls -A crowd)" = $'one\ntwo' ] || fail "not swept: $(ls -A crowd)"

# A limit on the size of files is an error like a full disk.
(
    ulimit -f 8
    timeout -k 5 90 "$ram_dist" trace one --output small >out 2>err
) && fail "a trace larger than ulimit -f was written"
error_has "File too large" "ulimit -f"
leaves_nothing small

# Every operation on the disk fails in turn: an error, and no trace, old or half.
run 0 trace one --output counted
for campaign in "1 enospc" "2 eio"; do
    read -r ranks fault <<<"$campaign"
    for operation in $(seq 1 40); do
        export RAM_FAULT=$fault:$operation
        timeout -k 5 90 "$ram_dist" trace one --np "$ranks" --output faulty >out 2>err
        code=$?
        [ $code -ne 0 ] || break
        [ $code -eq 74 ] || fail "exit code $code with $RAM_FAULT at np $ranks"
        error_has
        # a folder that was renamed, but not known to be synced, is whole
        if [ -e "faulty/test-$best" ]; then look same "$full/index.h5" "faulty/test-$best/index.h5"; fi
        rm -rf faulty/test-*
        leaves_nothing faulty
    done
    ended_at "$operation"
    rm -rf faulty
done
for operation in $(seq 1 40); do # killed in place of an operation while replacing: the old one, or the new one
    cp -r "$full" replaced
    export RAM_FAULT=kill:$operation
    mkdir -p faulty && rm -rf faulty/old && mv replaced faulty/old
    { timeout -k 5 90 "$ram_dist" trace one --output faulty --name old --force >out 2>err; } 2>/dev/null
    code=$?
    look same "$full/index.h5" faulty/old/index.h5
    [ $code -ne 0 ] || break
done
ended_at "$operation"
unset RAM_FAULT
run 0 trace one --output faulty --name old --force
[ "$(ls -A faulty)" = old ] || fail "left behind: $(ls -A faulty)"
touch plain
run 74 trace one --output plain
error_has plain

# During a training: a folder every second epoch and one of before the first; the training itself is the same.
unset RAM_FAULT
probe=(--set trace.every=2 --set trace.count=20 --set checkpoint.keep=9 --set train.epochs=4)
run 0 "${settings[@]}" "${probe[@]}" --run-dir probed
quiet
run 0 "${settings[@]}" --set checkpoint.keep=9 --set train.epochs=4 --run-dir plainly
"$python" "$here/check_run.py" same probed plainly || fail "traces change the training"
has_epochs
look facts probed/traces/epoch-0000/index.h5 step=0 epoch=0 split=validation checkpoint=
look facts probed/traces/epoch-0002/index.h5 step=34 epoch=2
look values probed/traces/epoch-0002/index.h5 probed/checkpoints/step-00000034/index.h5 data
run 0 trace probed/checkpoints/step-00000034 --split validation --limit 20 --np 2 --output again --name epoch
look same probed/traces/epoch-0002/index.h5 again/epoch/index.h5
cp -r probed/traces traces-before
rm -r probed/checkpoints/step-0000005* probed/checkpoints/step-0000006* # epochs 3 and 4 are trained again
run 0 --np 2 --config probed/config.yaml --run-dir probed --resume latest
look same probed/traces/epoch-0004/index.h5 traces-before/epoch-0004/index.h5
look same probed/traces/.bad-epoch-0004/index.h5 traces-before/epoch-0004/index.h5
rm -r probed/traces/.bad-epoch-0004
has_epochs

run 0 "${settings[@]}" --set trace.every=1 --set trace.count=1000 --set train.epochs=1 --run-dir few # images
run 0 inspect few/traces/epoch-0001
says out "images             60"
look values few/traces/epoch-0001/index.h5 few/checkpoints/latest/index.h5 data

# One that cannot be written is a warning, and the training goes on.
mkdir warned && ln -s /proc/self warned/traces # where nobody can make a folder
for ranks in 1 2; do
    run 0 "${settings[@]}" "${probe[@]}" --np $ranks --run-dir warned
    for epoch in 0 2 4; do says err "ram_dist: warning: no trace after epoch $epoch: cannot write the lock file"; done
    [ "$(wc -l <err)" -eq 3 ] || fail "not one warning a trace"
    "$python" "$here/check_run.py" same warned plainly || fail "a failed trace changes the training"
    rm -r warned/checkpoints warned/metrics.jsonl
done
finish
