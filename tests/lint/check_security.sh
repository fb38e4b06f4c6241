#!/bin/bash
# Every test that SECURITY.md names is there: files and folders by their path, functions by their name.
set -euo pipefail
cd "$(dirname "$0")/../.."

bad=0
while read -r name; do
	case "$name" in
	tests/*) [ -e "$name" ] && continue ;;
	*) grep -rqE --include='*.py' --include='*.c' "(def|void) $name\(" tests && continue ;;
	esac
	echo "SECURITY.md names \`$name\`, which is not there"
	bad=1
done < <(grep -oE '`(tests/[A-Za-z0-9_./-]+|test_[a-z0-9_]+)`' SECURITY.md | tr -d '`' | sort -u)
exit "$bad"
