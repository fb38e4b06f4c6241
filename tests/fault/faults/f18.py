"""F18: backups under load; then the server's disk is lost, and the last backup is restored while agents, watchers and bots are still there.
The backup equals one moment. Revisions go on above all that anybody has seen. Nothing is downgraded, and nothing changes, before an operator
says so; afterwards agents follow the backup, and a request id of before it is answered as it was.

Rounds are restores, each of a backup of the server that came of the one before."""
import subprocess
import time

import clients
import harness
import oracles
from fleet import Fleet
from world import everything

TEXT = "backup under load, restored while agents, watchers and bots are still there"
ROUNDS, FULL = 3, 40
SECONDS = 30
RAISE = 1 << 32
STILL_S = 4  # in recovery nothing happens for so long


def run(run):
    server = run.server(["--heartbeat", "1s"])
    fleet = Fleet(run, server)
    client = server.client()
    fleet.promote(client, "v1")
    fleet.release(client, "v1")
    converged = [fleet.wait_serve(1, "first release")]
    run.observe(fleet.agents, "fleet")
    run.load(server, watchers=4)
    moments = []  # of the backups that were restored
    for number in run.turns():
        converged += disaster(run, server, fleet, moments, number)
        more_load(run, server, number)
    run.wait_progress(50)
    run.stop_load()
    evidence = run.evidence(server, run.kept())
    evidence.instances = None  # the log of the watchers has what restores took back, too
    evidence.whole, evidence.converged = fleet.whole, converged
    run.finish(server, evidence)


def more_load(run, server, number):
    """New bots; those of before have given up their instances."""
    for i in range(4):
        recorder = clients.Recorder(server, f"r{number}-{i}", run.seed)
        recorder.start()
        run.recorders.append(recorder)


def disaster(run, server, fleet, moments, number):
    """Backup, life goes on, loss, restore, recovery, resume. Returns how agents converged."""
    client = server.client()
    fleet.release(client, fleet.next_version(client))
    old, converged = fleet.number, [fleet.wait_serve(fleet.number, f"round {number}: before the backup")]
    run.wait_progress(30)
    file = run.world.path(f"backup-{number}")
    before = max(ack.revision for recorder in run.recorders for ack in list(recorder.acknowledged))
    subprocess.run([harness.CLI, "--server", f"127.0.0.1:{server.port}", "backup", file], check=True, capture_output=True, timeout=120)
    after = client.GetStats().revision
    run.count("backups")
    fleet.release(client, fleet.next_version(client))
    converged.append(fleet.wait_serve(fleet.number, f"round {number}: after the backup"))
    run.wait_progress(30)
    run.stop_load()
    kept, head = run.kept(), client.GetStats().revision
    server.kill()
    server.folder = run.world.path(f"restored-{number}")
    subprocess.run([harness.SLUICED, "restore", file, "--data", server.folder], check=True, capture_output=True, timeout=120)
    server.start()
    client = server.client()
    moment = client.GetStats().revision - RAISE
    run.report.require(before <= moment <= after, "R1",
                       f"round {number}: the backup is of {moment}; {before} was acknowledged before it, the head after it was {after}")
    run.report.require(moment + RAISE > head, "R4", f"round {number}: restored at {moment + RAISE}, and {head} has been seen")
    moments.append(moment)
    equals_moment(run, client, history(kept, moments), number)
    waits(run, server, fleet, number)
    client.Resume()
    run.count("restores")
    converged.append(fleet.wait_serve(old, f"round {number}: after the resume"))
    bots_go_on(run, server, moments, head, number)
    return converged


def equals_moment(run, client, log, number):
    """What can be read is what the log adds up to, and nothing else."""
    evidence = oracles.Evidence(log, run.first)
    evidence.instances = {i.id: i for i in everything(client, "ListInstances", "instances") if i.revision > run.first}
    for text in oracles.r1(evidence):
        run.report.found("R1", f"round {number}: {text}")
    there = oracles.fold(log, "instance").keys()
    run.report.require(evidence.instances.keys() == there, "R1",
                       f"round {number}: {len(evidence.instances)} instances are restored, the log has {len(there)}")


def history(kept, moments):
    """Of a log that goes over restores: without what each of them took back."""
    return {r: change for r, change in kept.items() if not taken_back(r, moments)}


def taken_back(revision, moments):
    return any(moment < revision <= moment + RAISE for moment in moments)


def waits(run, server, fleet, number):
    """In recovery: agents serve on what they have, also what the backup does not know; no change is taken."""
    client, until = server.client(), time.monotonic() + STILL_S
    harness.until(lambda: all(client.GetInstance(instance=agent.instance).instance.agent.liveness == 2 for agent in fleet.agents), 30,
                  "agents that are back in the recovery")
    while time.monotonic() < until:
        run.report.require(fleet.all_serve(fleet.whole[-1]), "R7", f"round {number}: an agent was downgraded before anybody said so")
        time.sleep(0.05)
    try:
        client.RegisterInstance(name=f"too-early-{number}", environment="staging")
        run.report.found("R7", f"round {number}: a change was taken in recovery")
    except harness.Refused as refused:
        run.report.require(refused.reason == "IN_RECOVERY", "R7", f"round {number}: {refused}")


def bots_go_on(run, server, moments, head, number):
    """Retries of what the backup holds get their first reply; what it does not hold is decided anew, above all that was seen."""
    client = server.client()
    acknowledged = [ack for recorder in run.recorders for ack in recorder.acknowledged]
    for ack in run.random.sample([a for a in acknowledged if a.revision > 0 and not taken_back(a.revision, moments)], 30):
        reply = again(client, ack)
        run.report.require(clients.without_replayed(reply) == ack.reply and reply.result.replayed, "R4",
                           f"round {number}: {ack.request_id} of before the backup got another reply")
        run.count("retries of what the backup holds")
    lost = [a for a in acknowledged if moments[-1] < a.revision <= head and a.method == "RegisterInstance"]
    for ack in lost[:5]:
        reply = again(client, ack)
        run.report.require(not reply.result.replayed and reply.result.revision > head, "R4",
                           f"round {number}: {ack.request_id} of after the backup got revision {reply.result.revision}")
        run.count("retries of what the backup does not hold")


def again(client, ack):
    fields = dict(ack.fields)
    write = {"request_id": ack.request_id, "reason": ack.request_id, "expected_revision": fields.pop("expected")}
    return getattr(client, ack.method)(write=write, **fields)
