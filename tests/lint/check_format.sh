#!/bin/bash
# Every C file is as clang-format 14 writes it with the tree's .clang-format. Names those that are not.
set -euo pipefail
cd "$(dirname "$0")/../.."
bad=0
while read -r file; do
	if ! clang-format --dry-run --Werror "$file" >/dev/null 2>&1; then
		echo "$file: clang-format -i would change it"
		bad=1
	fi
done < <(git ls-files '*.c' '*.h')
exit "$bad"
