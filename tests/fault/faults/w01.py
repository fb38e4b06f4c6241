"""W1: compactions race with watchers that are slow, that resume all the time, and that filter; the server is killed now and then."""
import time

import clients

TEXT = "compaction racing with slow, resuming and filtered watchers"
ROUNDS, FULL = 150, 5000  # compactions


def run(run):
    server = run.server()
    run.apps(server, 2)
    run.load(server, apps=2, watchers=6)
    run.watch(server, "w-second", keep=True)  # what one keeper loses to a compaction the other has
    for i in range(3):
        run.watch(server, f"w-slow-{i}", pause=0.4, restless=0.2, only=[clients.ALL, clients.kind_filter(9), clients.environment_filter("staging", 2)][i])
    client = server.client()
    for number in range(run.rounds):
        time.sleep(run.random.uniform(0, 0.1))
        head = client.GetStats().revision
        back = run.random.choice([0, 1, 10, 100])
        client.Compact(revision=max(head - back, 1))
        run.count("compactions")
        if number % 40 == 39:
            server.kill()
            server.start()
            client = server.client()
            run.kept()  # those who keep the log for the oracles are back before the next compaction
    run.wait_progress(30)
    run.stop_load()
    evidence = run.evidence(server, run.kept())
    trimmed = sum(1 for w in run.watchers for step in w.trace if type(step).__name__ == "Trimmed")
    run.count("watchers told that their place is gone", trimmed)
    run.finish(server, evidence)
