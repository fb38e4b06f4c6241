#!/bin/bash
# Tests wait for what they need, as long as the slowest machine takes: a sleep says beside it what it is good for (in vain, if all is
# right; a life that has to end; any moment will do), and nothing that has to come is given less than 30 s.
set -euo pipefail
cd "$(dirname "$0")/../.."
bad=0
complain() { # text, lines
	[ -z "$2" ] || { printf '%s\n%s\n' "$1" "$2"; bad=1; }
}
files=(tests/e2e/*.py tests/e2e/lib/*.py tests/e2e/cli/*.py tests/e2e/rpc/*.py)
complain "A sleep without a word beside it:" "$(grep -nE 'time\.sleep\(' "${files[@]}" | grep -v '  # ' || true)"
complain "A limit of less than 30 s:" "$(grep -nE '\btimeout=([0-9]|[12][0-9])\b|\b(until|wait)\(.*, ([0-9]|[12][0-9]), f?"' "${files[@]}" | grep -v '  # ' || true)"
exit "$bad"
