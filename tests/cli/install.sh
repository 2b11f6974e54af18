#!/usr/bin/env bash
# install.sh RAM_DIST BUILD: what `cmake --install` puts where, and that it works from there: modulefile, man page,
# completion; the recipes for Spack and Apptainer against what the build asks for.
# shellcheck disable=SC1091,SC2154 # checks.bash sets work, ram_dist, here and python
. "$(dirname "$0")/checks.bash"
root=$(cd "$here/../.." && pwd)
prefix=$work/prefix
command_run 0 cmake --install "$2" --prefix "$prefix"
for file in bin/ram_dist share/man/man1/ram_dist.1 share/bash-completion/completions/ram_dist \
    share/ram_dist/configs/mnist.yaml share/ram_dist/data/fetch_mnist.sh share/ram_dist/jobs/{v100.slurm,common.bash}; do
    [ -s "$prefix/$file" ] || fail "$file is not installed"
done

# --- the modulefile, by the real thing
version=$("$ram_dist" --version | awk '{ print $2 }')
load() (
    # shellcheck disable=SC1090 # what modulecmd prints
    . <(MODULEPATH=$prefix/share/ram_dist/modulefiles modulecmd bash load "ram_dist/$version")
    command -v ram_dist
    echo "$RAM_DIST_JOBS $RAM_DIST_CONFIGS"
    man --where ram_dist 2>&1
)
load >out
says out "$prefix/bin/ram_dist"
says out "$prefix/share/ram_dist/jobs $prefix/share/ram_dist/configs"
prefix="$work/pre fix"
command_run 0 cmake --install "$2" --prefix "$prefix"
load >out
says out "$prefix/share/ram_dist/jobs $prefix/share/ram_dist/configs"
(
    unset XDG_DATA_DIRS MANPATH
    # shellcheck disable=SC1090 # what modulecmd prints
    . <(MODULEPATH=$prefix/share/ram_dist/modulefiles modulecmd bash load "ram_dist/$version")
    echo "${XDG_DATA_DIRS-} ${MANPATH-none}"
) >out
says out "$prefix/share:/usr/local/share:/usr/share none"
(cd "$work" && cmake --install "$2" --prefix relative >/dev/null)
says "$work/relative/share/ram_dist/modulefiles/ram_dist/$version" "set prefix {$work/relative}"
rm -r "$prefix" relative
prefix=$work/prefix

# --- the man page: no warning, and all that the tables hold
page=$prefix/share/man/man1/ram_dist.1
groff -man -Tutf8 -ww -b "$page" >/dev/null 2>err
quiet
groff -man -Tascii -P-c -P-b -P-u -rLL=200n "$page" >text
"$ram_dist" --help | sed -n 's/^  \([a-z]*\) .*/\1/p' >commands
[ -s commands ] || fail "no commands"
while read -r name; do
    grep -qE "^ *ram_dist $name " text || fail "the man page lacks the command $name"
    "$ram_dist" "$name" --help | grep -oE -- '--[a-z-]+' | sort -u | while read -r option; do
        sed -n "/^ *ram_dist $name /,/^ *ram_dist [a-z]/p" text | grep -qE -- "^ *$option( |$)" || echo "$name $option"
    done >missing
    [ ! -s missing ] || fail "the man page lacks: $(cat missing)"
done <commands
"$ram_dist" config | grep -oE '^[a-z]+(\.[a-z_]+)?  ' | while read -r key; do
    grep -qE "^ *$key " text || echo "$key"
done >missing
[ ! -s missing ] || fail "the man page lacks: $(cat missing)"

# --- completion
# completes EXPECTED WORD...: with the cursor at the end of the last word
completes() (
    # shellcheck disable=SC1090,SC2034 # the file under test; its input
    . "$prefix/share/bash-completion/completions/ram_dist"
    COMP_WORDS=("${@:2}") COMP_CWORD=$(($# - 2))
    _ram_dist
    [ "${COMPREPLY[*]}" = "$1" ] || { echo "'${*:2}' completes to '${COMPREPLY[*]}', not '$1'" && return 1; }
)
touch a.yaml b.txt
completes "train trace" ram_dist tra >out || fail "commands"
completes "--resume" ram_dist --re >out || fail "options without a command"
completes "--steps --set" ram_dist bench --s >out || completes "--set --steps" ram_dist bench --s >out || fail "options"
completes "auto latest best" ram_dist train --resume "" >out || fail "values of an option"
completes "cuda" ram_dist --device = cu >out || fail "values after ="
completes "train.batch= train.baseline=" ram_dist --set train.ba >out || fail "keys"
completes "lstm" ram_dist --set model.core = l >out || fail "values of a key"
completes "auto" ram_dist train --set threads = >out || fail "auto"
completes "a.yaml" ram_dist --config "" >out || completes "a.yaml prefix" ram_dist --config "" >out || fail "files"
shellcheck --shell=bash "$prefix/share/bash-completion/completions/ram_dist" >out || fail "shellcheck of the completion"

# --- the recipes
"$python" - "$root" >out 2>&1 <<'PYTHON' || fail "the Spack recipe or the Apptainer definition"
import ast, os, re, sys
root = sys.argv[1]
cmake = open(f"{root}/CMakeLists.txt").read()
ast.parse(open(f"{root}/jobs/spack/packages/cgif/package.py").read())
tree = ast.parse(open(f"{root}/jobs/spack/packages/ram-dist/package.py").read())
recipe = [node for node in tree.body if isinstance(node, ast.ClassDef)][0]
assert recipe.name == "RamDist" and recipe.bases[0].id == "CMakePackage" and ast.get_docstring(recipe)
calls = [node.value for node in recipe.body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
known = {"version", "variant", "depends_on", "requires", "generator"}
assert {call.func.id for call in calls} <= known, {call.func.id for call in calls} - known
needs = {re.split("[@+]", call.args[0].value)[0] for call in calls if call.func.id == "depends_on"}
names = {"PkgConfig": "pkgconfig", "ZLIB": "zlib-api", "MPI": "mpi", "HDF5": "hdf5", "XSMM": "libxsmm",
         "YAML": "libyaml", "JANSSON": "jansson", "XXHASH": "xxhash", "PNG": "libpng",
         "CUDAToolkit": "cuda"}
asked = set(re.findall(r"(?:find_package|pkg_check_modules)\((\w+)", cmake)) - {"Threads"}
assert asked <= set(names), f"no Spack name known for {asked - set(names)}"
assert {names[name] for name in asked} <= needs, {names[name] for name in asked} - needs
for variant in [call.args[0].value for call in calls if call.func.id == "variant"]:
    assert f"+{variant}" in ast.unparse(tree) or f"'{variant}'" in ast.unparse(tree), variant

lines = open(f"{root}/jobs/ram_dist.def").read().splitlines()
sections = [line[1:] for line in lines if line.startswith("%")]
assert set(sections) <= {"files", "post", "runscript", "test", "labels"} and "post" in sections, sections
copied = [line.split() for line in lines[lines.index("%files") + 1:lines.index("%post")] if line.strip()]
for source, target in copied:
    assert os.path.exists(f"{root}/{source}") and target == f"/opt/ram_dist/{source}", source
# every folder that the build reads is copied
for folder in set(re.findall(r"SOURCES (\w+)/", cmake)) | {"cmake", "jobs", "configs"}:
    assert folder in [source for source, _ in copied], folder
PYTHON
finish
