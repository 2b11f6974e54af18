# shellcheck shell=bash
# common.bash: what the scripts of this folder share. Sourced; first what all of them need (errors, arguments, the
# build, a training and signals), then what happens in a Slurm job: checks, submission, the end and the way back into
# the queue.
# A script sets before: script (its name); a job also jobs (this folder) and its site's MODULES, PROGRAM, LAUNCHER,
# REQUEUES, DEVICE, GPU_CODE, and GPU_OPTIONS where DEVICE is cpu.
# shellcheck disable=SC2034,SC2153,SC2154 # those, and what is set here for the scripts
set -euo pipefail
unset CDPATH # with it `cd` prints where it went

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build/release

fail() { # CODE MESSAGE
    echo "$script: error: $2" >&2
    exit "$1"
}

tell() { echo "$script: $1"; }

help() { # FILE: its head, up to what is not for people
    sed -n '1d; /^#SBATCH\|^# shellcheck\|^[^#]/q; s/^#\( \|$\)//p' "$1"
}

help_if_asked() { # FILE ARGUMENTS...
    local argument
    for argument in "${@:2}"; do
        case $argument in
        -h | --help) help "$1" && exit ;;
        esac
    done
}

quietly() { # WHAT COMMAND...: shows the output only when the command fails
    local what=$1 code=0
    shift
    "$@" >"$build/build.log" 2>&1 </dev/null || code=$?
    [ $code -eq 0 ] && return
    tail -n 60 "$build/build.log" >&2
    fail 70 "$what failed; all of its output is in $build/build.log"
}

# What the arguments of ram_dist say about what the scripts decide themselves.
np='' config='' run_dir='' resume='' device='' own_data=${RAM_DATA-} settings=() places=()
read_setting() { # key=value; settings: what decides the figures of a run, places: where it computes and reads
    case $1 in
    run.dir=*) run_dir=${1#*=} ;;
    data.dir=*) own_data=${1#*=} places+=(--set "$1") ;;
    device=*) device=${1#*=} places+=(--set "$1") ;;
    *) settings+=(--set "$1") ;;
    esac
}
configured() { # SECTION FILE: the folder `dir` of the section data or run in a YAML file, however it is written
    awk -v section="$1" '
        function value(text) { sub(/ +#.*/, "", text); gsub(/^[ "'"'"']+|[ "'"'"'},]+$/, "", text); return text }
        /^[^ #]/ { inside = index($0, section ":") == 1 }
        index($0, section ".dir:") == 1 { sub(/^[^:]*:/, ""); print value($0); exit }
        inside && /(^ +|[{,] *)dir:/ { sub(/.*dir:/, ""); sub(/,.*/, ""); print value($0); exit }' "$2"
}
read_arguments() {
    local option value whole
    while [ $# -gt 0 ]; do
        [[ $1 != -[!-]?* ]] || set -- "-$1" "${@:2}" # ram_dist takes -set, too
        option=${1%%=*} value=${1#*=}
        case $1 in
        --np | -n | --config | --run-dir | --resume | --device | --set)
            [ $# -ge 2 ] || fail 64 "$1 needs a value"
            value=$2
            shift
            ;;
        esac
        for whole in --np --config --run-dir --resume --device --set; do # ram_dist takes what begins so, too
            [[ $option != --?* || $option = "$whole" || $whole != "$option"* ]] ||
                fail 64 "$option is not clear: write all of the option, $whole"
        done
        case $option in
        --np | -n) np=$value ;;
        --config) config=$value ;;
        --run-dir) run_dir=$value ;;
        --resume) resume=$value ;;
        --device) device=$value places+=(--device "$value") ;;
        --set) read_setting "$value" ;;
        esac
        shift
    done
    # a configuration with a folder of its own for the data: the program judges it
    if [ -f "$config" ]; then
        [ -z "$(configured data "$config")" ] || own_data=$config
        [ -n "$run_dir" ] || run_dir=$(configured run "$config")
    fi
}

keys() { # CONFIG SETTINGS...: what ram_dist makes of them, section.key=value, a key a line
    "$program" config --resolved --config "$@" | awk -F ': *' '/^[^ ]/ { section = $1 }
        $2 != "" { sub(/^ */, "", $1); print ($1 == section ? "" : section ".") $1 "=" $2 }'
}

