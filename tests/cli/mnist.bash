# For tests on real MNIST, sourced with the program as $1: sets ram_dist, root and work, a folder that is gone at the end,
# and exports RAM_DATA; where MNIST is missing the test ends here, skipped.
# shellcheck shell=bash disable=SC2034 # read by those who source it
set -uo pipefail
ram_dist=$1
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export RAM_DATA=${RAM_DATA:-$root/data/mnist}
[ -e "$RAM_DATA/train-images-idx3-ubyte" ] || { echo "SKIPPED: no MNIST (run data/fetch_mnist.sh)" && exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
