#!/bin/bash
# Every C file is as clang-format 14 writes it with the tree's .clang-format. Shows where one is not.
set -euo pipefail
cd "$(dirname "$0")/../.."
git ls-files -z '*.c' '*.h' | xargs -0 -n 64 -P "$(nproc)" clang-format --dry-run --Werror
