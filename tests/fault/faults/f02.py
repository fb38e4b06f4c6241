"""F2: the server dies, or dawdles, at named places: around begin, commit, publish, reply, trim, backup and a restore's rename. A build of
its own has them (base/failpoint).

Rounds are crashes, and sleeps, of each place."""
import os
import re
import subprocess
import time

import grpc
import harness

TEXT = "the server crashes, or sleeps, at begin, commit, publish, reply, trim, backup, restore's rename"
ROUNDS, FULL = 20, 500
SECONDS = 200
SLUICED = os.path.join(harness.ROOT, "tests/fault/sluiced_failpoints")
# name: the pass at which it strikes, at most; what must be asked for, so that it is passed
PLACES = {"begin": (12, None), "commit": (12, None), "journaled": (12, None), "data-synced": (2, None), "committed": (12, None), "publish": (12, None), "published": (12, None), "reply": (40, None),
          "trim": (3, "compact"), "trimmed": (3, "compact"), "backup-copy": (3, "backup"), "backup-end": (2, "backup"), "backup-send": (20, "backup")}
START = "recovered"  # the journal of a server that was killed is in the data file, and not emptied yet
RESTORE = ("restore-rename", "restore-renamed")
DEAD = -9


def run(run):
    # Replies are kept for fewer writes than are made, so that trimming has something to do; small journal files take turns often.
    server = run.server(["--requests-max", "3000", "--journal-size", "64K"], env={}, start=False)
    server.binary = SLUICED
    server.start()
    run.apps(server, 4)
    run.load(server, apps=4, watchers=3)
    run.wait_progress(100)
    server.kill()
    for number in run.turns(part=0.7):
        for name in run.random.sample(sorted(PLACES), len(PLACES)):
            crash(run, server, name, *PLACES[name])
        server.env.clear()
        server.start()
        run.wait_progress(10)
        server.kill()
        crash(run, server, START, 1, None)
        if number % 2 == 1:
            run.verify(server)
    for name in PLACES:
        sleep(run, server, name, run.report.rounds_done)
    server.env.clear()
    server.start()
    run.wait_progress(50)
    run.stop_load()
    file = run.world.path("copy")
    subprocess.run([harness.CLI, "--server", f"127.0.0.1:{server.port}", "backup", file], check=True, capture_output=True)
    run.finish(server, run.evidence(server, run.kept()))
    for name in RESTORE:
        for _ in range(run.report.rounds_done):
            restore(run, file, name)


def start(run, server, failpoint):
    server.env["SL_FAILPOINT"] = failpoint
    try:
        server.start()
    except AssertionError:
        if server.program.running:
            raise
        return  # it was struck before it listened
    left = os.listdir(os.path.join(server.folder, "backup"))
    run.report.require(not left, "R6", f"{failpoint}: copies of a backup that was cut short are still there: {left}")


def strikes(server):
    return sum(line.startswith("failpoint name=") for line in server.program.lines)


def ask(run, server, what):
    """Makes the server pass the place; whatever comes of it."""
    if what is None:
        time.sleep(0.02)
        return
    client = harness.Client(server.services, server.port)
    try:
        if what == "compact":  # never above what the one has that keeps the log for the oracles
            client.Compact(revision=max(run.watchers[0].bookmark, 1), timeout=5, wait_for_ready=False)
            time.sleep(0.02)
        else:
            for _ in client.stream("Backup", timeout=10):
                pass
    except (harness.Refused, grpc.RpcError):
        pass
    finally:
        client.close()


def crash(run, server, name, most, what):
    failpoint = f"{name}:crash:{run.random.randint(1, most)}"
    start(run, server, failpoint)
    until = time.monotonic() + 20
    while server.program.running and time.monotonic() < until:
        ask(run, server, what)
    code = server.exited(0.1)
    server.end_program()
    run.report.require(code == DEAD and strikes(server) == 1, "run", f"{failpoint}: exit code {code}, struck {strikes(server)} times")
    run.count(f"crashes: {name}")


def sleep(run, server, name, times):
    most, what = PLACES[name]
    failpoint = f"{name}:sleep:{run.random.randint(1, max(most // 10, 1))}:{run.random.randint(20, 100)}"
    start(run, server, failpoint)
    until = time.monotonic() + 10 + times * 2
    while server.program.running and strikes(server) < times and time.monotonic() < until:
        ask(run, server, what)
    run.report.require(server.program.running, "R6", f"{failpoint}: the server ended by itself")
    run.report.require(strikes(server) >= times, "run", f"{failpoint}: slept {strikes(server)} times")
    run.count(f"sleeps: {name}", strikes(server))
    server.kill()


def sluiced(*arguments, **env):
    return subprocess.run([SLUICED, *arguments], env={**os.environ, **env}, capture_output=True, text=True)


def restore(run, file, name):
    """Killed before the rename it has made nothing, and can be repeated; after it, the store is whole."""
    folder = run.world.path("restored")
    killed = sluiced("restore", file, "--data", folder, SL_FAILPOINT=f"{name}:crash:1")
    run.report.require(killed.returncode == DEAD, "run", f"{name}: restore ended with {killed.returncode}")
    run.count(f"crashes: {name}")
    again = sluiced("restore", file, "--data", folder, SL_FAILPOINT=f"{name}:sleep:1:5")
    if name == "restore-rename":
        run.report.require(again.returncode == 0, "R6", f"a restore that was killed cannot be repeated: {again.stderr}")
    else:
        run.report.require(again.returncode != 0, "R6", "a second restore went over a store")
    verified = sluiced("verify", folder)
    run.report.require(verified.returncode == 0, "R1", f"{name}: verify: {(verified.stdout + verified.stderr)[:300]}")
    revision = re.search(r"revision (\d+)", verified.stdout)
    run.report.require(revision and int(revision.group(1)) >= 1 << 32, "R1", f"{name}: the restored store is at {revision and revision.group(1)}")
    harness.remove_folder(folder)
