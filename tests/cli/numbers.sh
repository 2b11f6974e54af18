#!/usr/bin/env bash
# numbers.sh RAM_DIST: numbers that go wrong: what is not finite is named with its step, replicas that differ with their
# rank, nothing is saved of either, and going back leads to the bits of a run in which it never happened.
# shellcheck disable=SC1091,SC2154 # checks.bash sets work, ram_dist, here and python
. "$(dirname "$0")/checks.bash"
blobs data 600 200
small_model
export RAM_DATA=$work/data
settings=(--config small.yaml --set train.epochs=8 --set checkpoint.seconds=0.01)
plain=(--config small.yaml --set train.epochs=8)
steep=2 # a learning rate that is too much for sgd, by far less than a factor of 16
rollback=(--set train.on_nan=rollback)
tensor=rnn.h2h.weight # the middle one of the layout, which RAM_FAULT strikes
run 0 "${settings[@]}" --run-dir whole # 17 steps an epoch

# saved RUN: the step of its newest checkpoint.
saved() { find "$1/checkpoints" -maxdepth 1 -name 'step-*' | sed 's/.*step-0*//' | sort -n | tail -n 1; }

# Not finite: stop, and go on without it; or go back by itself; or again and again, which ends.
for ranks in 1 3; do
    RAM_FAULT=nan:60 run 76 --np $ranks "${settings[@]}" --run-dir nan$ranks
    error_has "the gradient is not finite at step 60 (epoch 4), first in the gradient of $tensor" "train.lr"
    [ "$(saved nan$ranks)" -lt 60 ] || fail "something was saved after step 60"
    run 0 --np $ranks "${settings[@]}" --run-dir nan$ranks --resume auto
    check same whole nan$ranks

    RAM_FAULT=nan:60 run 0 --np $ranks "${settings[@]}" "${rollback[@]}" --run-dir back$ranks
    grep -q '^ram_dist: warning: .*not finite at step 60 .*oing back to the newest checkpoint (1 of at most 5' err ||
        fail "going back is not told"
    [ "$(wc -l <err)" -eq 1 ] || fail "not one warning"
    check same whole back$ranks

    RAM_FAULT=nan:60+ run 76 --np $ranks "${plain[@]}" "${rollback[@]}" --run-dir always$ranks
    [ "$(grep -c '^ram_dist: warning: ' err)" -eq 5 ] || fail "not five attempts"
    grep -q 'at 0.0625 of the learning rate (5 of at most 5' err || fail "the rate is not halved"
    tail -n 1 err | grep -q '^ram_dist: error: .*step 60' || fail "the last line is no error"
    run 0 --np $ranks "${plain[@]}" --run-dir always$ranks --resume auto
    check same whole always$ranks # nothing of the attempts is left
done
RAM_FAULT=nan:3 run 0 "${settings[@]}" "${rollback[@]}" --set checkpoint.seconds=0 --run-dir early # no checkpoint yet
check same whole early

# A training that really diverges: the loss is what shows it first, its tensors are named all the same.
run 76 --np 2 "${settings[@]}" --run-dir diverged --set train.lr=1000 --set train.optimizer=sgd
error_has "is not finite at step" "first in " "train.clip"
run 76 "${plain[@]}" --run-dir steep --set train.lr=$steep --set train.optimizer=sgd
run 0 "${plain[@]}" "${rollback[@]}" --run-dir cooled --set train.lr=$steep --set train.optimizer=sgd
says err "of the learning rate"
says out "lr 1.00e+00"
run 0 --run-dir cooled --resume auto "${rollback[@]}" --set train.epochs=10 # at the rate that it has come to
says out "going on at 0.5 of the learning rate"
says out "lr 1.00e+00"
lacks out "lr 2.00e+00"

# Going back within a course that began with another rate and another judge: to its beginning, where both begin anew,
# and to a checkpoint of its own, where they do not.
run 0 "${settings[@]}" --set train.epochs=4 --set train.lr=0 --set schedule.kind=plateau --set schedule.patience=1 \
    --run-dir turned
for fault in nan:70 nan:130 nan:9999; do # the last one never comes
    cp -r turned "turned.$fault"
    RAM_FAULT=$fault run 0 --run-dir "turned.$fault" --resume auto "${rollback[@]}" --set checkpoint.seconds=0.01 \
        --set train.epochs=8 --set train.lr=0.002 --set eval.rollouts=2
    [ $fault = nan:9999 ] || says err "oing back to the newest checkpoint"
done
for fault in nan:70 nan:130; do check same turned.nan:9999 turned.$fault; done

# One bit of one replica: named at the next check, or at the next save; two replicas cannot outvote each other.
for case in 3/0 3/2 4/1; do
    ranks=${case%/*} rank=${case#*/}
    RAM_FAULT=flip:61@$rank run 76 --np "$ranks" "${plain[@]}" --set check.every=5 --run-dir "flip$ranks$rank"
    error_has "rank $rank on $(uname -n) differs from the other ranks after step 65, first in param $tensor"
    [ "$(saved "flip$ranks$rank")" -eq 51 ] || fail "the newest checkpoint is not that of step 51"
    run 0 --np "$ranks" --run-dir "flip$ranks$rank" --resume auto --set check.every=5
    check same whole "flip$ranks$rank"
done
RAM_FAULT=flip:61@1 run 76 --np 3 "${plain[@]}" --set check.every=0 --run-dir unchecked
error_has "rank 1 on " "after step 68" # the epoch's end
[ "$(saved unchecked)" -eq 51 ] || fail "a checkpoint of differing replicas"
RAM_FAULT=flip:61@0 run 76 --np 2 "${plain[@]}" --set check.every=1 --run-dir two
error_has "rank 1 on $(uname -n) and rank 0 differ after step 61"
RAM_FAULT=flip:61@1 run 0 --np 3 "${plain[@]}" "${rollback[@]}" --set check.every=5 --run-dir cured
says err "differs from the other ranks after step 65"
check same whole cured
RAM_FAULT=flip:0@1 run 76 --np 3 "${plain[@]}" --run-dir first # initial parameters
error_has "rank 1 on " "after step 0, first in param $tensor"
RAM_FAULT=flip:61@0 run 0 "${plain[@]}" --set check.every=1 --run-dir alone # one rank has no one to differ from

# Requests that make no sense.
for fault in nan: nan:0 nan:x nan:5@1 flip:5 flip:5@x flip:5@1+ nan:5++; do
    RAM_FAULT=$fault refuses 64 "RAM_FAULT" "${plain[@]}" --run-dir refused
done

# Ranks of another build.
sed 's/revision %s/revisioN %s/' "$ram_dist" >other && chmod +x other
! cmp -s "$ram_dist" other || fail "no other build was made"
# shellcheck disable=SC2016 # the rank's shell expands it
command_run 69 "$here/../mpirun.sh" 3 sh -c '[ "$OMPI_COMM_WORLD_RANK" -eq 1 ] && exec ./other "$@"; exec "$0" "$@"' \
    "$ram_dist" "${plain[@]}" --run-dir builds
error_has "rank 1 is " "same build"
finish
