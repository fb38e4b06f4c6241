"""The agent on a weak host: 64 MB of memory with its Git worker, a slow core, a slow disk. It works, and says what it does; what does not
fit into memory is said so, and the version before serves on."""
import json
import os
import random
import resource
import signal
import subprocess
import threading
import time

import harness

MB = 1 << 20
FILES, FILE_BYTES = 70, 100 * 1024
CORE_EVERY_S, CORE_SHARE = 0.1, 0.2
# Each of these calls takes so much longer, in microseconds; packs are written through a map, which only syncs slow down.
SLOW_DISK = ["fsync,fdatasync,syncfs:delay_exit=150000", "write,pwrite64:delay_exit=3000", "rename,renameat,renameat2,mkdirat:delay_exit=20000"]


def limited(megabytes):
    """For Popen: the program's and its worker's data, each; threads with small stacks, which count as data."""
    return ["prlimit", f"--data={megabytes * MB}:", f"--stack={MB}"]


def slow_disk(log):
    return ["strace", "-f", "-qq", "-o", log, "-e", "trace=none"] + [part for rule in SLOW_DISK for part in ("-e", "inject=" + rule)]


class WeakHost:
    """An app with one small version that dev-1 serves, and an agent that is started as the test wants it."""

    def __init__(self, world, prefix):
        self.server = world.server()
        self.client = self.server.client()
        self.repository = world.repository()
        self.repository.commit({"apps/shop/index.html": "small\n"})
        self.client.CreateRepository(name="apps", url=world.git_host("git").url(self.repository))
        self.client.RegisterInstance(name="dev-1", environment="development")
        self.client.CreateApp(name="shop", repository="apps")
        harness.wait_content(self.client, "shop", "v1")
        self.agent = world.add(harness.Agent(self.server, world.path("agent"), "dev-1"))
        self.agent.prefix = prefix
        self.agent.start()
        harness.until(lambda: self.serves() == "small\n", 60, "the first version")

    def serves(self):
        try:
            with open(os.path.join(self.agent.current("shop"), "index.html"), encoding="ascii") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def version(self, name, files, file_bytes):
        content = random.Random(1)
        for i in range(files):
            with open(os.path.join(self.repository.work, "apps/shop", f"part-{i}"), "wb") as file:
                file.write(content.randbytes(file_bytes))
        self.repository.commit({"apps/shop/index.html": name + "\n"})
        self.client.CreateVersion(app="shop", name=name)
        harness.wait_content(self.client, "shop", name, timeout=60)

    def own_status(self):
        """What `sluice-agent status` says of the app."""
        done = subprocess.run([harness.AGENT, "status", "-o", "json", "--state", self.agent.folder], check=True, capture_output=True, text=True)
        return json.loads(done.stdout)["apps"][0]

    def told_status(self):
        """The row of `sluice status shop`."""
        done = subprocess.run([harness.CLI, "--server", f"127.0.0.1:{self.server.port}", "status", "shop"], check=True, capture_output=True, text=True)
        return [line for line in done.stdout.splitlines() if "dev-1" in line][0]

    def processes(self):
        """The agent and what runs below it."""
        found, todo = [], [self.agent.program.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            try:
                with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
                    todo += [int(child) for child in file.read().split()]
            except (FileNotFoundError, ProcessLookupError):
                pass
        return found

    def resident(self):
        """Bytes of the agent and its worker that nobody else has: what the host needs for them."""
        total = 0
        for pid in self.processes():
            try:
                with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                    total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:")) * 1024
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                pass
        return total


class SlowCore:
    """Lets the processes run for a fifth of the time."""

    def __init__(self, host):
        self._host, self._over = host, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _signal(self, number):
        for pid in self._host.processes():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def _run(self):
        while not self._over.is_set():
            self._signal(signal.SIGSTOP)
            self._over.wait(CORE_EVERY_S * (1 - CORE_SHARE))
            self._signal(signal.SIGCONT)
            self._over.wait(CORE_EVERY_S * CORE_SHARE)

    def end(self):
        self._over.set()
        self._thread.join()
        self._signal(signal.SIGCONT)


def follow(host, name, timeout):
    """Until the version is served: all that the two programs said meanwhile, and the most memory."""
    own, told, most, deadline = [], [], 0, time.monotonic() + timeout
    while host.serves() != name + "\n":
        assert time.monotonic() < deadline, (own[-3:], told[-3:], host.agent.program.lines[-10:])
        assert host.serves() is not None
        most = max(most, host.resident())
        row = host.own_status()
        if row["wantedVersionId"] and row["phase"] != "HEALTHY":
            own.append((row["phase"], row["percent"]))
        told.append(host.told_status())
    return own, told, most


def said(own):
    return {phase for phase, _ in own}, [percent for phase, percent in own if phase == "FETCHING" and percent > 0]


def test_with_64_mb_a_slow_core_and_a_slow_disk_a_bundle_of_7_mb_is_served_and_progress_is_told(world):
    host = WeakHost(world, slow_disk(world.path("strace")) + limited(64))
    core = world.add(SlowCore(host))
    host.version("v2", FILES, FILE_BYTES)
    own, told, _ = follow(host, "v2", 120)
    phases, percents = said(own)
    assert {"FETCHING", "VERIFYING"} <= phases, own
    assert percents == sorted(percents) and len(set(percents)) > 1, own
    assert any("FETCHING" in row or "VERIFYING" in row for row in told), told
    assert any(" %" in row for row in told), told
    core.end()
    harness.until(lambda: host.own_status()["phase"] == "HEALTHY", 60, "HEALTHY")
    assert host.own_status()["percent"] == 0
    assert not os.path.exists(os.path.join(host.agent.folder, "pulling"))
    harness.until(lambda: "HEALTHY" in host.told_status(), 60, "the server knows")


def test_agent_and_worker_together_stay_below_64_mb(world):
    host = WeakHost(world, limited(64))
    host.version("v2", FILES, FILE_BYTES)
    _, _, most = follow(host, "v2", 60)
    assert 5 * MB < max(most, host.resident()) < 64 * MB


def test_a_file_that_does_not_fit_into_memory_is_said_so_and_the_version_before_serves_on(world):
    host = WeakHost(world, limited(64))
    host.version("big", 1, 70 * MB)
    row = harness.until(lambda: [r for r in [host.own_status()] if r["error"]], 60, "an error")[0]
    assert row["error"].startswith("OUT_OF_MEMORY: "), row
    assert row["phase"] == "PENDING" and row["activeVersion"] == "v1"
    assert "OUT_OF_MEMORY" in harness.until(lambda: [r for r in [host.told_status()] if "OUT_OF_MEMORY" in r], 60, "the server knows")[0]
    assert host.serves() == "small\n" and host.agent.program.running
    # Once there is room, the next attempt works.
    _, hard = resource.prlimit(host.agent.program.process.pid, resource.RLIMIT_DATA)
    resource.prlimit(host.agent.program.process.pid, resource.RLIMIT_DATA, (hard, hard))
    harness.until(lambda: host.serves() == "big\n", 60, "another attempt")


def test_a_worker_that_the_kernel_kills_is_a_lack_of_memory_and_tried_again(world):
    """What the kernel does when memory is short; it takes the worker first, which says so of itself."""
    host = WeakHost(world, slow_disk(world.path("strace")))
    agent = host.processes()
    host.version("v2", FILES, FILE_BYTES)

    def worker():
        for pid in host.processes():
            if pid not in agent:
                with open(f"/proc/{pid}/oom_score_adj", encoding="ascii") as file:
                    if file.read().strip() == "1000":
                        return pid
        return None

    os.kill(harness.until(worker, 60, "a worker that goes first"), signal.SIGKILL)
    found = host.agent.program.wait_line("pull-failed .*", 60).group(0)
    assert "again=yes" in found and "OUT_OF_MEMORY: the git worker was killed" in found, found
    harness.until(lambda: host.serves() == "v2\n", 60, "the next attempt")
