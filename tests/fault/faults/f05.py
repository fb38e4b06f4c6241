"""F5: the server's disk fills up, with a reserve and without one, and its map fills up; then there is space again."""
import os
import time

import harness
from world import everything

TEXT = "disk full, map full, then space again"
ROUNDS, FULL = 4, 100
SECONDS = 50


def run(run):
    disk = run.world.add(harness.SmallDisk(run.world.path("disk"), 64))
    folder, ballast = os.path.join(disk.path, "data"), os.path.join(disk.path, "ballast")
    server = run.server(["--disk-reserve", "8M", "--map-size", "16G"], folder=folder)
    run.load(server, watchers=3)
    exits = []
    for number in run.turns(least=2):
        run.wait_progress(50)
        if number % 2 == 0:
            under_the_reserve(run, ballast)
        else:
            reserve = server.flags.index("8M")
            server.flags[reserve] = "0"
            restart(server)
            exits.append(full(run, server, ballast))
            server.flags[reserve] = "8M"
            restart(server)
        run.wait_progress(20)
    evidence = run.evidence(server)
    evidence.exits = exits
    run.finish(server, evidence)
    map_full(run)


def restart(server):
    server.kill()
    server.start()


def held_off(run):
    return sum(recorder.held_off for recorder in run.recorders)


def under_the_reserve(run, ballast):
    before = held_off(run)
    harness.fill(ballast, 3 << 20)
    harness.until(lambda: held_off(run) > before + 5, 20, "DISK_LOW")
    os.unlink(ballast)
    run.count("disks under the reserve")


def full(run, server, ballast):
    """No reserve: a write fails in the middle. The server must stop, with exit 3; what it had acknowledged is there."""
    harness.fill(ballast, 300 << 10)
    code = server.exited(30)
    run.report.require(code is not None, "R6", "with a full disk the server neither stopped nor said so")
    os.unlink(ballast)
    server.program.end()
    run.verify(server)
    run.count("disks full")
    return ("disk full", code, (3,))


def map_full(run):
    """A map of the smallest size: when it is full only deletes and a compaction pass, and after them all is well again."""
    server = run.server(["--map-size", "16M"], folder=run.world.path("small-map"))
    client = server.client()
    made, started = [], time.monotonic()
    try:
        while time.monotonic() - started < 120:
            made.append(client.RegisterInstance(name=f"i-{len(made)}", environment="production", labels={f"k{i}": "v" * 60 for i in range(10)}).instance.name)
    except harness.Refused as refused:
        run.report.require(refused.reason == "STORE_FULL", "R6", f"map full: {refused}")
    held = {i.name for i in everything(client, "ListInstances", "instances")}
    run.report.require(held == set(made), "R1", f"map full: {len(held)} instances, {len(made)} acknowledged")
    for name in made[:100]:  # deletes have a part of the map to themselves; they need room for their log records
        client.RemoveInstance(instance=name)
    client.Compact()
    for name in made[100:len(made) // 2]:
        client.RemoveInstance(instance=name)
    client.Compact()  # deletes are changes too, and the log has them
    harness.until(lambda: fits(client), 30, "room after deletes")
    run.count("maps full")
    run.report.require(server.stop() == 0, "R6", "map full: exit code")
    run.verify(server)


def fits(client):
    try:
        client.RegisterInstance(name="late", environment="production")
        return True
    except harness.Refused as refused:
        return refused.code.name == "ALREADY_EXISTS"
