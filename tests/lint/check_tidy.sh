#!/bin/bash
# clang-tidy over every C file, two at a time; `--one FILE`: over this one. A file is looked at again only
# when it, a header that it includes, .clang-tidy or the tool changed: what was clean is kept in
# ~/.cache/sluice-tidy. Needs a build: generated headers. Half an hour when nothing is kept.
set -euo pipefail
if [ "${1:-}" = --help ]; then
	sed -n '2,4s/^# //p' "$0"
	exit
fi
cd "$(dirname "$0")/../.."
. tests/lint/includes.sh
flags=(-std=gnu17 -D_GNU_SOURCE "${includes[@]}")
cache="${HOME:-/tmp}/.cache/sluice-tidy"

one() {
	local file="$1" key
	# -C: comments count, NOLINT is one.
	key="$( { cat .clang-tidy; clang-tidy --version; clang "${flags[@]}" -E -C "$file" || true; } 2>/dev/null |
		sha256sum | cut -d' ' -f1)"
	[ ! -e "$cache/$key" ] || return 0
	local out
	if out="$(clang-tidy --quiet "$file" -- "${flags[@]}" 2>&1)"; then
		: >"$cache/$key"
		return 0
	fi
	echo "$out"
	return 1
}

if [ "${1:-}" = --one ]; then
	one "$2"
	exit
fi
mkdir -p "$cache"
find "$cache" -type f -mtime +60 -delete
git ls-files -z '*.c' ':!tests/data' | xargs -0 -n 1 -P 2 "$0" --one
