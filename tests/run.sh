#!/usr/bin/env bash
# Sets up a Debian 12 machine and runs every test. Ends with ctest's count.
#   tests/run.sh              the suite
#   tests/run.sh asan|tsan    the suite built with AddressSanitizer and UBSan, or ThreadSanitizer
set -euo pipefail
cd "$(dirname "$0")/.."
tests/setup.sh
preset=${1:-dev}
cmake --preset "$preset" >/dev/null
cmake --build --preset "$preset"
ctest --preset "$preset"
