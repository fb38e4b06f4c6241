#!/bin/sh
# Runs the Python files named on the command line under Debian's Python, which
# has grpcio; the python3 on PATH may be another one.
set -eu
unset PYTHONPATH PYTHONHOME
HOME=$TEST_TMPDIR
export HOME
exec /usr/bin/python3 -m pytest -q -p no:cacheprovider --basetemp="$TEST_TMPDIR/pytest" \
	--junitxml="$XML_OUTPUT_FILE" "$@"
