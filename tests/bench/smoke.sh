#!/bin/sh
# The frame of the bench holds: figures come out and are above 0. How large they are is no test's business.
set -eu
run() {
	tests/bench/bench --quick --seconds 1s --cores free --dir "$TEST_TMPDIR" --seed "$TEST_TMPDIR/seed" --json "$TEST_TMPDIR/results.json" "$@"
}
run --rows P3,P4,P7,P10
run --tls --rows P4,P8,P10
