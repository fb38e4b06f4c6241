"""The programs of client/examples against a real server."""
import json
import os
import pathlib
import pwd
import signal
import subprocess

import pytest

from conftest import ROOT
from test_cli import shop

EXAMPLES = ROOT / "client" / "examples"


def start(fleet, *command):
    return subprocess.Popen([str(c) for c in command], env=fleet.env | {"SLUICE_PROTO": str(ROOT / "proto")},
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process):
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


def address(fleet):
    return f"127.0.0.1:{fleet.server.port}"


def test_promote_bot_promotes_what_was_there_and_what_comes(fleet):
    shop(fleet)
    fleet.promoted("shop", "v1", "staging")
    bot = start(fleet, EXAMPLES / "promote_bot", address(fleet))
    assert bot.stdout.readline() == "promoting from staging to production\n"
    assert bot.stdout.readline().startswith("promoted shop v1 to production")
    fleet.server.stop()
    fleet.server.start()
    fleet.sluice("version", "create", "shop", "v2")
    fleet.promoted("shop", "v2", "staging")
    assert bot.stdout.readline().startswith("promoted shop v2 to production")
    assert end(bot) == ""
    promoted = fleet.sluice("version", "ls", "shop", "--env", "production", "-o", "name").out
    assert promoted == "v2\nv1\n"


def test_watch_py_misses_nothing_over_restarts_of_both(fleet):
    state = fleet.path / "watched"
    program = ("/usr/bin/python3", EXAMPLES / "watch.py", "--server", address(fleet), "--state", state)
    first = start(fleet, *program, "--from", "1")
    fleet.sluice("workspace", "add", "unseen")
    shop(fleet)
    seen = [json.loads(first.stdout.readline())]
    while seen[-1]["kind"] != "EVENT_KIND_APP":
        seen.append(json.loads(first.stdout.readline()))
    end(first)
    fleet.sluice("version", "note", "shop", "v1", "while nobody looked")
    fleet.server.stop()
    fleet.server.start()
    second = start(fleet, *program)
    events = [json.loads(second.stdout.readline())]
    while events[-1]["kind"] != "EVENT_KIND_NOTE":
        events.append(json.loads(second.stdout.readline()))
    assert events[-1]["note"]["text"] == "while nobody looked"
    end(second)
    refused = start(fleet, *program[:4], "--from", "999999")
    assert refused.wait(60) == 3 and "OUT_OF_RANGE" in refused.stderr.read()


def node_modules():
    home = pathlib.Path(pwd.getpwuid(os.getuid()).pw_dir)
    return next(iter(sorted((home / ".cache" / "sluice-npm").glob("*/node_modules/@grpc/proto-loader"))), None)


@pytest.mark.skipif(node_modules() is None, reason="bazel/install-npm has not run on this machine")
def test_status_mjs_shows_the_fleet_and_reads_errors(fleet):
    shop(fleet)
    fleet.sluice("instance", "add", "dev-1", "--env", "development")
    env = fleet.env | {"SLUICE_PROTO": str(ROOT / "proto"), "NODE_PATH": str(node_modules().parent.parent)}
    run = lambda *a: subprocess.run(["node", EXAMPLES / "status.mjs", address(fleet), *a], env=env, text=True,
                                    capture_output=True, timeout=60)
    waiting = run()
    assert waiting.returncode == 2, waiting.stderr
    assert "shop: released nothing" in waiting.stdout and "- development: v1 on 0 of 1" in waiting.stdout
    fleet.agent("dev-1")
    fleet.sluice("wait", "shop", "--env", "development", "--all", "--timeout", "60s")
    assert run().returncode == 0
    unknown = run("nowhere")
    assert unknown.returncode == 3 and "NOT_FOUND" in unknown.stderr and "WORKSPACE_NOT_FOUND" in unknown.stderr
