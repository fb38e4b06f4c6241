"""Under a service manager: what both daemons tell it, and how little their units let them do."""
import glob
import os
import re
import signal
import socket
import subprocess
import time

import harness

UNITS = os.path.join(os.environ.get("SLUICE_ROOT", "."), "packaging", "systemd")
WATCHDOG_MS = 4000  # half of it between two words: the kernel keeps ten of them for a manager that is busy
EXPOSURE_MAX = 30  # 3.0 of 10: what systemd-analyze calls OK


class Manager:
    """The manager's end of sd_notify(3)'s protocol."""

    def __init__(self, name):
        self.name = "@sluice-test-%d-%s" % (os.getpid(), name)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.name[1:])
        self.heard = []

    def env(self, watchdog_ms):
        return {"NOTIFY_SOCKET": self.name, "WATCHDOG_USEC": str(watchdog_ms * 1000)}

    def listen(self, seconds, until=None):
        """Collects lines for so long, or until that line comes."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.socket.settimeout(max(end - time.monotonic(), 0.01))
            try:
                self.heard.append(self.socket.recv(4096).decode())
            except TimeoutError:
                break
            if self.heard[-1] == until:
                return True
        return until is None


def lives_and_stops(manager, program):
    assert manager.listen(60, "READY=1"), manager.heard
    for _ in range(3):
        assert manager.listen(60, "WATCHDOG=1"), manager.heard
    # A process that hangs is not alive: nothing comes.
    program.kill(signal.SIGSTOP)
    manager.listen(0.3)
    manager.heard.clear()
    manager.listen(4)
    assert manager.heard == []
    program.kill(signal.SIGCONT)
    assert manager.listen(60, "WATCHDOG=1"), manager.heard
    program.kill(signal.SIGTERM)
    assert manager.listen(60, "STOPPING=1"), manager.heard
    assert program.wait(60) == 0


def test_the_server_tells_its_manager(world):
    manager = Manager("server")
    server = world.server(env=manager.env(WATCHDOG_MS))
    lives_and_stops(manager, server.program)


def test_the_agent_tells_its_manager(world):
    manager = Manager("agent")
    server = world.server()
    server.client().RegisterInstance(name="dev-1", environment="development")
    agent = world.agent(server, "dev-1", env=manager.env(WATCHDOG_MS))
    lives_and_stops(manager, agent.program)


def units():
    found = sorted(glob.glob(os.path.join(UNITS, "*.service")))
    assert len(found) == 2, found
    return found


def test_units_expose_little():
    for unit in units():
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX}", "--no-pager", unit],
                              capture_output=True, text=True)
        level = re.search(r"Overall exposure level .*: ([0-9.]+)", done.stdout)
        assert done.returncode == 0 and level, done.stdout + done.stderr
        assert float(level.group(1)) <= EXPOSURE_MAX / 10, unit


def test_units_say_what_the_manager_knows():
    """No section, setting or value that systemd would pass over with a warning."""
    for unit in units():
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
        # The programs are not installed here, which is all that may be wrong.
        wrong = [line for line in done.stderr.splitlines() if os.path.basename(unit) in line and "is not executable" not in line]
        assert wrong == []


def test_units_start_what_the_programs_know():
    """Each ExecStart's words are flags of the program."""
    for unit in units():
        with open(unit, encoding="utf-8") as file:
            words = re.search(r"^ExecStart=/usr/bin/(.*)$", file.read(), re.MULTILINE).group(1).split()
        program = {"sluiced": harness.SLUICED, "sluice-agent": harness.AGENT}[words[0]]
        help_text = subprocess.run([program, words[1], "--help"], capture_output=True, text=True, check=True).stdout
        for flag in [word for word in words if word.startswith("--")]:
            assert flag in help_text, (unit, flag)
