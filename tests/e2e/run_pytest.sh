#!/bin/sh
# Runs pytest on the files named, with Debian's Python (grpcio and protobuf are packages of its), from the runfiles' root.
set -eu
unset PYTHONPATH PYTHONHOME
export HOME="$TEST_TMPDIR" PYTHONDONTWRITEBYTECODE=1 SLUICE_ROOT="$PWD"
exec /usr/bin/python3 -m pytest -q -x -p no:cacheprovider --basetemp="$TEST_TMPDIR/pytest" --junitxml="${XML_OUTPUT_FILE:-$TEST_TMPDIR/out.xml}" "$@"
