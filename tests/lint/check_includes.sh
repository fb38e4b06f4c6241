#!/bin/sh
# Layering that Bazel cannot see, because system headers are always on the path:
# each third-party header belongs to one folder. Usage: check_includes.sh ROOT
set -eu
cd "$1"
bad=0
owner() { # header-regex  folder-regex
	found=$(grep -rlE "^#include <$1" --include='*.[ch]' base server agent client proto 2>/dev/null | grep -vE "^($2)/" || true)
	for f in $found; do
		echo "$f: only $2 may include <$1...>"
		bad=1
	done
}
owner 'lmdb\.h' 'server/store'
owner 'grpc/' 'server/rpc|client/rpc'
owner 'sodium' 'base/crypto'
owner 'git2' 'base/git'
owner 'seccomp' 'base/confine'
owner 'jansson' 'base/json'
owner 'microhttpd' 'server/metrics'
owner 'libsmartcols' 'client/cli'
for f in $(grep -rlE '^#include ".*_internal\.h"' --include='*.[ch]' base server agent client 2>/dev/null || true); do
	for inc in $(sed -nE 's/^#include "(.*_internal\.h)"/\1/p' "$f"); do
		if [ "$(dirname "$inc")" != "$(dirname "$f")" ]; then
			echo "$f: $inc is private to $(dirname "$inc")"
			bad=1
		fi
	done
done
exit $bad
