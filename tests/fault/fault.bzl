"""sl_fault_test: faults of tests/fault/run against the real programs, with few rounds."""

def sl_fault_test(name, faults, rounds = 0, size = "large", tags = [], data = []):
    native.sh_test(
        name = name,
        size = size,
        srcs = ["run_fault.sh"],
        args = faults + (["--rounds", str(rounds)] if rounds else []),
        data = [
            "run",
            "//agent:sluice-agent",
            "//client/cli:sluice",
            "//packaging:systemd",
            "//proto:api",
            "//server:sluiced",
            "//tests/e2e:harness",
        ] + native.glob(["lib/*.py", "faults/*.py"]) + data,
        tags = ["block-network", "slow", "no-asan", "no-tsan"] + tags,
    )
