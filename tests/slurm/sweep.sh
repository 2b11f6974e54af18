#!/usr/bin/env bash
# sweep.sh RAM_DIST: jobs/sweep.slurm over seeds and variants, and its table against the runs' own figures.
# shellcheck disable=SC1091,SC2154 # cluster.bash sets work, clone, job
. "$(dirname "$0")/cluster.bash"
fresh_clone 600 200
cluster -g 0 -c 32
small=(--config small.yaml --set train.epochs=2)
sweep=$clone/logs/small-sweep

queue_empties() { # or a minute has passed
    for _ in {1..600}; do
        squeue -h | grep -q . || break
        sleep 0.1
    done
}

array_ends() { # TASKS: all tasks of the array have ended well
    queue_empties
    [ "$(scontrol -o show job "$job" | grep -c 'JobState=COMPLETED.* ExitCode=0:0')" -eq "$1" ] ||
        fail "not $1 tasks of the array have ended well"
}

# --- three seeds of a configuration, as `sbatch` alone
submitted sbatch --mem=1G "$clone/jobs/sweep.slurm" "${small[@]}"
array_ends 3
cat sweep-"${job}"_*.out >out
says out "3 of 3 runs have ended"
says "$sweep/table.txt" "as_configured"
"$python" - "$sweep" >err 2>&1 <<'PYTHON' || fail "the table is not that of the runs"
import glob, json, re, statistics, sys
test, best, seeds = [], [], set()
for path in glob.glob(sys.argv[1] + "/as_configured-seed-*/metrics.jsonl"):
    rows = [json.loads(line) for line in open(path)]
    test.append([row for row in rows if row.get("split") == "test"][0]["error"])
    best.append(min(row["error"] for row in rows if row.get("split") == "validation"))
    seeds.add(re.search(r"(\d+)/metrics", path)[1])
assert seeds == {"1", "2", "3"} and len(set(test)) > 1, (seeds, test)
line = open(sys.argv[1] + "/table.txt").read().splitlines()[-1]
wanted = [statistics.mean(test), statistics.stdev(test), statistics.mean(best), statistics.stdev(best)]
found = [float(x) for x in re.fullmatch(r"as_configured +3 +(\S+) \+- (\S+) +(\S+) \+- (\S+)", line).groups()]
assert all(abs(a - b) < 0.00051 for a, b in zip(wanted, found)), (wanted, found)
PYTHON

# --- a task that is warned goes back into the queue alone, though Slurm gives the last one the number of the array
submitted sbatch --mem=1G --array=1-2 "$clone/jobs/sweep.slurm" "${small[@]}" --set train.epochs=300 --run-dir warned
trains warned/as_configured-seed-2
scancel --signal=USR2 --batch "${job}_2"
array_ends 2
restarts=$(scontrol -o show job "$job" | sed 's/.*ArrayTaskId=\([0-9]*\).* Restarts=\([0-9]*\).*/\1:\2/' | sort | xargs)
[ "$restarts" = "1:0 2:1" ] || fail "restarts of the tasks are $restarts, not 1:0 2:1"
says warned/table.txt "2 of 2 runs have ended"

# --- two seeds of three variants, by the script itself; what is wrong is told before
submitted "$clone/jobs/sweep.slurm" --seeds 2 --variants "$clone/configs/sweep.variants" "${small[@]}" --run-dir mine
array_ends 6
says mine/table.txt "6 of 6 runs have ended"
for variant in learned moving_average none; do
    grep -qE "^$variant +2 " mine/table.txt || fail "no row of two seeds for $variant"
    says "mine/$variant-seed-2/config.yaml" "baseline: $variant"
    says "mine/$variant-seed-2/config.yaml" "seed: 2"
done

