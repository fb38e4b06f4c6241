#!/bin/bash
# buf lint over proto/ by proto/buf.yaml.
set -euo pipefail
cd "$(dirname "$0")/../.."
"$(bazel/install-npm)/.bin/buf" lint proto
