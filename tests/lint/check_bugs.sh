#!/bin/bash
# Every known bug of tests/fault/bugs can be put back into the tree as it is, so that run-bugs can.
set -euo pipefail
cd "$(dirname "$0")/../.."
bad=0
for patch in tests/fault/bugs/*.patch; do
	git apply --check -C1 "$patch" 2>/dev/null || { echo "$patch does not apply"; bad=1; }
done
exit "$bad"
