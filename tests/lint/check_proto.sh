#!/bin/bash
# buf lint over proto/ by proto/buf.yaml. buf is installed once, from npm, into ~/.cache/sluice-npm.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=1.75.0
home="${HOME:-/tmp}/.cache/sluice-npm/buf-$version"
if [ ! -x "$home/node_modules/.bin/buf" ]; then
	mkdir -p "$home"
	npm install --prefix "$home" --no-save --no-audit --no-fund --loglevel=error "@bufbuild/buf@$version"
fi
"$home/node_modules/.bin/buf" lint proto
