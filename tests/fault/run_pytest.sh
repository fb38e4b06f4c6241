#!/bin/sh
# Runs the harness's own tests.
set -eu
unset PYTHONPATH PYTHONHOME
export HOME="$TEST_TMPDIR" PYTHONDONTWRITEBYTECODE=1
exec /usr/bin/python3 -m pytest -q -x -p no:cacheprovider --junitxml="${XML_OUTPUT_FILE:-$TEST_TMPDIR/out.xml}" "$@"
