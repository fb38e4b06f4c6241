"""W1: compactions race with watchers that are slow, that resume all the time, and that filter; the server is killed now and then."""
import time

import clients

TEXT = "compaction racing with slow, resuming and filtered watchers"
ROUNDS, FULL = 150, 5000  # compactions
SECONDS = 25


def run(run):
    server = run.server()
    run.apps(server, 2)
    run.load(server, apps=2, watchers=6)
    for i in range(3):
        run.watch(server, f"w-slow-{i}", pause=0.4, restless=0.2, only=[clients.ALL, clients.kind_filter(9), clients.environment_filter("staging", 2)][i])
    keeper, client = run.watchers[0], server.client()
    for number in run.turns(least=40):
        time.sleep(run.random.uniform(0, 0.1))
        head = client.GetStats().revision
        back = run.random.choice([0, 1, 10, 100])
        # Never above what the one has that keeps the log for the oracles.
        client.Compact(revision=max(min(head - back, keeper.bookmark), 1))
        run.count("compactions")
        if number % 40 == 39:
            server.kill()
            server.start()
            client = server.client()
    run.wait_progress(30)
    run.stop_load()
    evidence = run.evidence(server, run.kept())
    trimmed = sum(1 for w in run.watchers for step in w.trace if type(step).__name__ == "Trimmed")
    run.count("watchers told that their place is gone", trimmed)
    run.finish(server, evidence)
