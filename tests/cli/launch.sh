#!/bin/sh
# launch.sh PROGRAM: `--np N` of tests/cli/launch_ranks.c, seen from outside: output, exit codes, silence of mpirun, signals.
set -u
program=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
TERM=xterm
export TERM

fail() {
    echo "FAILED: $*"
    sed 's/^/    /' "$work/out" "$work/err"
    failures=$((failures + 1))
}

# run CODE ARGS...: runs the program and checks its exit code; $work/out and err hold what it printed.
run() {
    expected=$1
    shift
    timeout -k 5 40 "$program" "$@" >"$work/out" 2>"$work/err" </dev/null
    code=$?
    [ "$code" -eq "$expected" ] || fail "$*: exit code $code, not $expected"
}
errors_are() { [ "$(cat "$work/err")" = "$1" ] || fail "stderr is not: $1"; }
one_line_with() { [ "$(wc -l <"$work/err")" -eq 1 ] && grep -q "$1" "$work/err"; }
error_has() { one_line_with "^ram_dist: error: .*$1" || fail "no one line with: $1"; }

for np in 1 2 5; do
    run 0 --np "$np" --echo "two words  \"*\" \$HOME"
    errors_are ""
    [ "$(grep -c '^rank ' "$work/out")" -eq "$np" ] || fail "not $np ranks"
    grep -q "^$np of $np ranks .* terminal no, echo two words  \"\*\" \$HOME$" "$work/out" || fail "head line of $np ranks"
    [ "$(wc -l <"$work/out")" -eq $((np + 1)) ] || fail "more than the ranks' own lines"
done
run 0 --np 1
grep -q 'library none' "$work/out" || fail "one rank called MPI_Init"
run 0 --np=2
grep -q '^rank 1 ' "$work/out" || fail "--np=2 is not --np 2"

for code in 64 65 74 75 76; do
    run "$code" --np 3 --fail "$code"
    errors_are "ram_dist: error: rank 2 failed"
done
run 64 --np 3 --bogus x
errors_are "ram_dist: error: unknown argument --bogus"
run 64 --np 2 --self
error_has "comm.backend"
run 64 --np 2 --echo :
error_has "lone"
run 70 --np 3 --fail 70
one_line_with 'rank 2 of 3' || fail "fatal() is not one line"
run 69 --np 3 --die 9 # the others wait in a barrier for it
error_has "signal 9"
run 70 --np 2 --die 6
grep -q '^ram_dist: error: .*signal 6' "$work/err" || fail "a crash is not explained"

# An mpirun that fails by itself: codes that no signal has are its own.
mkdir "$work/bin"
for own in 1 213 243; do
    printf '#!/bin/sh\nexit %s\n' "$own" >"$work/bin/mpirun"
    chmod +x "$work/bin/mpirun"
    path=$PATH
    PATH=$work/bin:$PATH
    run 69 --np 2
    PATH=$path
    error_has "mpirun failed with exit code $own .* tells more"
done

# One that ends its ranks since nobody reads their output, in the words of Open MPI 4.1; a rank's words are kept.
cat >"$work/bin/mpirun" <<'END'
#!/bin/sh
sigpipe='[node7:22144] mpirun: SIGPIPE detected on fd 13 - aborting'
again='mpirun: abort is already in progress...hit ctrl-c again to forcibly terminate'
event='[warn] Epoll MOD(1) on fd 24 failed. Old events were 6; read change was 0 (none): Bad file descriptor'
printf '%s\n\nlast words\n%s\n%s\n\n%s\n%s\n\n%s\n' "$sigpipe" "$sigpipe" "$again" "$sigpipe" "$again" "$event" >&2
[ "$MPIRUN_CODE" != crash ] || trace='*** Process received signal ***'
[ -z "$trace" ] || printf '[node7:%d] %s\n' $$ "$trace" 1 "a rank's" >&2
[ -z "$trace" ] || kill -SEGV $$
exit "$MPIRUN_CODE"
END
for own in 1 74 crash; do # a crash: of ranks that print to nobody once more
    path=$PATH
    PATH=$work/bin:$PATH
    export MPIRUN_CODE=$own
    run $([ $own = 74 ] && echo 74 || echo 141) --np 2
    PATH=$path
    errors_are "
last words$([ $own != crash ] || printf "\n[node7:1] a rank's")"
done

# The first signal asks the ranks to stop.
"$program" --np 3 --spin >"$work/out" 2>"$work/err" &
for _ in 1 2 3 4 5 6 7 8 9 10; do
    grep -q spinning "$work/out" && break
    sleep 0.5
done
kill -TERM $!
wait $!
code=$?
[ "$code" -eq 75 ] || fail "SIGTERM ended with $code, not 75"
errors_are "ram_dist: error: asked to stop"

# What the ranks believe of the terminal.
if command -v script >/dev/null; then
    script -qec "'$program' --np 2" /dev/null </dev/null >"$work/out" 2>"$work/err"
    grep -q 'terminal yes' "$work/out" || fail "a terminal is not seen"
    TERM=dumb script -qec "'$program' --np 2" /dev/null </dev/null >"$work/out" 2>"$work/err"
    grep -q 'terminal no' "$work/out" || fail "TERM=dumb is not honoured"
fi

# As another user where we are root: mpirun asks consent of root alone.
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    nobody=$(id -u nobody)
    mkdir -m 755 "$work/home" && chmod 755 "$work" && cp "$program" "$work/home/program" && chown "$nobody" "$work/home"
    (cd "$work/home" && HOME=$work/home timeout -k 5 40 setpriv --reuid "$nobody" --clear-groups \
        "$work/home/program" --np 3 --fail 65 >"$work/out" 2>"$work/err" </dev/null)
    code=$?
    [ "$code" -eq 65 ] || fail "as nobody: exit code $code"
    errors_are "ram_dist: error: rank 2 failed"
    [ "$(grep -c '^rank ' "$work/out")" -eq 3 ] || fail "as nobody: not 3 ranks"
fi

[ "$failures" -eq 0 ] || exit 1
echo "launch: all as expected"
