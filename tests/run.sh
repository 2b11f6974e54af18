#!/usr/bin/env bash
# run.sh [--quick | --slow]: installs what the tests need, builds, runs all tests; the last line says PASS or FAIL.
#
#   --quick  the release build and its tests alone
#   --slow   also the tests labelled slow (long trainings, crash campaigns)
# Parts go on after one has failed; the exit status is 1 when any has.
set -uo pipefail

unset CDPATH
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." || exit 74
jobs=$(nproc)
slow=no quick=no
for argument; do
    case $argument in
    --slow) slow=yes ;;
    --quick) quick=yes ;;
    -h | --help)
        sed -n '2,/^set /s/^# \{0,1\}//p' tests/run.sh
        exit 0
        ;;
    *)
        echo "run.sh: error: unknown argument $argument: usage is run.sh [--quick | --slow]" >&2
        exit 64
        ;;
    esac
done

failed=()
report=()
part() { # NAME COMMAND...
    local name=$1 start=$SECONDS result=ok code=0
    shift
    echo "=== $name"
    "$@" || code=$?
    if [ $code -ne 0 ]; then
        result="FAILED ($code)"
        failed+=("$name")
    fi
    local took=$((SECONDS - start))
    report+=("$(printf '%3d:%02d  %-26s %s' $((took / 60)) $((took % 60)) "$name" "$result")")
    return $code
}

scripts() { # every script of the project, one path a line
    find .ci cmake data jobs tests -type f -not -path 'data/mnist/*' -print0 | xargs -0 grep -lE -m 1 '^#!.*/(env )?(ba)?sh' |
        sort
}

check_scripts() {
    local script code=0
    for script in $(scripts); do
        case $(head -n 1 "$script") in
        *bash*) bash -n "$script" || code=1 ;;
        *) sh -n "$script" || code=1 ;;
        esac
        shellcheck "$script" || code=1
        [ -x "$script" ] || { echo "$script is not executable" && code=1; }
    done
    return $code
}

check_layout() { # of the sources, by the version of clang-format that .clang-format is written for
    clang-format --version | grep -q 'version 14' || { echo "skipped: not clang-format 14" && return 0; }
    find src mpi tests \( -name '*.[ch]' -o -name '*.cu' \) -print0 | xargs -0 clang-format --dry-run -Werror
}

build() { # FOLDER PRESET [CMAKE OPTIONS...]: $target, or all; prints only what went wrong
    local folder=build/$1 preset=$2
    shift 2
    mkdir -p "$folder"
    if cmake --preset "$preset" -B "$folder" -DRAM_WERROR=ON -DRAM_TESTS=ON "$@" >"$folder/run.log" 2>&1 &&
        cmake --build "$folder" --parallel "$jobs" --target "${target:-all}" >>"$folder/run.log" 2>&1; then
        return 0
    fi
    tail -n 80 "$folder/run.log"
    return 1
}

test_release() {
    local labels=(--label-exclude slow)
    [ $slow = no ] || labels=()
    ctest --preset release --parallel "$jobs" "${labels[@]}"
}

test_sanitized() {
    local leaks=suppressions=$PWD/tests/lsan.supp:print_suppressions=0 code=0
    # The slow unwinder sees through libc to the library that called it, so that leaks of MPI's are known as such.
    ASAN_OPTIONS=fast_unwind_on_malloc=0 UBSAN_OPTIONS=print_stacktrace=1 LSAN_OPTIONS=$leaks \
        ctest --preset asan --parallel "$jobs" --label-regex '^(unit|oracle|ops|dist)$' --label-exclude slow || code=1
    # What mostly starts whole programs is three times as fast without: see tests/lsan.c.
    UBSAN_OPTIONS=print_stacktrace=1 LSAN_OPTIONS=$leaks RAM_LSAN=one \
        ctest --preset asan --parallel "$jobs" --label-regex '^(store|program)$' --label-exclude slow || code=1
    return $code
}

test_valgrind() {
    local program code=0 result
    for program in build/release/tests/unit/test_*; do
        if [ ! -f "$program" ] || [ ! -x "$program" ]; then continue; fi
        result=0
        timeout 300 valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
            "$program" >build/release/valgrind.log 2>&1 || result=$?
        case $result in
        0) echo "clean: ${program##*/}" ;;
        77) echo "skipped: ${program##*/}" ;;
        *)
            tail -n 60 build/release/valgrind.log
            echo "FAILED ($result): ${program##*/}"
            code=1
            ;;
        esac
    done
    return $code
}

fetch_mnist() {
    data/fetch_mnist.sh && return
    echo
    echo "*** NO MNIST: the tests that need it are SKIPPED. Nothing below says that training works. ***"
    echo
}

# A place of its own for what Open MPI and the tests' scripts put aside: nothing of it is left behind, and nothing met
# that others left (an mpirun takes a folder named by its process number, whoever made it and with whatever permissions).
TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/ram.XXXXXX") && chmod 1777 "$TMPDIR" || exit 74
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
# Open MPI's folder of all runs of a user on a host, which each mpirun makes where it is missing and removes where it is
# empty: one that starts while another ends may fail ("orte_session_dir failed"). It stays while something is in it.
held=$TMPDIR/ompi.$(uname -n | cut -d . -f 1).$(id -u)
mkdir -p "$held/tests" && chmod 700 "$held"

part "install what is missing" jobs/install.sh --tests || exit 69
part "fetch MNIST" fetch_mnist
part "scripts" check_scripts
part "layout of the sources" check_layout
part "build: gcc, release" build release release && {
    part "tests: gcc, release" test_release
    [ $quick = yes ] || part "tests: valgrind" test_valgrind
}
if [ $quick = no ]; then
    part "build: clang, release" build clang release -DCMAKE_C_COMPILER=clang -DRAM_CUDA=OFF
    target=fuzzers part "build: clang, fuzz targets" build fuzz asan -DCMAKE_C_COMPILER=clang -DRAM_FUZZ=ON -DRAM_CUDA=OFF &&
        part "fuzz" tests/fuzz/run.sh build/fuzz "$([ $slow = yes ] && echo 60 || echo 10)"
    part "build: gcc, sanitizers" build asan asan -DRAM_CUDA=OFF && part "tests: sanitizers" test_sanitized
fi

echo
echo "minutes"
printf '%s\n' "${report[@]}"
if [ ${#failed[@]} -gt 0 ]; then
    printf -v list '%s; ' "${failed[@]}"
    echo "FAIL: ${list%; }"
    exit 1
fi
echo "PASS"
