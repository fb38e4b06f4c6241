"""F10: slow links: a delay on every piece, a server that trickles, a fetch that trickles and one that stalls for good; the server's pushes trickle and
stall, too: with the commit at the host and its answer on the way, and before anything came there."""
import time

from fleet import Fleet
from proxy import Proxy
from push import FLAGS, Pushes

TEXT = "slow link, trickling server, trickling and stalled fetch and push"
ROUNDS, FULL = 3, 60
SECONDS = 110


def run(run):
    server = run.server(["--heartbeat", "1s", *FLAGS])
    link = run.world.add(Proxy(lambda: server.port))
    fleet = Fleet(run, server, reach=link.port, flags=["--git-deadline", "5s"], git_proxy=True)
    git = fleet.git
    client = server.client()
    fleet.promote(client, "v1")
    fleet.release(client, "v1")
    converged = [fleet.wait_serve(1, "first release")]
    run.observe(fleet.agents, "fleet")
    server.proxied = link.port
    pushes = Pushes(run, fleet, client)
    stalls = (("answers held", lambda: git.hold(up=False, down=True)), ("nothing goes through", git.hold), ("300 bytes a second", lambda: trickle(git)))
    run.load(server, watchers=3)
    for number in run.turns():
        link.delay = run.random.uniform(0.01, 0.1)
        converged.append(release(fleet, client, f"round {number}: delay"))
        link.delay, link.rate = 0, 20000
        converged.append(release(fleet, client, f"round {number}: link of 20 kB/s"))
        link.heal()
        git.rate = 2000
        converged.append(release(fleet, client, f"round {number}: fetch of 2 kB/s"))
        git.heal()
        converged.append(stalled(run, fleet, client, git, number))
        what, away = stalls[number % len(stalls)]
        pushes.through(client, f"round {number}: push, {what}", away)
        run.wait_progress(5, 60)
    server.proxied = None
    evidence = run.evidence(server)
    evidence.whole, evidence.converged = fleet.whole, converged
    run.finish(server, evidence)


def trickle(git):
    git.rate = 300


def release(fleet, client, what):
    name = fleet.next_version(client)
    fleet.release(client, name)
    return fleet.wait_serve(fleet.number, what)


def stalled(run, fleet, client, git, number):
    """The agents' fetches stall for good; they keep what they have; when the host is well again they fetch it."""
    before = fleet.whole[fleet.number - 1]
    name = fleet.next_in_staging(client)
    git.hold(up=False, down=True)
    fleet.to_production(client, name)
    fleet.release(client, name)
    time.sleep(7)
    run.report.require(fleet.all_serve(before), "R7", f"round {number}: a stalled fetch took away what was served")
    run.count("stalled fetches")
    git.heal()
    git.reset()
    return fleet.wait_serve(fleet.number, f"round {number}: stalled fetch")
