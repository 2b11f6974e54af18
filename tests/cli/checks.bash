# shellcheck shell=bash
# checks.bash: what the scripts of this folder share. Sourced with the path of ram_dist in $1; leaves the shell in an
# empty folder of its own that is deleted at the end. A failed check is told and counted; `finish` ends the script.
set -u
ram_dist=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=/usr/bin/python3 # Debian's, which has h5py and numpy
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
unset RAM_DATA RAM_FAULT
failures=0

fail() {
    echo "FAILED: $*"
    for output in out err; do
        [ ! -s "$work/$output" ] || tail -n 12 "$work/$output" | sed "s/^/    $output: /"
    done
    failures=$((failures + 1))
}

# run CODE ARGUMENT...: ram_dist; its output goes to $work/out and $work/err. It must neither hang nor print more.
run() {
    command_run "$1" "$ram_dist" "${@:2}"
}

# command_run CODE COMMAND...: the same for any command.
command_run() {
    local expected=$1 code=0
    shift
    timeout -k 5 90 "$@" >"$work/out" 2>"$work/err" </dev/null || code=$?
    [ "$code" -eq "$expected" ] || fail "exit code $code, not $expected: ${*#"$ram_dist"}"
}

# as_nobody CODE ARGUMENT...: ram_dist by a user who is not root, whom no file obeys.
as_nobody() {
    if [ "$(id -u)" -ne 0 ] || ! command -v setpriv >/dev/null; then
        run "$@"
        return
    fi
    [ -e "$work/program.nobody" ] || cp "$ram_dist" "$work/program.nobody"
    chmod 755 "$work"
    command_run "$1" setpriv --reuid "$(id -u nobody)" --clear-groups env HOME="$work" "$work/program.nobody" "${@:2}"
}

# quiet: nothing on stderr.
quiet() { [ ! -s "$work/err" ] || fail "stderr is not empty"; }

# error_has TEXT...: stderr is one line `ram_dist: error: ...` that holds all texts.
error_has() {
    local text
    [ "$(wc -l <"$work/err")" -eq 1 ] || fail "stderr is not one line ($*)"
    grep -q '^ram_dist: error: ' "$work/err" || fail "no 'ram_dist: error: ' ($*)"
    for text; do grep -qF -- "$text" "$work/err" || fail "the error does not say '$text'"; done
}

# refuses CODE TEXT ARGUMENT...: code, one line of error with TEXT, nothing on stdout.
refuses() {
    run "$1" "${@:3}"
    error_has "$2"
    [ ! -s "$work/out" ] || fail "an error printed to stdout: ${*:3}"
}

says() { grep -qF -- "$2" "$1" || fail "'$2' is not in $1"; }
lacks() { ! grep -qF -- "$2" "$1" || fail "'$2' is in $1"; }

# check MODE ARGUMENT...: check_run.py has no objection.
check() { "$python" "$here/check_run.py" "$@" >"$work/out" 2>&1 || fail "check_run.py $*"; }

# blobs FOLDER TRAIN TEST: a small data set.
blobs() { mkdir -p "$1" && "$python" "$here/blobs.py" "$@" || exit 1; }

# A model that trains in a moment: small.yaml.
small_model() {
    cat >small.yaml <<'YAML'
model: {hidden: 16, glimpse_hidden: 8, location_hidden: 8, locator_hidden: 8, patch: 4, glimpses: 3}
train: {epochs: 4, batch: 32, lr: 0.003}
YAML
}

# fingerprint FOLDER: of all that a run has saved.
fingerprint() { find "$1" -type f ! -name run.log ! -name .lock -exec cksum {} + | sort; }

# rows RUN: lines of its metrics.jsonl.
rows() { if [ -e "$1/metrics.jsonl" ]; then wc -l <"$1/metrics.jsonl"; else echo 0; fi; }

# ranks LAUNCHER: the processes that `ram_dist --np N` has started, one a line; nothing while there are none.
ranks() {
    local mpirun
    mpirun=$(pgrep -P "$1" mpirun) && pgrep -P "$mpirun" ram_dist
}

# until_ranks LAUNCHER N: waits until it has N ranks; sets `ranks`.
until_ranks() {
    for _ in {1..500}; do
        mapfile -t ranks < <(ranks "$1")
        [ ${#ranks[@]} -ne "$2" ] || return 0
        sleep 0.02
    done
    fail "$2 ranks have not come"
}

# until_says FILE TEXT: waits until it says so.
until_says() {
    for _ in {1..1000}; do
        ! grep -qsF -- "$2" "$1" || return 0
        sleep 0.02
    done
    fail "'$2' did not come into $1"
}

# segments PROCESS...: the shared memory that they use, one file a line.
segments() {
    local process
    for process; do grep -oE '/dev/shm/[^ ]+' "/proc/$process/maps"; done 2>/dev/null | sort -u
}

# nothing_left RUN SEGMENT...: no process works on the run, and the shared memory is gone.
nothing_left() {
    local left segment
    left=$(pgrep -af -- "--run-dir $1( |\$)")
    [ -z "$left" ] || fail "a process is left: $left"
    for segment in "${@:2}"; do [ ! -e "$segment" ] || fail "$segment is left"; done
}

finish() {
    [ "$failures" -eq 0 ] || exit 1
    echo "$(basename "$0"): all as expected"
    exit 0
}
