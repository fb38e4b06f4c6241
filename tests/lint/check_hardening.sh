#!/bin/sh
# What a release is built with, read from the programs themselves. Usage: check_hardening.sh PROGRAM...
# after `bazel build --config=hard`.
set -eu
bad=0
[ $# -gt 0 ] || { echo "usage: check_hardening.sh PROGRAM..." >&2; exit 64; }

# wants NAME TEXT PATTERN: the text has a line like that.
wants() {
	if ! printf '%s\n' "$2" | grep -qE "$3"; then
		echo "$program: $1 is missing"
		bad=1
	fi
}

for program; do
	headers=$(readelf -hlW "$program")
	dynamic=$(readelf -dW "$program")
	symbols=$(readelf --dyn-syms -W "$program")
	wants "position independence (-pie)" "$dynamic" 'FLAGS_1.*PIE'
	wants "a read-only GOT (-z relro)" "$headers" 'GNU_RELRO'
	wants "binding at start (-z now)" "$dynamic" 'BIND_NOW'
	wants "a stack that is not executable" "$headers" 'GNU_STACK.* RW +0x'
	wants "stack protection" "$symbols" '__stack_chk_fail'
	wants "_FORTIFY_SOURCE" "$symbols" '__(memcpy|snprintf|vsnprintf|fprintf|memset)_chk'
	if printf '%s\n' "$dynamic" | grep -qE 'RPATH|RUNPATH|TEXTREL'; then
		echo "$program: it names folders of the machine that built it, or patches its code"
		bad=1
	fi
done
exit $bad
