"""F22: the power of an agent's machine is cut (the other half of F16): its system calls and those of its Git worker are recorded while
version after version is released; disks are rebuilt as they may be after a cut between any two calls. What `current` names is whole on
every one of them, and so is the config beside it, of one moment; agents that start on them converge.

Rounds are images."""
import os
import random
import signal
import time

import diskmodel
import harness
from fleet import Fleet
from stamps import Stamps

TEXT = "power cut of an agent: images of its disk rebuilt from its system calls"
ROUNDS, FULL = 1000, 20000
SECONDS = 70
VERSIONS = 5
PASS = 100   # images that are made on one way through the recording; on one of them an agent is started


def run(run):
    stamps = Stamps(run)
    server = run.server(["--heartbeat", "1s", *stamps.flags])
    fleet = Fleet(run, server, agents=1, files=8, stamps=stamps)
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
        converged.append(fleet.change_config(client))
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
    links = made = 0
    for begun in run.turns(step=PASS):
        chance = random.Random(f"{run.seed}/images/{begun}")
        cuts = sorted(chance.randrange(1, len(calls) + 1) for _ in range(min(PASS, run.rounds - begun)))
        disk, at, started = diskmodel.Disk(agent.folder), 0, chance.randrange(len(cuts))
        for number, cut in enumerate(cuts):
            while at < cut:
                disk.apply(*calls[at])
                at += 1
            shape = diskmodel.SHAPES[number % len(diskmodel.SHAPES)]
            folder = run.world.path(f"image-{begun + number}")
            disk.write_image(folder, shape, chance)
            links += judge_image(run, fleet, folder, f"image {begun + number}, {shape}, cut after call {cut} {calls[cut - 1]}"[:300])
            run.count(f"images: {shape}")
            if number == started:
                converged += start(run, fleet, agent, folder, begun + number)
            harness.remove_folder(folder)
        made += len(cuts)
    run.count("images that served something", links)
    run.report.require(links > made // 2, "run", f"only {links} of {made} images serve anything: the model lost track")


def judge_image(run, fleet, folder, what):
    """What `current` names is whole, and so is its config. True: there is such a link."""
    image = harness.Agent(None, folder, "image")
    if not os.path.lexists(image.current("fleet")):
        return False
    files = image.serves("fleet")
    if files not in fleet.whole:
        run.report.found("R5", f"{what}: serves {None if files is None else sorted(files.items())[:4]}")
    run.report.judged.add("R5")
    fleet.stamps.look(image, modes=False)
    return True


def start(run, fleet, agent, folder, number):
    """An agent on the image goes on where it was."""
    agent.prefix, kept = [], agent.folder
    agent.folder = folder
    agent.start()
    took = [fleet.wait_serve(1, f"an agent on image {number}"), fleet.wait_config(f"the config of an agent on image {number}")]
    agent.kill()
    agent.folder = kept
    run.count("agents started on an image")
    return took
