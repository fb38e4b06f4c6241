"""F22: the power of an agent's machine is cut (the other half of F16): its system calls and those of its Git worker are recorded while
version after version is released; disks are rebuilt as they may be after a cut between any two calls. What `current` names is whole on
every one of them, never an older version than the machine had served for certain; agents that start on them converge.

Rounds are images."""
import os
import random
import signal
import time

import diskmodel
import harness
from fleet import Fleet

TEXT = "power cut of an agent: images of its disk rebuilt from its system calls"
ROUNDS, FULL = 1000, 20000
VERSIONS = 5
STARTED = 6  # of the images, an agent is started on


def run(run):
    server = run.server(["--heartbeat", "1s"])
    fleet = Fleet(run, server, agents=1, files=8)
    client, agent = server.client(), fleet.agents[0]
    agent.kill()
    harness.remove_folder(agent.folder)
    log = run.world.path("calls.log")
    agent.prefix = diskmodel.strace(log)
    agent.start()
    fleet.promote(client, "v1")
    fleet.release(client, "v1")
    converged = [fleet.wait_serve(1, "first release")]
    for _ in range(VERSIONS - 1):
        fleet.release(client, fleet.next_version(client))
        converged.append(fleet.wait_serve(fleet.number, f"release of v{fleet.number}"))
    fleet.release(client, "v1")
    converged.append(fleet.wait_serve(1, "release of v1 again"))
    time.sleep(0.3)
    os.killpg(agent.program.process.pid, signal.SIGTERM)  # strace itself takes no notice of it
    agent.program.wait(20)
    agent.end()
    images(run, fleet, agent, diskmodel.read_calls(log), converged)
    evidence = run.evidence(server)
    evidence.converged, evidence.whole = converged, fleet.whole
    run.judge(evidence)
    run.report.require(server.stop() == 0, "R6", "exit code")


def images(run, fleet, agent, calls, converged):
    run.count("recorded calls", len(calls))
    chance = random.Random(f"{run.seed}/images")
    cuts = sorted(chance.randrange(1, len(calls) + 1) for _ in range(run.rounds))
    started = set(chance.sample(range(len(cuts)), min(STARTED, len(cuts))))
    disk, at = diskmodel.Disk(agent.folder), 0
    links = 0
    for number, cut in enumerate(cuts):
        while at < cut:
            disk.apply(*calls[at])
            at += 1
        shape = diskmodel.SHAPES[number % len(diskmodel.SHAPES)]
        folder = run.world.path(f"image-{number}")
        disk.write_image(folder, shape, chance)
        links += judge_image(run, fleet, folder, f"image {number}, {shape}, cut after call {cut} {calls[cut - 1]}"[:300])
        run.count(f"images: {shape}")
        if number in started:
            converged.append(start(run, fleet, agent, folder, number))
        harness.remove_folder(folder)
    run.count("images that served something", links)
    run.report.require(links > len(cuts) // 2, "run", f"only {links} of {len(cuts)} images serve anything: the model lost track")


def judge_image(run, fleet, folder, what):
    """What `current` names is whole. True: there is such a link."""
    image = harness.Agent(None, folder, "image")
    if not os.path.lexists(image.current("fleet")):
        return False
    files = image.serves("fleet")
    if files not in fleet.whole:
        run.report.found("R5", f"{what}: serves {None if files is None else sorted(files.items())[:4]}")
    run.report.judged.add("R5")
    return True


def start(run, fleet, agent, folder, number):
    """An agent on the image goes on where it was."""
    agent.prefix, kept = [], agent.folder
    agent.folder = folder
    agent.start()
    took = fleet.wait_serve(1, f"an agent on image {number}")
    agent.kill()
    agent.folder = kept
    run.count("agents started on an image")
    return took
