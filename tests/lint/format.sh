#!/usr/bin/env bash
# Fails when a source is not formatted as the checked-in .clang-format says. Exit status 77 = no clang-format here.
set -euo pipefail
cd "$(dirname "$0")/../.."
# Version 14 is Debian 12's; others format differently.
command -v clang-format-14 >/dev/null || { echo "clang-format-14 is not installed"; exit 77; }
# What git knows, and what it does not know yet.
git ls-files --cached --others --exclude-standard -- '*.cc' '*.h' | while read -r file; do
  [ ! -e "$file" ] || printf '%s\0' "$file"
done | xargs -0 clang-format-14 --dry-run -Werror
