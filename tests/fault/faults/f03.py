"""F3: the power is cut. A shim records every write and sync of the store under eight recording clients; images of the disk are rebuilt as
they may be after a cut at any moment, opened and verified: nothing acknowledged by then is missing, and nothing torn is served.

Rounds are images. Four shapes in turn: only what was synced; all that was written; a random part of the unsynced pages; the last
write torn."""
import os
import random
import re
import subprocess
import time

import clients
import harness
import powercut

TEXT = "power cut: images of the store rebuilt from recorded writes and syncs"
ROUNDS, FULL = 500, 2000
SECONDS = 50
SHIM = os.path.join(harness.ROOT, "tests/fault/libpowercut.so")
WRITES = 600  # acknowledged writes to record
PASS = 100    # images that are made on one way through the recording
FILES = ("data.mdb", "journal-0", "journal-1")


def run(run):
    if not os.path.exists(SHIM):
        raise AssertionError(f"{SHIM} is not built")
    log = run.world.path("writes.log")
    folder = run.world.path("server")
    # Small journal files take turns often.
    server = run.server(["--journal-size", "256K"], folder=folder, env={"LD_PRELOAD": SHIM, "POWERCUT_LOG": log, "POWERCUT_DIR": folder})
    run.apps(server, 4)
    run.load(server, apps=4, watchers=2)
    begin = time.monotonic()
    run.wait_progress(WRITES, 120)
    client = server.client()
    client.Compact(revision=client.GetStats().revision // 2)
    run.wait_progress(WRITES // 4, 60)
    run.stop_load()
    evidence = run.evidence(server, run.kept())
    run.judge(evidence)
    server.kill()
    operations = powercut.read_operations(log, FILES)
    run.count("recorded operations", len(operations))
    for name in FILES:
        syncs = sum(o.op == powercut.SYNC and o.name == name for o in operations)
        run.report.require(syncs > 1, "run", f"the shim recorded {syncs} syncs of {name}")
    cut_power(run, operations, evidence, begin)


def cut_power(run, operations, evidence, begin):
    """Each pass through the recording makes some of the images, from its beginning to its end, and serves one of them."""
    first = next(i for i, o in enumerate(operations) if o.begin > begin)
    done = sorted((ack.at, ack.revision) for ack in evidence.acknowledged)
    seen = sorted([(read.at, read.revision) for read in evidence.reads] + [each for watcher in evidence.watchers for each in watcher.seen])
    folder = image_folder(run)
    for begun in run.turns(step=PASS):
        chance = random.Random(f"{run.seed}/images/{begun}")
        cuts = sorted(chance.randrange(first, len(operations)) for _ in range(min(PASS, run.rounds - begun)))
        disk, served = powercut.Disk(operations), chance.randrange(len(cuts))
        for number, cut in enumerate(cuts):
            shape = powercut.SHAPES[number % len(powercut.SHAPES)]
            make_image(disk, cut, shape, folder, chance)
            at = operations[cut].begin  # the power goes while this one is under way
            floor = max((r for t, r in done if t <= at), default=0), max((r for t, r in seen if t <= at), default=0)
            judge_image(run, folder, f"image {begun + number}, {shape}, cut at operation {cut}", floor)
            run.count(f"images: {shape}")
            if number == served:
                open_image(run, folder, evidence, at)


def make_image(disk, cut, shape, folder, chance):
    disk.advance(cut)
    for name, content in disk.images(shape, chance).items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)


def image_folder(run):
    top = "/dev/shm" if os.access("/dev/shm", os.W_OK) else run.world.folder
    folder = os.path.join(top, os.path.basename(run.world.folder) + "-image")
    os.makedirs(folder, mode=0o700)
    run.world.add(Folder(folder))
    return folder


def judge_image(run, folder, what, least):
    done = subprocess.run([harness.SLUICED, "verify", folder], capture_output=True, text=True)
    if done.returncode != 0:
        run.report.found("R1", f"{what}: verify: {(done.stdout + done.stderr).strip()[:300]}")
        return
    revision = int(re.search(r"revision (\d+)", done.stdout).group(1))
    if revision < least[0]:
        run.report.found("R1", f"{what}: is at {revision}, and {least[0]} was acknowledged")
    if revision < least[1]:
        run.report.found("R2", f"{what}: is at {revision}, and {least[1]} had been seen")


def open_image(run, folder, evidence, at):
    """A server on the image: all that was acknowledged is there, as it was said, and it takes writes."""
    server = run.server(folder=folder)
    client = server.client()
    stats = client.GetStats()
    log = clients.read_log(client, max(run.first, stats.floor), stats.revision)
    for ack in evidence.acknowledged:
        if ack.at <= at and ack.revision > max(run.first, stats.floor):
            held = log.get(ack.revision)
            if held is None or held.reason != ack.request_id:
                run.report.found("R1", f"power cut at {at:.3f}: {ack.request_id}, acknowledged as {ack.revision}, is gone")
    for revision, change in log.items():
        if revision in evidence.log and clients.as_change(evidence.log[revision]) != clients.as_change(change):
            run.report.found("R1", f"power cut at {at:.3f}: {revision} is another change")
    client.RegisterInstance(name="after", environment="staging")
    server.kill()
    run.count("images served")


class Folder:
    def __init__(self, path):
        self.path = path

    def end(self):
        harness.remove_folder(self.path)
