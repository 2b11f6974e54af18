#!/usr/bin/env bash
# bundle.sh RAM_DIST CMAKE OPTION...: the bundle (cmake/bundle) in a root that holds nothing besides but the C library, a
# shell and a handful of tools: one and two ranks, any user, any place, a size.
# shellcheck disable=SC1091,SC2154 # checks.bash sets work, ram_dist, here and python
. "$(dirname "$0")/checks.bash"
cmake=$2 options=("${@:3}")
command -v patchelf >/dev/null || { echo "skipped: no patchelf" && exit 77; }
own=(unshare --mount --pid --fork)
[ "$(id -u)" -eq 0 ] || own+=(--map-root-user)
"${own[@]}" true 2>/dev/null || { echo "skipped: no namespaces of our own here" && exit 77; }

# An odd place, which is not where it was built.
place="/opt/a place" root=$work/root
command_run 0 "$cmake" "-DFOLDER=$work/built" "${options[@]}"
size=$(du -sb built | cut -f1)
[ "$size" -le 40000000 ] || fail "the bundle takes $size bytes"
mkdir -p "$root/opt" "$root"/{bin,data,dev,home,proc,sys,tmp}
mkdir "$root$place"
tar xzf built.tar.gz -C "$root$place" || fail "no archive"
rm -r built built.tar.gz
blobs data 600 200
cp data/* "$root/data"
small_model
cp small.yaml "$root/home"
mkdir "$root/fake" && echo "no library" >"$root/fake/libmpi.so.40"

# The C library and what the scripts run.
for tool in sh env dirname readlink; do
    cp -L "$(command -v $tool)" "$root/bin"
    ldd "$root/bin/$tool" | grep -o '/[^ ]*'
done | sort -u >libraries
for library in libc libm libdl librt libpthread libutil libresolv; do
    find -L "$(dirname "$(ldd "$ram_dist" | grep -o '/[^ ]*/libc\.so\.6')")" -maxdepth 1 -name "$library.so.[0-9]"
done >>libraries
while read -r library; do
    mkdir -p "$root$(dirname "$library")" && cp -L "$library" "$root$library"
done <libraries
chmod -R a+rX "$work" && chmod 1777 "$root/tmp" "$root/home"

cat >enter.sh <<'EOS'
root=$1 user=$2
shift 2
mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" && mount --rbind /sys "$root/sys" &&
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm" || exit
exec chroot $user "$root" /bin/env -i PATH=/bin HOME=/tmp RAM_DATA=/data LD_LIBRARY_PATH=/fake "$@"
EOS
# inside CODE PROGRAM ARGUMENT...: a program of the bundle, in that root
inside() {
    local expected=$1 program="$place/built/bin/$2"
    shift 2
    command_run "$expected" env PATH="$PATH:/usr/sbin:/sbin" "${own[@]}" sh enter.sh "$root" "$user" "$program" "$@"
}

users=("") runs=0
[ "$(id -u)" -ne 0 ] || users+=("--userspec=$(id -u nobody):$(id -g nobody)")
for user in "${users[@]}"; do
    run=/home/run$((++runs))
    inside 0 ram_dist train --np 2 --config /home/small.yaml --run-dir $run
    quiet
    says "$work/out" "2 ranks x"
    inside 0 ram_dist eval --np 2 $run
    quiet
    says "$work/out" "test error"
    cp "$work/out" two
    inside 0 ram_dist eval $run
    diff -q two "$work/out" || fail "another evaluation on one rank"
    inside 0 mpirun --allow-run-as-root --oversubscribe -np 2 "$place/built/bin/ram_dist" eval $run
    quiet
    diff -q two "$work/out" || fail "another evaluation under mpirun"
    inside 0 ram_dist eval --set comm.backend=mpi $run # MPI_Init without mpirun
    quiet
    inside 0 ram_dist trace --np 2 $run --limit 5
    quiet
    inside 64 ram_dist train --np 2 --set train.lrr=1
    error_has "train.lr"
done
finish
