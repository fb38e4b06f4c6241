#!/bin/bash
# Every file and folder that the documents name is there, and every folder of the programs has its line in ARCHITECTURE.md. `base/x/y`
# stands for y.h, y.c or a target of that name, too; paths in tests/*/README.md may begin at its folder; `name.c` is anywhere.
set -euo pipefail
cd "$(dirname "$0")/../.."
files="$(git ls-files -co --exclude-standard)"
bad=0
complain() { echo "$1"; bad=1; }

is_there() { # path
	local path="${1%/}"
	[ -e "$path" ] || compgen -G "$path.[ch]" >/dev/null ||
		grep -qsF "name = \"${path##*/}\"" "${path%/*}/BUILD"
}

named() { # file
	grep -oE $'\x60[^\x60]+\x60' "$1" | grep -oE '[A-Za-z0-9_./-]+' |
		grep -E '^(base|server|agent|client|proto|tests|bazel|docs|packaging)/[a-z]|^[a-z_]+\.(c|h|py|sh|proto|bzl)$|^[a-z]+/fuzz_[a-z_]+$' | sort -u
}

for document in ARCHITECTURE.md README.md SECURITY.md tests/*/README.md; do
	while read -r path; do
		case "$path" in
		*/*) is_there "$path" || is_there "${document%/*}/$path" ;;
		*) grep -qE "(^|/)$path\$" <<<"$files" ;;
		esac || complain "$document names \`$path\`, which is not there"
	done < <(named "$document")
	while read -r path; do
		[ -e "$(dirname "$document")/$path" ] || complain "$document has a link to $path, which is not there"
	done < <(grep -oE '\]\([^)#: ]+' "$document" | cut -c3- | sort -u)
done

folders="$(sed -n '/^## Folders/,/^\*\*/p' ARCHITECTURE.md)"
for top in base server agent client tests; do
	block="$(awk -v top="$top/" '/^[a-z]/ { ours = index($0, top) == 1 } ours' <<<"$folders")"
	while read -r folder; do
		grep -qE "(^|[ ,])$folder(/|[ ,])" <<<"$block" || complain "ARCHITECTURE.md says nothing of $top/$folder"
	done < <(grep -oE "^$top/[^/]+/" <<<"$files" | cut -d/ -f2 | sort -u)
done
exit "$bad"
