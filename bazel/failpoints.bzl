"""The switch --//bazel:failpoints, and sl_with_failpoints: a program built with it, beside the usual build of it. See base/failpoint."""

SWITCH = "//bazel:failpoints"

def _setting(_ctx):
    return []

sl_failpoints_switch = rule(implementation = _setting, build_setting = config.bool(flag = True))

def _turn_on(_settings, _attr):
    return {SWITCH: True}

_with_failpoints = transition(implementation = _turn_on, inputs = [], outputs = [SWITCH])

def _link(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(output = out, target_file = ctx.executable.program, is_executable = True)
    return [DefaultInfo(executable = out, files = depset([out]))]

sl_with_failpoints = rule(
    implementation = _link,
    attrs = {
        "program": attr.label(executable = True, cfg = _with_failpoints),
        "_allowlist_function_transition": attr.label(default = "@bazel_tools//tools/allowlists/function_transition_allowlist"),
    },
    executable = True,
)
