"""sl_e2e_test: a pytest file against the real programs."""

def sl_e2e_test(name, src, size = "large", tags = [], data = []):
    native.sh_test(
        name = name,
        size = size,
        testonly = True,
        srcs = ["run_pytest.sh"],
        args = ["$(location %s)" % src],
        data = [
            src,
            "conftest.py",
            "lib/guard.py",
            "lib/harness.py",
            "//agent:sluice-agent",
            "//client/cli:sluice",
            "//proto:api",
            "//server:sluiced",
        ] + data,
        tags = ["block-network"] + tags,
    )
