# includes: where the compiler finds headers outside Bazel, in the array of that name. Sourced (bash).
# shellcheck disable=SC2034
includes=(-I. -Iclient/include -Ibazel-bin -Ibazel-bin/proto -Ibazel-bin/agent/state -Ibazel-bin/tests/data/proto)
