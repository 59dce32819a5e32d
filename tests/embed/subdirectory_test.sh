#!/usr/bin/env bash
# Configures a project that has wherry as a subdirectory: its targets are there, its tests and its installation are not.
#
#   subdirectory_test.sh CXX_COMPILER
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
work=$(mktemp -d "${TMPDIR:-/tmp}/wherry-subdirectory.XXXXXX")
trap 'rm -rf "$work"' EXIT
cat >"$work/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.25)
project(outer LANGUAGES CXX)
add_subdirectory($(realpath "$here/../..") wherry EXCLUDE_FROM_ALL)
find_package(spdlog REQUIRED)
add_executable(embed $(realpath "$here/../../examples/embed/main.cc"))
target_link_libraries(embed PRIVATE wherry::wherry spdlog::spdlog)
END
cmake -S "$work" -B "$work/build" -G Ninja -DCMAKE_CXX_COMPILER="$1" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
ninja -C "$work/build" -t commands embed >"$work/commands"
ninja -C "$work/build" -t targets all >"$work/targets"
grep -q 'cluster\.cc' "$work/commands" || { echo "embed does not build the cluster"; exit 1; }
! grep -q catch_main "$work/targets" || { echo "the tests are built too"; exit 1; }
