"""Faults together end in time, whatever one of them does; and what a test started ends with it."""
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
E2E = os.path.join(HERE, "../e2e/lib")
sys.path[:0] = [os.path.join(HERE, "lib"), E2E]

import pytest  # noqa: E402
import together  # noqa: E402
import world  # noqa: E402

# A fault: what it does, then its report.
FAULT = """
import json, os, signal, subprocess, sys, time
name, seconds, folder, does = sys.argv[1:]
if does == "hangs":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "600"])
    open(os.path.join(folder, "child"), "w").write(str(child.pid))
    time.sleep(600)
if does == "ends":
    sys.exit(3)
done = 4 if float(seconds) > 20 else 2
json.dump({"passed": does == "passes", "done": done, "rounds": 4}, open(os.path.join(folder, name + ".json"), "w"))
sys.exit(does != "passes")
"""


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_end(pid):
    until = time.monotonic() + 30
    while lives(pid):
        assert time.monotonic() < until, f"{pid} still runs"
        time.sleep(0.02)


def put_together(folder, does, weights, seconds):
    def command(name, share, out):
        return [sys.executable, "-c", FAULT, name, str(share), out, does[name]]

    return together.Together(weights, command, 2, seconds, str(folder))


def test_each_has_its_share_and_says_what_it_did(tmp_path):
    made = put_together(tmp_path, {"F1": "passes", "F2": "passes", "F10": "passes"}, {"F1": 90, "F2": 9, "F10": 1}, 115)
    assert made.run()
    lines = [line.split() for line in made.table().splitlines()]
    assert [(line[0], line[1:4], line[-1]) for line in lines[1:]] == [
        ("F1", ["4", "of", "4"], "passed"), ("F2", ["4", "of", "4"], "passed"), ("F10", ["4", "of", "4"], "passed")]
    shares = [int(line[5]) for line in lines[1:]]
    assert 90 <= shares[0] <= 100 and shares[1] <= 100 and shares[2] <= 100


def test_what_fails_or_says_nothing_is_no_success(tmp_path):
    (tmp_path / "F2.json").write_text('{"passed": true, "done": 1, "rounds": 1}')  # of an earlier run
    made = put_together(tmp_path, {"F1": "fails", "F2": "ends"}, {"F1": 1, "F2": 1}, 60)
    assert not made.run()
    assert "FAILED" in made.table() and "NO REPORT: exit code 3" in made.table()


def test_what_hangs_is_ended_with_its_children_and_the_rest_has_its_turn(tmp_path, monkeypatch):
    monkeypatch.setattr(together, "GRACE_S", 1)
    monkeypatch.setattr(together, "LATE_S", 1)
    began = time.monotonic()
    made = put_together(tmp_path, {"F1": "hangs", "F2": "passes", "F3": "passes"}, {"F1": 2, "F2": 1, "F3": 1}, 9)
    assert not made.run()
    assert time.monotonic() - began < 30
    assert "ENDED: it took longer" in made.table() and made.table().count("passed") == 2
    wait_end(int((tmp_path / "child").read_text()))


@pytest.mark.parametrize("share, least, expected", [(None, 1, 8), (3600, 1, 8), (0, 1, 1), (0, 3, 3)])
def test_rounds_end_with_the_share(share, least, expected):
    run = world.Run(None, "F1", 8, 1, share)
    try:
        assert list(run.turns(least=least)) == list(range(expected)) and run.report.rounds_done == expected
        assert ("of 8 rounds" in run.report.text()) == (expected < 8)
        assert len(list(run.turns(least=8))) == 8 and run.report.rounds_done == expected  # the part that did fewest
    finally:
        run.end()


def test_what_was_started_ends_with_who_is_killed(tmp_path):
    script = f"import sys, time; sys.path.insert(0, {E2E!r}); import harness; print(harness.Program(['sleep', '600']).process.pid, flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as killed:
        pid = int(killed.stdout.readline())
        assert lives(pid)
        killed.send_signal(signal.SIGKILL)
    wait_end(pid)
