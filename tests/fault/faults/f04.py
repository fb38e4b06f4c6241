"""F4: the n-th write, sync, rename, open or mmap of the server and of an agent fails, for n = 1, 2, ...: EIO, ENOSPC. Each once and for
one call only, so that what comes after it would succeed: a server that goes on after a failed sync is caught.

The calls fail by strace's injection, which counts for each thread."""
import os
import time

from fleet import Fleet

TEXT = "the n-th write, sync, rename, open, mmap of server and agent fails"
ROUNDS, FULL = 3, 40  # the largest n
SECONDS = 55

SERVER = (("fdatasync", "EIO"), ("pwrite64", "EIO"), ("writev,pwritev", "EIO"), ("pwrite64", "ENOSPC"), ("writev,pwritev", "ENOSPC"), ("openat", "EIO"),
          ("mmap", "ENOMEM"))
AGENT = (("openat,open", "EIO"), ("write", "ENOSPC"), ("fsync,syncfs,fdatasync", "EIO"), ("rename,renameat,renameat2", "EIO"),
         ("mkdir,mkdirat,symlink,symlinkat", "ENOSPC"), ("mmap", "ENOMEM"))
STOPS = (0, 3)  # by SIGTERM, or by a storage error; 1: it could not start


def strace(log, calls, error, n):
    return ["strace", "-f", "-qq", "-o", log, "-e", "signal=none", "-e", f"trace={calls}", "-e", f"inject={calls}:error={error}:when={n}"]


def injected(log):
    if not os.path.exists(log):
        return []
    with open(log, encoding="utf-8", errors="replace") as file:
        return [line.strip() for line in file if "INJECTED" in line]


def run(run):
    server = run.server()
    run.load(server, watchers=2, count=4)
    exits = []
    for turn in run.turns(part=0.6):
        for calls, error in SERVER:
            for n in steps(run, calls, turn):
                exits += fail_server(run, server, calls, error, n)
    evidence = run.evidence(server)
    evidence.exits = exits
    run.finish(server, evidence)
    run.recorders, run.watchers = [], []
    agents(run)


def steps(run, calls, turn):
    """openat and mmap are called by the hundred before anything of ours runs."""
    return run.random.sample(range(1, 120), 2) if calls in ("openat", "mmap") else [turn + 1]


def fail_server(run, server, calls, error, n):
    """One life of the server under injection. Returns [(what, exit code, allowed)]."""
    server.kill()
    log = run.world.path("strace.log")
    if os.path.exists(log):
        os.unlink(log)
    server.prefix = strace(log, calls, error, n)
    what, code, up = f"{calls} number {n}: {error}", None, True
    try:
        server.start()
    except AssertionError:
        up = False
    if up:
        goal, until = run.acknowledged() + 15, time.monotonic() + 8
        while run.acknowledged() < goal and time.monotonic() < until and server.program.running:
            time.sleep(0.02)
    code = server.exited(2 if not up else 0.05)
    lines = injected(log)
    server.end_program()
    server.prefix = []
    run.verify(server)
    server.start()
    run.count("failures injected into the server", len(lines))
    run.count("servers that stopped by themselves", code is not None)
    if calls == "fdatasync" and lines and code is None:
        run.report.found("R6", f"{what}: the server went on after a failed sync: {lines[0]}")
    allowed = {3} if up else {1, 3, 127}  # 127: the loader, before there is a server
    if calls == "mmap":
        allowed.add(-6)  # gRPC ends the process when it gets no memory: a crash, and clients see no more than one
    return [(what, code, sorted(allowed))] if code is not None else []


def agents(run):
    """Each failure during a whole change of version, from fetch to flip; then without failures it must converge."""
    server = run.server(["--heartbeat", "1s"], folder=run.world.path("server-2"))
    fleet = Fleet(run, server, agents=1)
    client = server.client()
    fleet.promote(client, "v1")
    fleet.release(client, "v1")
    converged = [fleet.wait_serve(1, "first release")]
    observer = run.observe(fleet.agents, "fleet")
    agent, log = fleet.agents[0], run.world.path("strace-agent.log")
    for turn in run.turns():
        for calls, error in AGENT:
            n = run.random.randrange(1, 160) if calls in ("openat,open", "mmap", "write") else turn + 1
            fail_agent(run, fleet, client, agent, log, (calls, error, n))
            observer.look()
            converged.append(fleet.wait_serve(fleet.number, f"agent: {calls} number {n}: {error}"))
    evidence = run.evidence(server)
    evidence.whole, evidence.converged = fleet.whole, converged
    run.finish(server, evidence)


def fail_agent(run, fleet, client, agent, log, failure):
    if os.path.exists(log):
        os.unlink(log)
    name = fleet.next_version(client)
    agent.kill()
    agent.prefix = strace(log, *failure)
    agent.start()
    fleet.release(client, name)
    until = time.monotonic() + 5
    while time.monotonic() < until and agent.program.running and not (fleet.all_serve(fleet.whole[-1]) or injected(log)):
        time.sleep(0.05)
    time.sleep(0.2)
    code = agent.program.process.poll()
    if code is not None and code < 0:
        run.report.found("R5", f"agent: {failure}: ended by signal {-code}")
    run.count("failures injected into an agent", len(injected(log)))
    agent.program.end()
    agent.prefix = []
    agent.start()
    run.count("agents restarted after a failure")