# Where a training takes a GPU, one: what several gain has not been measured. Else as many as this machine has cores, and
# no more than the configuration has lanes.
ranks_here() { # CONFIG SETTINGS...
    local ranks resolved facts lanes
    resolved=$(keys "$@") || return
    if ! grep -qx 'device=cpu' <<<"$resolved"; then
        facts=$("$program" doctor --config "$@" 2>/dev/null) || true # it judges more than GPUs
        ! grep -q '^ok *CUDA *works' <<<"$facts" || { echo 1 && return; }
    fi
    ranks=$(nproc)
    lanes=$(sed -n 's/^train\.lanes=//p' <<<"$resolved")
    [ "$ranks" -le "${lanes:-$ranks}" ] || ranks=$lanes
    echo "$ranks"
}

build_program() { # [CMAKE OPTIONS OF A NEW BUILD FOLDER...]: one process at a time; the kernel gives the lock back
    local lock options=()
    program=$build/ram_dist
    { mkdir -p "$build" && : >>"$build/build.log" && : >>"$build/.lock"; } 2>/dev/null ||
        fail 74 "cannot write to $build, where the program is built"
    exec {lock}>"$build/.lock"
    flock "$lock"
    # The tests need more packages than the program; a build folder that has them keeps them.
    [ -f "$build/CMakeCache.txt" ] || options=(-DRAM_TESTS=OFF)
    [ -x "$program" ] || echo "building $program"
    echo "${SLURM_JOB_ID-}" >"$build/.unfinished" # for a job that goes on after it was ended here
    quietly "configuring" cmake -S "$root" --preset release "${options[@]}"
    quietly "building" cmake --build "$build" --target ram_dist
    rm "$build/.unfinished"
    exec {lock}>&-
}

# --- a training and the signals that come to its script

# Those that Slurm sends are passed on as USR1, which srun and mpirun hand to their ranks; TERM would end those. After
# TERM Slurm is ending the job itself (scancel, time limit, preemption): it decides whether it returns.
ranks='' asked=${asked-} ending='' unbegun=''
take_warning() { # [SIGNAL]: what to hand on
    asked=yes
    [ -z "$ranks" ] || kill "-${1:-USR1}" "$ranks" 2>/dev/null || true
}
take_end() {
    ending=yes
    take_warning
}

# Where there is no job each of them asks the training to stop, which would go on by itself. Ctrl-C is handed on as such,
# since a second one ends it at once.
take_signals() {
    asked='' # whatever the environment says
    trap take_warning USR1 USR2 TERM HUP
    trap 'take_warning INT' INT
}

run_ranks() { # COMMAND...: returns its exit code
    local code=75 started
    unbegun='before the ranks had begun'
    [ -z "$asked" ] || return $code
    (in_job || trap - INT QUIT; exec "$@") </dev/null & # bash has what it starts beside itself ignore both
    started=$!
    sleep 0.1 # a signal to it before exec is lost
    ranks=$started
    [ -z "$asked" ] || take_warning
    while kill -0 "$ranks" 2>/dev/null; do wait "$ranks" || true; done # a signal ends wait, not the ranks
    code=0
    wait "$ranks" || code=$?
    ranks=''
    # 138 is USR1 itself: it came before the ranks could listen, so they have nothing to save
    if [ $code -eq 138 ] && [ -n "$asked" ]; then code=75; else unbegun=''; fi
    return $code
}

# --- from here on: jobs

# Whether this is the job itself, and not a program that somebody runs, be it within an allocation.
in_job() { [ "${SLURM_TASK_PID-}" = $$ ]; }

load_modules() {
    local file
    [ -n "$MODULES" ] || return 0
    set +eu # the module command of no site is written for them
    for file in /etc/profile.d/{modules,lmod,z00_lmod}.sh; do
        # shellcheck disable=SC1090 # the site's
        type module >/dev/null 2>&1 || { [ ! -r "$file" ] || . "$file"; }
    done
    # shellcheck disable=SC2086 # names are words
    module load $MODULES || fail 69 "cannot load the modules '$MODULES': correct MODULES in jobs/$script"
    set -eu
}

