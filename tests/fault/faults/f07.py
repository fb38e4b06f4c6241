"""F7: readers that stop (SIGSTOP) under load: a watching program and an agent; when they go on, they lose nothing. The server's
memory and store do not grow because of them."""
import os
import signal
import subprocess
import time

import harness
from fleet import Fleet

TEXT = "a stopped watcher and a stopped agent under load"
ROUNDS, FULL = 20, 60  # seconds that they are stopped
SECONDS = 30
GROWTH = 64 << 20


def resident(program):
    with open(f"/proc/{program.process.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def run(run):
    server = run.server(["--heartbeat", "1s"])
    fleet = Fleet(run, server)
    client = server.client()
    fleet.promote(client, "v1")
    fleet.release(client, "v1")
    converged = [fleet.wait_serve(1, "first release")]
    run.observe(fleet.agents, "fleet")
    first = client.GetStats().revision
    out = run.world.path("watch.json")
    with open(out, "wb") as file:
        watching = subprocess.Popen([harness.CLI, "--server", f"127.0.0.1:{server.port}", "-o", "json", "watch", "--from", str(first)], stdout=file,
                                    stderr=subprocess.DEVNULL)
    run.world.add(Child(watching))
    run.load(server, watchers=2)
    run.wait_progress(200)
    before = resident(server.program)
    watching.send_signal(signal.SIGSTOP)
    fleet.agents[0].program.kill(signal.SIGSTOP)
    name = fleet.next_version(client)
    fleet.release(client, name)
    time.sleep(run.rounds)
    run.wait_progress(200)
    grown = resident(server.program) - before
    run.note(f"server grew by {grown >> 10} KiB while readers were stopped for {run.rounds} s")
    run.report.require(grown < GROWTH, "R6", f"the server grew by {grown} bytes because of stopped readers")
    watching.send_signal(signal.SIGCONT)
    fleet.agents[0].program.kill(signal.SIGCONT)
    converged.append(fleet.wait_serve(fleet.number, "after SIGCONT"))
    evidence = run.evidence(server)
    evidence.whole, evidence.converged = fleet.whole, converged
    last = max(evidence.log)
    lines(run, out, evidence.log, first, last)
    watching.terminate()
    run.finish(server, evidence)


def lines(run, out, log, first, last):
    """The stopped program printed every change, once, in order."""
    import json

    def revisions():
        with open(out, encoding="utf-8") as file:
            return [int(json.loads(line)["revision"]) for line in file if line.endswith("\n")]

    try:
        harness.until(lambda: (revisions() or [0])[-1] >= last, 60, "the stopped program at the head")
    except AssertionError as error:
        run.report.found("R3", str(error))
    seen = [r for r in revisions() if first < r <= last]
    run.count("changes printed by the stopped program", len(seen))
    run.report.require(seen == sorted(set(seen)), "R3", "the stopped program printed changes twice or out of order")
    missing = sorted(set(log) - set(seen))
    run.report.require(not missing, "R3", f"the stopped program never printed {missing[:10]}")


class Child:
    def __init__(self, process):
        self.process = process

    def end(self):
        self.process.kill()
        self.process.wait()
