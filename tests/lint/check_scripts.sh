#!/bin/bash
# Runs shellcheck over every shell script of the tree.
set -euo pipefail
cd "$(dirname "$0")/../.."
mapfile -t scripts < <(git grep -lIE '^#!/bin/(ba)?sh' -- ':!bazel/offline')
shellcheck -x --severity=warning "${scripts[@]}"