# --- what failed or is missing is counted, and has its line; one seed has no deviation; runs of other settings are no part
printf '%s\n' 'good train.lr=0.002' 'bad train.nope=3' >some.variants
submitted "$clone/jobs/sweep.slurm" --seeds 1 --variants some.variants "${small[@]}" --run-dir lr=0.1
queue_empties
says lr=0.1/table.txt "1 of 2 runs have ended"
grep -qE '^good +1 +[0-9.]+ +[0-9.]+ *$' lr=0.1/table.txt || fail "not a row of one seed"
grep -qE '^bad +0 +- +-$' lr=0.1/table.txt || fail "a variant that failed has no row"
submitted sbatch --mem=1G --array=3-4 "$clone/jobs/sweep.slurm" --seeds 5 "${small[@]}" --set train.lr=0.1
queue_empties
cat sweep-"${job}"_*.out >out
says out "this array ends with task 4, but 5 seeds of 1 variants are 5 tasks"
says out "as_configured-seed-3 was made with other settings (train.lr=0.003)"
says out "1 of 5 runs have ended"

# --- reproduce.sh hands the same to an array, whose tasks measure their models; the last prints the row
cp small.yaml "$clone/configs/tiny.yaml"
submitted "$clone/jobs/reproduce.sh" tiny --seeds 2 --set train.epochs=2 --set augment.shift=1
array_ends 2
cat sweep-"${job}"_*.out >out
says out "| tiny, train.epochs=2, augment.shift=1 (augmented: shift 1) | 2 | "
"$python" - "$clone/logs/tiny-sweep" >err 2>&1 <<'PYTHON' || fail "the row is not that of the runs"
import glob, json, re, statistics, sys
columns = [[], [], [], [], []]
for run in glob.glob(sys.argv[1] + "/as_configured-seed-?"):
    for rollouts in 1, 10:
        errors = [json.loads(line)["error"] for line in open(f"{run}/eval-{rollouts}.jsonl") if line.startswith('{"kind":"eval"')]
        assert len(errors) == 3
        columns[0 if rollouts == 1 else 1].append(errors[0])
        columns[2 if rollouts == 1 else 3].append(errors[1])
        if rollouts == 1:
            columns[4].append(errors[2])
row = open(sys.argv[1] + "/rows.md").read().splitlines()[-1]
found = re.findall(r"([0-9.]+) \+- ([0-9.]+)", row)
wanted = [(f"{statistics.mean(c):.2f}", f"{statistics.stdev(c):.2f}") for c in columns]
assert found == wanted, (found, wanted)
PYTHON

# --- runs of other settings are no part of a row
submitted "$clone/jobs/reproduce.sh" tiny --seeds 3 --set train.epochs=1
queue_empties
cat sweep-"${job}"_*.out >out
says out "as_configured-seed-1 was made with other settings (augment.shift=1 train.epochs=2)"
grep -qE '^\| tiny, train.epochs=1 \| 1 \| [0-9.]+ \| ' "$clone/logs/tiny-sweep/rows.md" || fail "not a row of the third seed alone"
says "$clone/logs/tiny-sweep/rows.md" "over the seeds; computed on cpu ("
command_run 69 "$clone/jobs/reproduce.sh" tiny --device cuda # this cluster has no GPU
says err "Slurm refuses the job"
command_run 64 "$clone/jobs/reproduce.sh" tiny --np 2
says err "--np is for this machine"
command_run 64 "$clone/jobs/sweep.slurm" --seeds none "${small[@]}"
says err "sweep.slurm: error: --seeds is 'none'"
command_run 64 "$clone/jobs/sweep.slurm" --variants missing "${small[@]}"
says err "cannot read missing"
command_run 64 "$clone/jobs/sweep.slurm" --seeds= "${small[@]}"
says err "--seeds is ''"
# through a link it finds its folder; a copy of it does not take that of some job that Slurm has a record of
mkdir link copy
ln -s "$clone/jobs/sweep.slurm" link
command_run 0 link/sweep.slurm --seeds 1 --help
says out "one task per seed and variant"
cp "$clone/jobs/sweep.slurm" copy
command_run 64 copy/sweep.slurm --seeds 1
says err "its folder is not known"
echo "../up train.lr=1" >bad.variants
job=$(sbatch --parsable --array=2 --output=bad-%A.out "$clone/jobs/sweep.slurm" --variants bad.variants "${small[@]}")
ends FAILED 64 0
says out "is no name"
finish
