#!/usr/bin/env bash
# Installs a build into a directory of its own, builds examples/embed against what is there, and runs it.
#
#   install_test.sh BUILD_DIR CXX_COMPILER [CXX_FLAGS]
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
build=$(realpath "$1")
work=$(mktemp -d "${TMPDIR:-/tmp}/wherry-install.XXXXXX")
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/prefix" >"$work/log"
for file in bin/wherry include/wherry/api/server/cluster.h; do
  [ -e "$work/prefix/$file" ] || { echo "$file is not installed"; exit 1; }
done
"$work/prefix/bin/wherry" version >/dev/null

# Nothing of the source tree may be needed: the example is built from a copy.
cp -r "$here/../../examples/embed" "$work/embed"
cmake -S "$work/embed" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_CXX_COMPILER="$2" \
  -DCMAKE_CXX_FLAGS="${3:-}" >>"$work/log" || { cat "$work/log"; exit 1; }
cmake --build "$work/build" >>"$work/log" || { cat "$work/log"; exit 1; }
mkdir "$work/tmp"
TMPDIR="$work/tmp" "$work/build/embed" | tee "$work/out"

[ "$(grep -cE '^web-\S+ Running \S+ node-[12]$' "$work/out")" = 2 ] || { echo "not two pods of the DaemonSet"; exit 1; }
[ -z "$(ls -A "$work/tmp")" ] || { echo "left behind: $(ls -A "$work/tmp")"; exit 1; }
