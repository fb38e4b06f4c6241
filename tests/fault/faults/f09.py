"""F9: partitions between agents and server and between clients and server: both ways, one way, half-closed, reset, forgotten by a
middlebox; for a moment and for seconds, also during promotions; and the server stopped for seconds. Partitions between the server and the Git host
while it pushes: what is owed and what is pushed is there once when they end."""
import time

from fleet import Fleet
from proxy import Proxy
from push import FLAGS, Pushes, cut, lose

TEXT = "partitions: both ways, one way, half-closed, reset, forgotten; server stopped; between server and Git host while it pushes"
ROUNDS, FULL = 16, 400
SECONDS = 110
SHAPES = ("both", "up", "down", "half-up", "half-down", "reset", "refused", "stopped")


def begin(run, proxies, shape, server):
    for proxy in proxies:
        if shape in ("both", "up", "down"):
            proxy.hold(up=shape != "down", down=shape != "up")
        elif shape in ("half-up", "half-down"):
            proxy.half_close(up=shape == "half-up")
        elif shape in ("reset", "refused"):
            proxy.refuse = shape == "refused"
            proxy.reset()
    if shape == "stopped":
        server.kill()
    run.count(f"partitions: {shape}")


def run(run):
    server = run.server(["--heartbeat", "1s", *FLAGS])
    agents, callers = run.world.add(Proxy(lambda: server.port)), run.world.add(Proxy(lambda: server.port))
    fleet = Fleet(run, server, reach=agents.port, git_proxy=True)
    client = server.client()
    fleet.promote(client, "v1")
    fleet.release(client, "v1")
    converged = [fleet.wait_serve(1, "first release")]
    run.observe(fleet.agents, "fleet")
    server.proxied = callers.port
    run.load(server, watchers=3)
    pushes, git = Pushes(run, fleet, client), fleet.git
    breaks = (("refused", lambda: setattr(git, "refuse", True)), ("cut in the middle", lambda: setattr(git, "change", cut)), ("both ways", git.hold),
              ("answers lost", lambda: setattr(git, "change", lose)))
    if run.rounds >= 2 * len(SHAPES):  # it takes most of a minute
        forgotten(run, fleet, agents, client, converged)
    for number in run.turns(least=len(SHAPES)):
        if number % len(breaks) == 0:
            what, away = breaks[number // len(breaks) % len(breaks)]
            pushes.through(client, f"round {number}: push, {what}", away)
        shape = SHAPES[number % len(SHAPES)]
        if fleet.number < 6:
            name = fleet.next_version(client)
        else:
            name = f"v{run.random.randrange(1, 7)}"
            while name == client.GetRelease(app="fleet").release.version.name:
                name = f"v{run.random.randrange(1, 7)}"
        begin(run, (agents, callers), shape, server)
        if shape != "stopped":
            fleet.release(client, name)
        time.sleep(run.random.choice([0.2, 1, 3]))
        agents.heal()
        callers.heal()
        if shape == "stopped":
            server.start()
            client = server.client()
            fleet.release(client, name)
        converged.append(fleet.wait_serve(int(name[1:]), f"round {number}, {shape}"))
        run.wait_progress(5, 60)
    server.proxied = None
    evidence = run.evidence(server)
    evidence.whole, evidence.converged = fleet.whole, converged
    run.note("longest to converge after a partition: %.1f s" % max(took or 999 for _, took, _ in converged))
    run.finish(server, evidence)


def forgotten(run, fleet, agents, client, converged):
    """The connections that exist are silent for good; only new ones work. The agents must notice by themselves."""
    agents.abandon()
    name = fleet.next_version(client)
    fleet.release(client, name)
    run.count("partitions: forgotten")
    took = fleet.wait_serve(fleet.number, "connections forgotten by a middlebox")
    converged.append(took)
