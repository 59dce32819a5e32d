#!/usr/bin/env bash
# Sets up a fresh Debian 12 machine and runs every test. Ends with ctest's count.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset dev
cmake --build --preset dev
ctest --preset dev
