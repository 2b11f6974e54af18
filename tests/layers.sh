#!/usr/bin/env bash
# layers.sh SOURCES [ARCHIVE...]: the rules of the house that a compiler does not see: which room may include which, who
# may know a library or the environment, how long files and functions are, and that no variable outlives its function.
set -u
shopt -s lastpipe # `... | broken` counts in this shell
cd "$1" || exit 1
shift
failures=0
broken() { # RULE: lines on stdin break it
    local lines
    lines=$(cat)
    [ -n "$lines" ] || return 0
    echo "BROKEN: $1"
    echo "    ${lines//$'\n'/$'\n'    }"
    failures=$((failures + 1))
}
sources() { find src mpi tests -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' | sort; }
including() { # PATTERN: file:include of every include of a header that matches
    sources | xargs grep -HoE "^ *# *include *[<\"]($1)[>\"]" | tr -d ' '
}

# --- libraries
including 'mpi\.h|mpi-ext\.h' | grep -v '^mpi/' | broken "mpi.h is for mpi/ alone"
including 'hdf5.*\.h|H5.*\.h' | grep -vE '^(src/store|tests)/' | broken "hdf5.h is for src/store/ alone"
including '(cuda|cublas|curand|cudnn|nvml|nvrtc|device_|cooperative_groups).*' |
    grep -vE '^src/backend/cuda/|^mpi/comm_nccl\.c|^tests/(dist/fake_|emulation/)' | broken "CUDA is for src/backend/cuda/ and mpi/comm_nccl.c"
including 'nccl\.h' | grep -vE '^mpi/comm_nccl\.c|^tests/dist/fake_' | broken "NCCL is for mpi/comm_nccl.c"
sources | grep -vE '^(tests|mpi)/' |
    xargs grep -nE '\b(secure_)?(getenv|setenv|putenv|unsetenv)\b|\benviron\b' | broken "the environment is for mpi/ alone"

# --- rooms: arrows point down
allowed() { # ROOM: the rooms that it may include besides itself
    case $1 in
    base) echo "" ;;
    config | data | backend | mpi) echo "base" ;;
    model) echo "backend base" ;;
    store) echo "mpi base" ;;
    view) echo "store data config base" ;;
    train) echo "model backend store data config mpi base" ;;
    cmd) echo "train model backend store view data config mpi base" ;;
    main.c) echo "cmd config base" ;;
    *) echo "unknown" ;;
    esac
}
wrong_arrows() {
    local file include room target
    while IFS=: read -r file include; do
        room=${file#src/} room=${room%%/*} target=${include#*[\"<]} target=${target%[\">]}
        if [[ $target == ../* || $target == *../* ]]; then
            echo "$file: $include leads out of the room by ../"
            continue
        fi
        [[ $target == */* ]] || continue # a header of a library, or the generated one
        [ -e "src/$target" ] || [ -e "$target" ] || continue
        target=${target%%/*}
        [[ " $room $(allowed "$room") " == *" $target "* ]] || echo "$file: $include"
    done < <(including '[^>"]*' | grep -v '^tests/')
}
wrong_arrows | broken "arrows between rooms point down (DESIGN 5)"
for room in src/*; do
    [ "$(allowed "${room#src/}")" != unknown ] || echo "$room"
done | broken "every room stands in this script's table"

# --- sizes
sources | xargs wc -l | awk '$2 != "total" && $1 > 600 { print $2 ": " $1 " lines" }' | broken "no file above 600 lines"
# shellcheck disable=SC2016 # awk's own fields
sources | xargs awk '
    FNR == 1 { inside = 0 }
    !inside && /^[A-Za-z_].*[^;]$/ && /\(/ { name = $0; start = FNR }
    !inside && /^[A-Za-z_}) ].*\{$/ && !/^(typedef|struct|union|enum|static const|const|extern)|= *\{$/ {
        inside = 1; begin = start && FNR - start < 8 ? start : FNR }
    inside && /^\}/ { n = FNR - begin + 1; if (n > 80) print FILENAME ":" begin ": " n " lines: " name; inside = 0 }
' | broken "no function above 80 lines"

# --- variables that outlive their function: who speaks (log), the request to stop that a signal handler sets, and the
# seam where tests make file operations fail
for archive; do
    objdump --syms "$archive" |
        awk -v archive="${archive##*/}" '/ O \.(data|bss|tdata|tbss)/ && !/\.data\.rel\.ro/ { print archive ": " $NF }'
done | grep -vE ': (the_log|requested|the_seam)$|: (__odr_asan|\.L|__asan|__ubsan)' |
    # what nvcc and the header of NVTX add
    grep -vE '__device_stub__|: (_ZL20__cudaFatCubinHandle|_ZStL8__ioinit|DW\.ref\.|nvtxGlobals_v|InitializeInjectionNvtx)' |
    broken "no globals but the documented three"

[ "$failures" -eq 0 ] || exit 1
echo "layers: all as they should be"
