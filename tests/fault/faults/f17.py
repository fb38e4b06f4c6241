"""F17: stores written by every released version open, and what they hold is what was written then. Fields that this version does not know
are kept. Golden stores are tests/data/golden/<version>/store.tar with expected.json beside; `tests/fault/golden DIR` writes one."""
import json
import os
import tarfile

import golden
import harness

TEXT = "golden stores of every released version open, hold what they held, and go on"
ROUNDS, FULL = 1, 1
SECONDS = 2
GOLDEN = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "data/golden")


def run(run):
    versions = sorted(name for name in os.listdir(GOLDEN) if os.path.isdir(os.path.join(GOLDEN, name)))
    run.report.require(versions, "R1", "there is no golden store")
    for version in versions:
        folder = run.world.path("golden-" + version)
        with tarfile.open(os.path.join(GOLDEN, version, "store.tar")) as tar:
            tar.extractall(folder)
        with open(os.path.join(GOLDEN, version, "expected.json"), encoding="utf-8") as file:
            expected = json.load(file)
        opens(run, version, folder, expected)


def opens(run, version, folder, expected):
    server = run.server(folder=folder, start=False)
    run.verify(server)
    server.start()
    client = server.client()
    for what, held in golden.look(client).items():
        run.report.require(held == expected[what], "R1", f"{version}: {what} differ from what was written:\n{held}\n{expected[what]}")
    run.report.require(golden.has_unknown_field(folder), "R1", f"{version}: a field of a later version is lost")
    goes_on(run, version, client)
    run.report.require(golden.has_unknown_field(folder), "R1", f"{version}: a field of a later version is lost by a write")
    run.report.require(server.stop() == 0, "R6", f"{version}: exit code")
    run.verify(server)
    run.count("golden stores opened")


def goes_on(run, version, client):
    """It takes writes, also with a request id of then."""
    client.RegisterInstance(name="later", environment="staging")
    client.UpdateInstance(instance=golden.MARKED, labels={"a": "c"})
    client.CreateVersion(app="store", name="v4")
    refused = None
    try:
        client.RegisterInstance(name="another", environment="staging", write={"request_id": "golden-1"})
    except harness.Refused as error:
        refused = error
    # Replies are kept for a day: in the first one the id is still taken.
    run.report.require(refused is None or refused.code.name == "ALREADY_EXISTS", "R4", f"{version}: {refused}")
