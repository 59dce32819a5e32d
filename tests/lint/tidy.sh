#!/usr/bin/env bash
# Runs clang-tidy with the checked-in .clang-tidy over our sources. Not part of ctest: it takes minutes.
#
#   tests/lint/tidy.sh               all of them
#   tests/lint/tidy.sh FILE...       these
#   tests/lint/tidy.sh --since REF   those that differ from a commit
# Jobs: $JOBS (default: as many as there are processors).
set -euo pipefail
cd "$(dirname "$0")/../.."
for tool in clang-tidy-14 clang++-14; do
  command -v $tool >/dev/null || { echo "tidy.sh: $tool is missing: apt-get install clang-tidy-14 clang-14"; exit 77; }
done
cmake --preset tidy >/dev/null
# Headers that the build makes.
ninja -C build/tidy -t targets all | sed -n 's/^\([^:]*\.\(h\|inc\)\): CUSTOM_COMMAND$/\1/p' | xargs -r ninja -C build/tidy >/dev/null

if [ "${1:-}" = --since ]; then
  mapfile -t files < <(git diff --name-only --diff-filter=d "$2" -- '*.cc')
else
  files=("$@")
  [ $# -gt 0 ] || mapfile -t files < <(git ls-files 'store/*.cc' 'core/*.cc' 'api/*.cc')
fi
[ ${#files[@]} -gt 0 ] || exit 0
printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "${JOBS:-$(nproc)}" clang-tidy-14 -p build/tidy --quiet 2>/dev/null
echo "clang-tidy: ${#files[@]} files are clean"
