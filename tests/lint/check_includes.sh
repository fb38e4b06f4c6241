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
owner 'xxhash\.h' 'server/store'
owner 'lmdb\.h' 'server/store'
owner 'grpc/' 'server/rpc|client/rpc'
owner 'sodium' 'base/crypto'
owner 'git2' 'base/git'
owner 'zlib\.h' 'base/git'
owner 'seccomp' 'base/confine'
owner 'jansson' 'base/json'
owner 'microhttpd' 'server/metrics'
owner 'libsmartcols' 'client/cli'
owner 'uni(str|norm|case)\.h' 'base/git'
owner 'openssl/' 'base/tls'
owner 'nghttp2/' 'tests/bench'

# Downward only: base knows nobody; server, agent and client know base, proto and client's two shared folders.
never() { # folder  forbidden-path-regex  why
	[ -d "$1" ] || return 0
	found=$(grep -rnE "^#include \"($2)" --include='*.[ch]' "$1" | grep -vE '#include "client/(include|rpc)/' || true)
	if [ -n "$found" ]; then
		echo "$found"
		echo "$1: $3"
		bad=1
	fi
}
never base 'server/|agent/|client/|tests/' 'base stands below the programs'
never server 'agent/|client/|tests/' 'of the other programs only client/include and client/rpc'
never agent 'server/|client/|tests/' 'of the other programs only client/include and client/rpc'
never client 'server/|agent/|tests/' 'the client knows neither server nor agent'
never server/store 'server/(records|services|rules|rpc|watch|fleet|gitsync|access)/' 'the store knows no records'
never server/rules 'server/(store|services|rpc|watch|fleet|gitsync|access|metrics)/' 'rules are pure'
never server/records 'server/(services|rpc|watch|fleet|gitsync|access)/' 'records stand below services'
# What .ci/run takes as given when it looks for races.
found=$(grep -rlE '\b(pthread_create|thrd_create)\(' --include='*.[ch]' base agent || true)
if [ -n "$found" ]; then
	echo "$found: base and agent start no threads"
	bad=1
fi
for f in $(grep -rlE '^#include ".*_internal\.h"' --include='*.[ch]' base server agent client 2>/dev/null || true); do
	for inc in $(sed -nE 's/^#include "(.*_internal\.h)"/\1/p' "$f"); do
		if [ "$(dirname "$inc")" != "$(dirname "$f")" ]; then
			echo "$f: $inc is private to $(dirname "$inc")"
			bad=1
		fi
	done
done
exit $bad
