#!/bin/bash
# The README's table of reasons is the list in base/err/reason.h. Usage: check_reasons.sh [--write]
set -euo pipefail
cd "$(dirname "$0")/../.."
mark='<!-- reasons: printed from base/err/reason.h by tests/lint/check_reasons.sh -->'
table="$(
	echo '| reason | meaning |'
	echo '| --- | --- |'
	sed -nE 's/^\tX\(([A-Z_]+), "(.*)"\)( \\)?$/| `\1` | \2 |/p' base/err/reason.h
)"
wanted="$(sed "/^$mark\$/q" README.md && echo && echo "$table")"
if [ "${1:-}" = --write ]; then
	rest="$(sed -n "/^$mark\$/,\$p" README.md | sed 1d | sed -n '/^## /,$p')"
	{
		echo "$wanted"
		[ -z "$rest" ] || printf '\n%s\n' "$rest"
	} >README.md.new
	mv README.md.new README.md
	exit 0
fi
if ! grep -qxF "$mark" README.md || ! [[ "$(cat README.md)" == "$wanted"* ]]; then
	echo "README.md: the table of reasons is not base/err/reason.h's: run tests/lint/check_reasons.sh --write"
	exit 1
fi
