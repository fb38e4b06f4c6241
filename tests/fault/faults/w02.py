"""W2: watchers that never read, under load. Each is ended with where to resume and costs the server no more than a bounded buffer; the
others, and those that resume, miss nothing."""
import threading

import grpc
import harness
from f07 import resident

TEXT = "watchers that never read"
ROUNDS, FULL = 10, 100  # such watchers
SECONDS = 50
EACH = 1 << 20
WRITES = 6000


def run(run):
    server = run.server()
    run.load(server, watchers=2, count=4)
    client = server.client()
    base = client.GetStats().revision
    idle = [client] + [server.client() for _ in range(run.rounds)]
    before = resident(server.program)
    streams = [each.watch(from_revision=base) for each in idle[1:]]
    for stream in streams:
        next(iter(stream))
    watching = client.GetStats().watchers
    slow = run.watch(server, "w-slow", pause=0.6)
    write(server, WRITES)
    harness.until(lambda: client.GetStats().watchers <= watching - run.rounds, 60, "the end of the watchers that never read")
    grown = resident(server.program) - before
    run.note(f"server grew by {grown >> 10} KiB with {run.rounds} watchers that never read")
    run.report.require(grown < run.rounds * EACH + (24 << 20), "R6", f"{run.rounds} watchers that never read cost {grown} bytes")
    resumed = [resume(run, stream, number) for number, stream in enumerate(streams)]
    for number, revision in enumerate(resumed):
        if revision is not None:
            run.watch(server, f"w-resumed-{number}", after=revision)
    run.count("watchers that never read", run.rounds)
    run.note(f"the slow one's streams ended with {slow.ended}")
    slow.pause = 0.0
    run.finish(server)


def resume(run, stream, number):
    """Reads what was on its way. The end says where to resume, and that is the last that came; who did not take the end either was
    cut off, and resumes from the last that it has."""
    last = 0
    try:
        for response in stream:
            last = response.revision
    except grpc.RpcError as error:
        refused = harness.Refused(error)
        told = int(refused.metadata.get("revision", last))
        run.count(f"ended with {refused.reason or refused.code.name}")
        run.report.require(refused.reason == "WATCHER_TOO_SLOW" or refused.code.name == "CANCELLED", "R3", f"watcher {number} was ended with {refused}")
        run.report.require(last in (0, told), "R3", f"watcher {number} got all up to {last} and was told {told}")
        return told
    run.report.found("R3", f"watcher {number} was ended without a word")
    return None


def write(server, count):
    def writer(name):
        client = server.client()
        client.RegisterInstance(name=name, environment="staging")
        for i in range(count // 4):
            client.UpdateInstance(instance=name, labels={f"k{n}": f"{i:060}" for n in range(10)})

    threads = [threading.Thread(target=writer, args=(f"big-{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