check_toolkit() { # that it can build for the GPUs of this script
    local nvcc version
    [ -n "$GPU_CODE" ] && [ "$device" != cpu ] && [ -z "$PROGRAM" ] || return 0
    nvcc=$(command -v nvcc || command -v /usr/local/cuda/bin/nvcc) ||
        fail 69 "no nvcc in PATH: name the CUDA toolkit's module in MODULES of jobs/$script, or train with --device cpu"
    "$nvcc" --list-gpu-code | grep -qx "$GPU_CODE" && return
    version=$("$nvcc" --version | sed -n 's/.*release \([0-9.]*\).*/\1/p')
    fail 69 "CUDA $version ($nvcc) cannot build for $GPU_CODE: load another in MODULES of jobs/$script \
(sm_70, the V100, needs CUDA 12 or older; sm_90, the H200, 11.8 or newer)"
}

check_data() { # where nobody named another folder
    local name data=$root/data/mnist
    [ -z "$own_data" ] || return 0
    [ -e "$root/CMakeLists.txt" ] || [ -e "$data" ] || data=$PWD/data/mnist # installed, where not everyone may write
    while read -r _ name; do
        [ -e "$data/$name" ] || [ -e "$data/$name.gz" ] || {
            in_job || { "$root/data/fetch_mnist.sh" "$data" && break; }
            fail 64 "$data lacks $name: run data/fetch_mnist.sh where there is a network, or set RAM_DATA"
        }
    done <"$root/data/checksums.sha256"
    ! in_job || export RAM_DATA=$data
}

check_all() {
    load_modules
    check_toolkit
    check_data
}

submit() { # SBATCH OPTIONS... -- ARGUMENTS...: checks what can be checked here, then sbatch. Does not return.
    local options=() reason
    command -v sbatch >/dev/null || fail 69 "no sbatch in PATH, so this is no Slurm cluster: jobs/local.sh trains here"
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    check_all
    reason=$(sbatch --test-only "${options[@]}" "$jobs/$script" 2>&1) ||
        fail 69 "Slurm refuses the job: ${reason##*: } (partition and resources stand at the top of jobs/$script)"
    exec sbatch "${options[@]}" "$jobs/$script" "$@"
}

choose_launcher() { # sets launch: the command that starts one rank per task
    export SLURM_EXPORT_ENV=ALL # sbatch --export=NONE is about the script, not what it sets; mpirun's daemons come by srun
    [ "$LAUNCHER" != auto ] || LAUNCHER=$([[ $(srun --mpi=list 2>&1) == *pmix* ]] && echo srun || echo mpirun)
    case $LAUNCHER in
    srun)
        launch=(srun --mpi=pmix --wait=30) # else the other nodes' ranks wait for one that has died, for comm.timeout
        # Slurm's barrier over a tree of nodes, which it takes where no data go along, was seen to let nodes pass before
        # all had come (22.05, PMIx 4.2); messages then reach ranks that are not ready for them, and Open MPI crashes
        export SLURM_PMIX_FENCE=${SLURM_PMIX_FENCE:-ring}
        ;;
    mpirun) # by itself it binds a rank to one core or socket, and hands on no variables but its own
        launch=(mpirun --quiet --bind-to none)
        [ -z "${RAM_DATA-}" ] || launch+=(-x RAM_DATA)
        [ -z "${LD_LIBRARY_PATH-}" ] || launch+=(-x LD_LIBRARY_PATH)
        ;;
    *) fail 64 "LAUNCHER is '$LAUNCHER': make it auto, srun or mpirun in jobs/$script" ;;
    esac
    # from 22.05 on srun no longer takes this from the job
    [ -z "${SLURM_CPUS_PER_TASK-}" ] || export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
}

choose_program() {
    if [ -n "$PROGRAM" ]; then
        program=$PROGRAM
    elif [ ! -e "$root/CMakeLists.txt" ]; then # installed: share/ram_dist/jobs, bin/ram_dist
        program=$root/../../bin/ram_dist
    elif [ -n "${SLURM_RESTART_COUNT-}" ] && [ -x "$build/ram_dist" ] && ! grep -qsx "$SLURM_JOB_ID" "$build/.unfinished"; then
        program=$build/ram_dist # a job that goes on keeps the program that it began with
    else
        command -v cmake >/dev/null || fail 69 "no cmake in PATH to build $build/ram_dist: load it in MODULES of jobs/$script"
        build_program
    fi
    [ -x "$program" ] || fail 69 "$program is no program: correct PROGRAM in jobs/$script"
}

