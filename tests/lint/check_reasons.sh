#!/bin/bash
# The README's table of reasons is the list in base/err/reason.h. Usage: check_reasons.sh [--write]
set -euo pipefail
cd "$(dirname "$0")/../.."

readme_with_table() {
	# A reason is X(NAME, "meaning"), which the format may break over lines.
	local table
	table="$(sed 's/\\$//' base/err/reason.h | tr -d '\n' | tr -s '[:space:]' ' ' |
		grep -oE 'X\([A-Z_]+, ?"[^"]*"( "[^"]*")*\)' | sed -E 's/" "//g; s/^X\(([A-Z_]+), ?"(.*)"\)$/| `\1` | \2 |/')"
	awk -v table="$table" '
		/^<!-- reasons: / { print; print "\n| reason | meaning |\n| --- | --- |\n" table "\n"; skip = 1; next }
		/^## / { skip = 0 }
		!skip { print }' README.md
}

if [ "${1:-}" = --write ]; then
	readme_with_table >README.md.new
	mv README.md.new README.md
	exit 0
fi
if ! diff -q <(readme_with_table) README.md >/dev/null; then
	echo "README.md: the table of reasons is not base/err/reason.h's: run tests/lint/check_reasons.sh --write"
	exit 1
fi
