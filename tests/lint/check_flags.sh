#!/bin/bash
# docs/FLAGS.md is what the programs' own tables of flags say. Usage: check_flags.sh [--write]
set -euo pipefail
cd "$(dirname "$0")/../.."

programs=(server:sluiced agent:sluice-agent client/cli:sluice)
bazel build --noshow_progress --color=no --curses=no "${programs[@]/#/\/\/}" 2>/dev/null

flags() {
	local program
	cat <<-END
	# Flags

	Every flag of every program, printed by \`sluiced man markdown\` and its like from the tables that the programs parse by
	(\`tests/lint/check_flags.sh --write\`). A flag with a \`\$VARIABLE\` can be set in the environment too; the command line wins.
	END
	for program in "${programs[@]}"; do
		echo
		"bazel-bin/${program/://}" man markdown
	done
}

if [ "${1:-}" = --write ]; then
	flags >docs/FLAGS.md.new
	mv docs/FLAGS.md.new docs/FLAGS.md
	exit 0
fi
if ! diff -q <(flags) docs/FLAGS.md >/dev/null; then
	echo "docs/FLAGS.md is not what the programs say: run tests/lint/check_flags.sh --write"
	exit 1
fi