# job_begin ARGUMENTS...: in the job: all is checked, built and chosen; elsewhere: checked and submitted.
job_begin() {
    help_if_asked "$jobs/$script" "$@"
    read_arguments "$@"
    [ -n "$config" ] || { config=$root/configs/mnist.yaml && ours+=(--config "$config"); }
    [ -n "$device" ] || { device=$DEVICE && ours+=(--device "$device"); }
    # shellcheck disable=SC2206 # options are words
    [ "$device" != cuda ] || array+=(${GPU_OPTIONS-})
    in_job || submit "${array[@]}" -- "${again[@]}" "$@"
    trap take_warning USR1 USR2
    trap take_end TERM
    check_all
    choose_program
    choose_launcher
    logs=$root/logs
    [ -e "$root/CMakeLists.txt" ] || logs=$PWD/logs
    name=$(basename "$config")
    name=${name%.y*ml}
    tell "job $SLURM_JOB_ID${SLURM_RESTART_COUNT:+, restart $SLURM_RESTART_COUNT}: \
$SLURM_NTASKS ranks on $SLURM_JOB_NODELIST by ${launch[*]:0:2}"
}
# what the script itself says to ram_dist and to sbatch, and what read_sweep took out of the arguments
ours=() array=() again=()

put_back() { # JOB: Slurm may have done so itself, where a node was lost, and its TERM reaches scontrol, too
    (trap '' TERM && exec scontrol requeue "$1") || [[ $(scontrol show job "$1") =~ JobState=(PENDING|REQUEUED) ]]
}

stopped_early() { # a job goes back into the queue; returns where there is none, or that cannot be
    in_job || { tell "stopped early; the same command goes on from there" || true; return 0; } # nobody may be reading
    local job=$SLURM_JOB_ID reason='' # in an array that of the last task is the whole array's
    [ -z "${SLURM_ARRAY_TASK_ID-}" ] || job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
    [ -n "$unbegun" ] || reason=$(tail -n 1 "$run_dir/run.log" 2>/dev/null) || true # else it is of an earlier start
    if [ -n "$ending" ]; then
        tell "Slurm ends this job; the same command goes on from the checkpoint"
    elif [[ $reason == *"asked by the file \`stop\`"* ]]; then
        tell "somebody stopped it by the file $run_dir/stop; the same command goes on"
    elif [[ $reason == *"train.time_limit of"* ]]; then
        tell "its train.time_limit has passed; the same command goes on"
    elif [ "${SLURM_RESTART_COUNT:-0}" -ge "$REQUEUES" ]; then
        tell "stopped after $REQUEUES restarts (REQUEUES in jobs/$script); the same command goes on"
    elif put_back "$job"; then
        tell "stopped ${unbegun:-early, a checkpoint is saved}: back into the queue"
        exit 0
    else
        tell "stopped early; Slurm refuses to requeue the job: the same command goes on"
    fi
}

# train ARGUMENTS...: in run_dir, from the beginning or going on; returns the exit code.
train() {
    local going_on=() code=0
    [ -n "$run_dir" ] || { run_dir=$logs/$name && ours+=(--run-dir "$run_dir"); }
    # what --resume said is for a run that has no checkpoint of its own yet
    [ -n "$resume" ] && ! compgen -G "$run_dir/checkpoints/step-*" >/dev/null || going_on=(--resume auto)
    run_ranks "${launch[@]}" "$program" train "${ours[@]}" "$@" "${going_on[@]}" || code=$?
    [ $code -ne 75 ] || stopped_early
    return $code
}

# --- a sweep: an array of jobs over seeds and variants

