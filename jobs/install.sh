#!/usr/bin/env bash
# install.sh [--tests]: installs the Debian packages that are missing; with --tests also those that only the tests need.
# Silent and instant when nothing is. Without root it prints the one command to run and exits 69.
set -euo pipefail

build_packages() {
    cat <<'PACKAGES'
build-essential       C compiler and linker
cmake                 configures the build
ninja-build           runs it
pkg-config            finds the libraries below
git                   the revision that --version prints
openmpi-bin           mpirun
libopenmpi-dev        MPI: several ranks
libhdf5-openmpi-dev   HDF5: checkpoints and traces
libxsmm-dev           small matrix products on the CPU
librandom123-dev      Philox: every random number
libyaml-dev           configuration files
libjansson-dev        metrics.jsonl
libxxhash-dev         hashes of checkpoint files
libpng-dev            pictures of the glimpses
libcgif-dev           moving pictures of them
zlib1g-dev            .gz data files
curl                  fetches MNIST
ca-certificates       over https
PACKAGES
}

test_packages() {
    cat <<'PACKAGES'
libcmocka-dev         the tests' framework
python3-h5py          opens checkpoints as a user would
python3-numpy         compares what is in them
python3-xarray        opens traces as a user would,
python3-h5netcdf      with named axes
hdf5-tools            h5ls, h5dump
patchelf              the relocatable bundle (cmake --build ... --target bundle)
python3-pil           decodes PNG and GIF
python3-selenium      drives a browser
chromium              opens reports as a user would
chromium-driver       without a screen
valgrind              memory errors in the unit tests
slurm-wlm             a Slurm of their own for the job scripts
munge                 lets its daemons trust each other
environment-modules   loads the modulefile
groff-base            formats the man page
shellcheck            the scripts
clang                 a second compiler
libclang-rt-14-dev    its fuzzer
clang-format          the layout of the sources
PACKAGES
}

fail() { # CODE MESSAGE
    echo "install.sh: error: $2" >&2
    exit "$1"
}

case "$*" in
"") wanted=$(build_packages | cut -d' ' -f1) ;;
--tests) wanted=$({ build_packages && test_packages; } | cut -d' ' -f1) ;;
-h | --help)
    sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    build_packages
    echo "with --tests:"
    test_packages
    exit 0
    ;;
*) fail 64 "unknown argument $*: usage is install.sh [--tests]" ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "install.sh: this is no Debian: make sure that you have the equivalents of: ${wanted//$'\n'/ }" >&2
    exit 0
fi
# dpkg-query exits 1 when it does not know some of the packages: those are what is looked for
# shellcheck disable=SC2086 # package names are words
installed=$(dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null || true)
missing=$(awk 'NR == FNR { if ($1 == "installed") have[$2]; next } !($1 in have)' \
    <(echo "$installed") <(echo "$wanted") | tr '\n' ' ')
missing=${missing% }
[ -n "$missing" ] || exit 0

install="apt-get install --yes --no-install-recommends $missing"
if [ "$(id -u)" -ne 0 ]; then
    echo "install.sh: packages are missing, and installing them takes root. Run this, then start again:" >&2
    echo "sudo sh -c 'apt-get update && $install'" >&2
    exit 69
fi

echo "installing $missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for attempt in first last; do # mirrors fail now and then
    if { apt-get update && $install -o DPkg::Lock::Timeout=300; } >"$log" 2>&1 </dev/null; then exit 0; fi
    [ $attempt = last ] || sleep 5
done
tail -n 20 "$log" >&2
fail 69 "apt-get could not install $missing (its last lines stand above)"
