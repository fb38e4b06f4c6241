#!/bin/sh
# The first program is built with failpoints and shows that they would be found; the others must be without.
set -eu
with="$1"
shift
has() { # program
	grep -aq -e SL_FAILPOINT -e sl_failpoint "$1"
}
has "$with" || { echo "$with: has no failpoints"; exit 1; }
for program in "$@"; do
	! has "$program" || { echo "$program: has failpoints"; exit 1; }
done
