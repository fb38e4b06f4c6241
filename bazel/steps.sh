# steps: named steps that are timed, counted and reported. Sourced by ./check and .ci/run (bash).
#
#   step NAME SECONDS command...          one step: passed or failed
#   step_tests NAME SECONDS bazel args... one `bazel test`: each test target counts
#   steps_end                             the sums, "N passed, N failed"; false when something failed
#
# What a command prints goes to a log; a failure shows its tail and its path.

passed=0
failed=0
failures=()
logs="$(mktemp -d "${TMPDIR:-/tmp}/sluice-logs.XXXXXX")"

# Bazel wants a home that can be written.
if [ -z "${HOME:-}" ] || [ ! -d "$HOME" ] || [ ! -w "$HOME" ]; then
	HOME="${TMPDIR:-/tmp}/sluice-home-$(id -u)"
	mkdir -p -m 700 "$HOME"
	export HOME
fi

# Links of a run with another home lead into its outputs, which Bazel would take for packages.
for _link in bazel-*; do
	[ ! -L "$_link" ] || rm -f "$_link"
done

# Outputs of every configuration side by side: changing it costs no second build.
bazel_flags=(--disk_cache="$HOME/.cache/sluice-disk" --noshow_progress --color=no --curses=no --keep_going)

# Clients in other languages, for the end-to-end tests. Not there: those tests say so and fail.
bazel_flags+=("--test_env=SLUICE_NODE_MODULES=$(bazel/install-npm)")

_pass() {
	passed=$((passed + 1))
}

_fail() { # name
	failed=$((failed + 1))
	failures+=("$1")
}

# The end of a log, without what passed.
_tail() { # log
	sed 's/^/    | /' <(grep -vE '^//[^ ]+ +(\(cached\) )?PASSED|^\[ +(RUN|OK) +\]' "$1" | tail -n 60)
	echo "    all of it: $1"
}

# Runs a command with a time limit; its output goes to the log.
_run() { # seconds log command...
	local seconds="$1" log="$2" rc=0
	shift 2
	timeout -k 15 "$seconds" "$@" </dev/null >"$log" 2>&1 || rc=$?
	if [ "$rc" -eq 124 ] || [ "$rc" -eq 137 ]; then
		echo "took longer than $seconds s and was ended" >>"$log"
	fi
	return "$rc"
}

_log_of() { # name
	echo "$logs/$(tr -c 'a-zA-Z0-9\n' '-' <<<"$1").log"
}

step() { # name seconds command...
	local name="$1" seconds="$2" log start="$SECONDS"
	log="$(_log_of "$name")"
	shift 2
	if _run "$seconds" "$log" "$@"; then
		_pass
		printf 'ok    %-34s %5d s\n' "$name" $((SECONDS - start))
		return 0
	fi
	_fail "$name"
	printf 'FAIL  %-34s %5d s\n' "$name" $((SECONDS - start))
	_tail "$log"
	return 1
}

# Result lines look like "//x:y   (cached) PASSED in 1.2s".
_results() { # log
	grep -E '^//[^ ]+ +(\(cached\) )?(PASSED|FLAKY|FAILED|TIMEOUT|NO STATUS|INCOMPLETE|REMOTE FAILURE)' "$1" || true
}

# One test more at a time than there are cores: the longest wait for what has to come, and need none.
step_tests() { # name seconds bazel-test-arguments...
	local name="$1" seconds="$2" log start="$SECONDS" rc=0 good=0 bad=0 line
	log="$(_log_of "$name")"
	shift 2
	_run "$seconds" "$log" bazel test "${bazel_flags[@]}" --local_test_jobs=$(($(nproc) + 1)) --test_output=errors "$@" || rc=$?
	while read -r line; do
		[ -n "$line" ] || continue
		if [[ "$line" =~ (PASSED|FLAKY) ]]; then
			_pass
			good=$((good + 1))
			continue
		fi
		_fail "$name: ${line%% *}"
		bad=$((bad + 1))
		echo "      $line"
	done < <(_results "$log")
	# 4: no test matched, which is no failure.
	if [ "$rc" -ne 0 ] && [ "$rc" -ne 4 ] && [ "$bad" -eq 0 ]; then
		_fail "$name"
		bad=1
	fi
	if [ "$bad" -eq 0 ]; then
		printf 'ok    %-34s %5d s  %d tests\n' "$name" $((SECONDS - start)) "$good"
		return 0
	fi
	printf 'FAIL  %-34s %5d s  %d of %d tests\n' "$name" $((SECONDS - start)) "$bad" $((good + bad))
	_tail "$log"
	return 1
}

steps_end() {
	local name
	for name in "${failures[@]}"; do
		echo "failed: $name"
	done
	[ "$failed" -gt 0 ] || rm -rf "$logs"
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ]
}
