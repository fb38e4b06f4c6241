"""F16: agents are killed with kill -9 at random moments, while version after version is released and config is changed; the server now and then too.
What an agent serves is a whole version, and beside it is always a whole set of config files of one moment."""
import time

from fleet import Fleet
from stamps import Stamps

TEXT = "agents killed at random while version after version is released and config is changed"
ROUNDS, FULL = 60, 2000
SECONDS = 40


def run(run):
    stamps = Stamps(run)
    server = run.server(["--heartbeat", "1s", *stamps.flags])
    fleet = Fleet(run, server, stamps=stamps)
    client = server.client()
    fleet.promote(client, "v1")
    fleet.release(client, "v1")
    converged = [fleet.wait_serve(1, "first release")]
    run.observe(fleet.agents, "fleet", stamps)
    run.load(server, watchers=2)
    for number in run.turns(least=16):
        if number % 4 == 0:
            fleet.release(client, fleet.next_version(client))
        elif number % 4 == 2 and fleet.number > 2:
            fleet.release(client, f"v{run.random.randrange(1, fleet.number + 1)}")
        else:
            stamps.change(client)
        time.sleep(run.random.choice([0.0, 0.005, 0.02, 0.05, 0.1, 0.2]))
        agent = run.random.choice(fleet.agents)
        agent.kill()
        run.observers[0].look()
        agent.start()
        run.count("agents killed")
        if number % 15 == 14:
            server.kill()
            server.start()
            client = server.client()
            run.count("servers killed")
    fleet.release(client, fleet.next_version(client))
    converged.append(fleet.wait_serve(fleet.number, "after the last kill"))
    converged.append(fleet.change_config(client))
    evidence = run.evidence(server)
    evidence.whole, evidence.converged = fleet.whole, converged
    run.finish(server, evidence)