variants='' seeds='' measuring='' rest=()
take_seeds() {
    [[ $1 =~ ^[1-9][0-9]{0,3}$ ]] || fail 64 "--seeds is '$1': give a number from 1 on"
    seeds=$1
}
read_sweep() { # takes the options of a sweep out of the arguments
    while [ $# -gt 0 ]; do
        case $1 in
        --variants | --seeds) [ $# -ge 2 ] || fail 64 "$1 needs a value" ;;
        esac
        case $1 in
        --variants) variants=$2 && shift ;;
        --variants=*) variants=${1#*=} ;;
        --seeds) take_seeds "$2" && shift ;;
        --seeds=*) take_seeds "${1#*=}" ;;
        --measure) measuring=yes ;;
        seed=* | --set=seed=* | -set=seed=*) fail 64 "${1#*set=} contradicts --seeds, which trains the seeds from 1 on: leave it out" ;;
        *) rest+=("$1") ;;
        esac
        shift
    done
    lines=(as_configured)
    if [ -n "$variants" ]; then
        [ -r "$variants" ] || fail 64 "cannot read $variants, the file of --variants"
        mapfile -t lines < <(sed 's/\r$//; s/\(^\|[ \t]\)#.*//; /^[ \t]*$/d' "$variants")
        [ ${#lines[@]} -gt 0 ] || fail 64 "$variants holds no variant: write a name and key=value on each line"
        twice=$(printf '%s\n' "${lines[@]}" | awk 'seen[$1]++ { print $1; exit }')
        [ -z "$twice" ] || fail 64 "$variants names '$twice' twice: each variant has a folder of its name"
        for line in "${lines[@]}"; do read_variant "$line"; done
    fi
    if ! in_job; then
        seeds=${seeds:-3}
        array=("--array=1-$((seeds * ${#lines[@]}))")
        again=(--seeds "$seeds")
        [ -z "$variants" ] || again+=(--variants "$variants")
        [ -z "$measuring" ] || again+=(--measure)
    fi
}

read_variant() { # LINE: sets variant_name, variant (arguments)
    local words word
    read -ra words <<<"$1"
    variant_name=${words[0]} variant=()
    [[ $variant_name =~ ^[A-Za-z0-9_][A-Za-z0-9._-]*$ ]] || fail 64 "'$variant_name' in $variants is no name: take letters and digits"
    for word in "${words[@]:1}"; do
        [[ $word != seed=* ]] || fail 64 "the variant $variant_name in $variants sets the seed, which --seeds does: leave $word out"
        variant+=(--set "$word")
    done
}

choose_variant() { # of this task: sets seed, variant (arguments), run_dir
    local task=${SLURM_ARRAY_TASK_ID-}
    [ "${task:-0}" -ge 1 ] || fail 64 "this is no task of an array from 1 on: submit it with --array=1-N"
    sweep=${run_dir:-$logs/$name-sweep}
    [[ $sweep = /* ]] || sweep=./$sweep # awk takes a=b/file for an assignment
    read_variant "${lines[(task - 1) % ${#lines[@]}]}"
    seed=$((1 + (task - 1) / ${#lines[@]}))
    seeds=${seeds:-$(((SLURM_ARRAY_TASK_MAX + ${#lines[@]} - 1) / ${#lines[@]}))}
    run_dir=$sweep/$variant_name-seed-$seed
    [ "$SLURM_ARRAY_TASK_MAX" -ge $((seeds * ${#lines[@]})) ] || tell "this array ends with task $SLURM_ARRAY_TASK_MAX, \
but $seeds seeds of ${#lines[@]} variants are $((seeds * ${#lines[@]})) tasks: jobs/$script submits them all"
}

sweep_task() { # ARGUMENTS...
    choose_variant
    if [ -n "$measuring" ]; then
        check_policy
        check_made_so
    else
        check_made_so train.epochs # more of them go on
    fi
    train "$@" --set "seed=$seed" "${variant[@]}" --run-dir "$run_dir"
    [ -z "$measuring" ] || measure "${launch[@]}"
    print_table
}

print_table() { # of the runs that have ended so far; under a lock, since tasks may end together
    local lock line names=() files=() found
    exec {lock}>"$sweep/.lock"
    flock "$lock"
    if [ -n "$measuring" ]; then
        print_rows
    else
        for line in "${lines[@]}"; do
            read_variant "$line"
            names+=("$variant_name")
            find_made metrics.jsonl
            files+=("${found[@]}")
        done
        awk -v planned=$((seeds * ${#lines[@]})) -v names="${names[*]}" -f "$jobs/sweep_table.awk" "${files[@]}" \
            </dev/null >"$sweep/table.txt"
        cat "$sweep/table.txt"
    fi
    exec {lock}>&-
}

# --- rows of configs/RESULTS.md: what reproduce.sh and a sweep with --measure make of the runs of a configuration

deciding_keys() { # CONFIG SETTINGS...: those of the keys that decide the figures of a run
    keys "$@" | sed -E '/^((device|threads)=|(run|checkpoint|trace|check|comm)\.|[a-z]+\.(dir|time_limit|graph|classes)=)/d'
}

check_policy() { # before the first hour of training: random and centre glimpses are measured beside the policy's
    local policy
    policy=$(keys "$config" "${settings[@]}" "${variant[@]}" | sed -n 's/^eval\.policy=//p') || exit 64
    [[ $policy = sample || $policy = mean ]] || fail 64 "eval.policy is $policy, which is measured anyway: leave it out"
}

differences() { # RUN SEED: what its configuration has other than these settings would
    diff <(deciding_keys "$1/config.yaml") <(deciding_keys "$config" "${settings[@]}" --set "seed=$2" "${variant[@]}") |
        sed -n 's/^< //p' | xargs
}

check_made_so() { # [KEY THAT MAY DIFFER]: the run in run_dir, if there is one, by these settings: others would make a row
    # that says what is not so
    local differ
    [ -e "$run_dir/config.yaml" ] || return 0
    differ=$(differences "$run_dir" "$seed" | xargs -n 1 | grep -v "^${1:-none}=" | xargs) || true
    [ -z "$differ" ] || fail 64 "$run_dir was made with other settings ($differ): remove it, or ask for the same"
}

measure() { # [COMMAND THAT STARTS RANKS...]: errors of the run's best model on the test set into errors.txt: M = 1 and
    # M = 10, each the policy's, of random and of centre glimpses. Figures that are newer than the model stay (remove
    # errors.txt to measure anew), unless other data are named: whether they are the training's is seen by evaluating.
    local rollouts errors='' figures code
    [ -n "$own_data" ] ||
        [ -z "$(find "$run_dir/errors.txt" -newer "$run_dir/checkpoints/best" 2>/dev/null)" ] || return 0
    for rollouts in 1 10; do
        figures=$run_dir/eval-$rollouts.jsonl code=0
        run_ranks "$@" "$program" eval "$run_dir" --json "${places[@]}" --set "eval.rollouts=$rollouts" >"$figures.new" 2>"$figures.err" || code=$?
        cat "$figures.err" >&2
        [ $code -ne 75 ] || stopped_early
        [ $code -eq 0 ] || exit $code
        ! grep -q 'not those that the checkpoint was trained on' "$figures.err" ||
            fail 64 "$run_dir was trained on other images than these: remove it, or name its data"
        rm "$figures.err"
        mv "$figures.new" "$figures"
        errors+=" $(sed -n 's/.*"error":\([0-9.]*\),.*/\1/p' "$figures" | xargs)"
    done
    [ "$(wc -w <<<"$errors")" -eq 6 ] || fail 70 "$run_dir/eval-1.jsonl and eval-10.jsonl do not say three errors each"
    echo "$errors" >"$run_dir/errors.new"
    mv "$run_dir/errors.new" "$run_dir/errors.txt"
}

find_made() { # FILE: sets found: it, of those runs of the variant that have it and were made so
    local seed run
    found=()
    for ((seed = 1; seed <= seeds; seed++)); do
        run=$sweep/$variant_name-seed-$seed
        [ ! -e "$run/$1" ] || [ -n "$(differences "$run" "$seed")" ] || found+=("$run/$1")
    done
}

make_row() { # of the variant, over those of its runs that were made so and have been measured: adds to rows, made
    local setting augmented title=$name found
    find_made errors.txt
    [ -z "$variants" ] || title+=", $variant_name"
    for setting in "${settings[@]}"; do [ "$setting" = --set ] || title+=", $setting"; done
    [ ${#found[@]} -gt 0 ] || { rows+=("| $title | 0 | not run | not run | not run | not run | not run |") && return; }
    made+=("${found[@]%/*}")
    augmented=$(deciding_keys "${found[0]%/*}/config.yaml" | awk -F = 'sub(/^augment\./, "") && $2 != 0 { print $1, $2 }' | paste -sd ,)
    rows+=("$(cat "${found[@]}" | awk -v name="$title${augmented:+ (augmented: ${augmented//,/, })}" '
        { for (i = 1; i <= 5; i++) { sum[i] += $i; square[i] += $i * $i } }
        function entry(i) {
            if (NR == 1) return sprintf("%.2f", sum[i])
            variance = (square[i] - sum[i] * sum[i] / NR) / (NR - 1)
            return sprintf("%.2f +- %.2f", sum[i] / NR, sqrt(variance > 0 ? variance : 0))
        }
        END { printf "| %s | %d | %s | %s | %s | %s | %s |\n", name, NR, entry(1), entry(4), entry(2), entry(5), entry(3) }')")
}

computed_on() { # RUNS...: what computed them, as their logs say
    local run
    for run; do [ ! -e "$run/run.log" ] || cat "$run/run.log"; done |
        awk 'sub(/.* x [0-9]+ threads? on /, "") && sub(/, messages by .*/, "") && !seen[$0]++' | paste -sd ';' | sed 's/;/; /g'
}

print_rows() {
    local line on rows=() made=()
    for line in "${lines[@]}"; do
        read_variant "$line"
        make_row
    done
    on=$(computed_on "${made[@]}")
    {
        echo "Test error in percent, mean and sample standard deviation over the seeds${on:+; computed on $on}:"
        echo
        echo "| task | seeds | M = 1 | M = 10 | random glimpses, M = 1 | M = 10 | centre alone, M = 1 |"
        echo "|---|---|---|---|---|---|---|"
        printf '%s\n' "${rows[@]}"
    } | tee "$sweep/rows.md"
}

# --- scaling: the same benchmark on more and more ranks

bench_ranks() { # RANKS COMMAND...: prints images/s and the share of the reduction in a step
    local ranks=$1 per_node=$(((SLURM_NTASKS + SLURM_JOB_NUM_NODES - 1) / SLURM_JOB_NUM_NODES)) figures code=0
    shift
    local nodes=$(((ranks + per_node - 1) / per_node)) start=("${launch[@]}" -n "$ranks")
    [ "${launch[0]}" != srun ] || start+=(--nodes="$nodes")
    figures=$("${start[@]}" "$program" bench --json "$@" </dev/null) || code=$?
    [ $code -eq 0 ] || fail $code "$ranks ranks ended with exit code $code"
    awk -F '[:,]' '/"train_images_per_second"/ { rate = $2 } /"step_seconds"/ { step = $2 }
        /"reduction_seconds"/ { reduction = $2 } END { printf "%d %.1f\n", rate, 100 * reduction / step }' <<<"$figures"
}

scale() { # strong|weak ARGUMENTS...: prints a table
    local kind=$1 resolved lanes batch most=$SLURM_NTASKS ranks=1 factor=1 figures first='' grown=()
    shift
    resolved=$(keys "$config" "${settings[@]}") || exit
    lanes=$(sed -n 's/^train\.lanes=//p' <<<"$resolved")
    batch=$(sed -n 's/^train\.batch=//p' <<<"$resolved")
    local room=$lanes # ranks that these lanes are enough for
    [ "$kind" = strong ] || room=$((1024 / lanes)) # the lanes grow with the ranks, and train.lanes ends there
    [ "$most" -le "$room" ] || most=$room
    echo "$kind scaling on $SLURM_JOB_NODELIST"
    printf '%6s %8s %12s %10s %12s %11s\n' ranks batch images/s speed-up efficiency reduction
    while :; do
        [ "$kind" = strong ] || grown=(--set "train.batch=$((batch * ranks))" --set "train.lanes=$((lanes * factor))")
        figures=$(bench_ranks "$ranks" "${ours[@]}" "$@" "${grown[@]}") || exit
        first=${first:-${figures% *}}
        awk -v ranks="$ranks" -v batch="$([ "$kind" = strong ] && echo "$batch" || echo $((batch * ranks)))" -v first="$first" \
            '{ printf "%6d %8d %12d %10.2f %10.0f %% %9.1f %%\n", ranks, batch, $1, $1 / first, 100 * $1 / first / ranks, $2 }' \
            <<<"$figures"
        [ "$ranks" -lt "$most" ] || break
        ranks=$((ranks * 2)) factor=$((factor * 2))
        [ "$ranks" -le "$most" ] || ranks=$most
    done
}

print_scaling() { # ARGUMENTS...: both tables, also into a file
    mkdir -p "$logs"
    { scale strong "$@" && scale weak "$@"; } | tee "$logs/$name-scaling.txt"
}
