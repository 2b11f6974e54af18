#!/bin/sh
# start.sh: bin/ram_dist, bin/mpirun and bin/orted of a bundle are links to this file. It tells Open MPI, PMIx and hwloc
# where the bundle lies now, then starts the program of that name. What a site has set for its own MPI is of no use here.
set -eu
root=$(dirname "$(readlink -f "$0")")/../..
root=$(cd "$root" && pwd -P)
PATH=$root/bin:$PATH # ram_dist --np finds this mpirun
for library in OPAL PMIX; do
    export "${library}_PREFIX=$root" "${library}_EXEC_PREFIX=$root" "${library}_BINDIR=$root/bin"
    export "${library}_LIBDIR=$root/lib" "${library}_DATADIR=$root/share" "${library}_SYSCONFDIR=$root/etc"
done
export OPAL_PKGLIBDIR="$root/lib/openmpi" OPAL_PKGDATADIR="$root/share/openmpi"
export PMIX_PKGLIBDIR="$root/lib/pmix" PMIX_PKGDATADIR="$root/share/pmix"
export HWLOC_PLUGINS_PATH="$root/lib/hwloc"
# Without ssh mpirun ends at once, though one host needs none.
command -v ssh >/dev/null || command -v rsh >/dev/null || export OMPI_MCA_plm="${OMPI_MCA_plm-^rsh}"
name=$0 # a link of another name to one of the three
while [ ! -e "$root/lib/bin/${name##*/}" ] && [ -h "$name" ]; do
    link=$(readlink "$name")
    case $link in /*) name=$link ;; *) name=$(dirname "$name")/$link ;; esac
done
exec "$root/lib/bin/${name##*/}" "$@"
