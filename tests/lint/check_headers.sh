#!/bin/bash
# Every header compiles alone; the client's also as C11 and as C++. Needs a build: generated headers.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/lint/includes.sh

one() {
	local header="$1" bad=0
	gcc -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Werror -fsyntax-only "${includes[@]}" -x c "$header" || bad=1
	case "$header" in
	client/include/*)
		gcc -std=c11 -Wall -Wextra -Werror -pedantic -fsyntax-only "${includes[@]}" -x c "$header" || bad=1
		g++ -std=c++11 -Wall -Wextra -Werror -fsyntax-only "${includes[@]}" -x c++ "$header" || bad=1
		;;
	esac
	return "$bad"
}

bad=0
while read -r header; do
	one "$header" || bad=1
done < <(git ls-files '*.h')
exit "$bad"
