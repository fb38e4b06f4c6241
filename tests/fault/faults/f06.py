"""F6: allocations of the server's own code fail under load: each for itself while it starts, then one after the other, ever more often,
under eight recording clients. It answers RESOURCE_EXHAUSTED or ends as in a crash; what it answers is true.

A preloaded library lets them fail (lib/allocfail.c). Rounds are starts, and lives under load."""
import mmap
import os
import struct
import time

import harness

TEXT = "the n-th allocation of the server fails, at start and under load"
ROUNDS, FULL = 40, 2000
SECONDS = 120
SHIM = os.path.join(harness.ROOT, "tests/fault/liballocfail.so")
EVERY = (0, 5003, 997, 199)  # one of so many fails; 0: only the first
STARTED = (1,)      # could not start, and said why
ENDED = (3, -6)     # the store had no memory; there was none for a call's record, and nobody to tell: as in a crash


class Allocations:
    """The four numbers that lib/allocfail.c shares with us."""

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as file:
            file.write(bytes(32))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 32)

    def env(self):
        return {"LD_PRELOAD": SHIM, "ALLOCFAIL": self.path}

    def plan(self, first, every=0):
        """From here on."""
        struct.pack_into("=QQQQ", self.map, 0, 0, 0, 0, 0)
        struct.pack_into("=QQ", self.map, 0, first, every)

    @property
    def made(self):
        return struct.unpack_from("=Q", self.map, 16)[0]

    @property
    def failed(self):
        return struct.unpack_from("=Q", self.map, 24)[0]


def run(run):
    allocations = Allocations(run.world.path("allocations"))
    server = run.server(env=allocations.env())
    run.apps(server, 2)
    run.load(server, apps=2, watchers=3)
    run.wait_progress(200)
    server.kill()
    needed, exits = allocations_of_start(run, server, allocations), []
    for number in run.turns(least=len(EVERY)):
        exits += refuse_start(run, server, allocations, run.random.randint(1, needed))
        exits += life(run, server, allocations, EVERY[number % len(EVERY)])
        if number % 20 == 19:
            run.verify(server)
    server.env.clear()
    server.start()
    run.wait_progress(50)
    evidence = run.evidence(server)
    evidence.exits = exits
    run.finish(server, evidence)


def allocations_of_start(run, server, allocations):
    allocations.plan(0)
    server.start()
    needed = allocations.made
    server.kill()
    run.note(f"a start makes {needed} allocations")
    return needed


def refuse_start(run, server, allocations, n):
    """The n-th allocation of a start fails: it does not start and says why, or does without."""
    exits = []
    allocations.plan(n)
    try:
        server.start()
    except AssertionError:
        code, text = server.exited(5), " ".join(server.program.lines[-2:])
        exits.append((f"start, allocation {n}", code, STARTED + ENDED))
        run.report.require(code != 1 or "memory" in text, "R6", f"start, allocation {n}: {text}")
        run.count("starts that were refused")
    run.report.require(allocations.failed == 1, "run", f"start, allocation {n}: {allocations.failed} failed")
    server.end_program()
    run.count("starts with a failed allocation")
    return exits


def life(run, server, allocations, every):
    allocations.plan(0)
    server.start()
    first = run.random.randint(1, 5000)
    allocations.plan(first, every)
    until, most = time.monotonic() + 4, 30 if every else 1
    while server.program.running and allocations.failed < most and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.05)
    code = server.exited(0.01)
    run.count("failed allocations under load", allocations.failed)
    run.count("servers that ended by themselves", code is not None)
    server.end_program()
    return [(f"allocation {first}, then each {every}", code, ENDED)] if code is not None else []
