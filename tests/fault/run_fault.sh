#!/bin/sh
# Runs faults from the runfiles' root, with Debian's Python (grpcio and protobuf are packages of its).
set -eu
unset PYTHONPATH PYTHONHOME
export HOME="$TEST_TMPDIR" PYTHONDONTWRITEBYTECODE=1 SLUICE_ROOT="$PWD"
exec /usr/bin/python3 tests/fault/run --report "${TEST_UNDECLARED_OUTPUTS_DIR:-$TEST_TMPDIR/report}" "$@"
