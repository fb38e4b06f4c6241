"""F14: more connections than the server has descriptors for, then none: it must take new ones within 10 s, and who was connected must get on
meanwhile. In the clear, over TLS, and at the door, whose child has 256."""
import time

import h2
import siege

TEXT = "more connections than descriptors, then none"
ROUNDS, FULL = 2, 50
SECONDS = 15
DESCRIPTORS = 256
BACK_S = 10


def crowd(port):
    peers = []
    for _ in range(2 * DESCRIPTORS):
        try:
            peers.append(h2.Peer(port, greet=False))
        except OSError:
            pass
    return peers


def flood(run, port, what, comes_in):
    peers = crowd(port)
    time.sleep(1)
    run.wait_progress(20)
    for peer in peers:
        peer.close()
    took = comes_in()
    run.note(f"{what}: {len(peers)} connections; a new one after {'never' if took is None else f'{took:.1f} s'}")
    run.report.require(took is not None and took < BACK_S, "peers", f"{what}: a new connection was answered after {took} s")
    run.count("floods")


def sweep(run, server, part):
    run.load(server, apps=0)
    besieged = siege.Siege(run, server)
    for _ in run.turns(part):
        flood(run, server.port, "main port " + besieged.name, lambda: siege.answers_new(server))
        if besieged.tls:
            flood(run, server.door_port, "door", lambda: siege.lets_in(server, besieged.request))
    others = besieged.paced.lap()
    run.note(f"{besieged.name}: others' p99 {siege.p99(others):.1f} ms, longest {max(others):.0f}")
    besieged.end()
    run.finish(server)


def run(run):
    few = ("prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}")
    sweep(run, run.server(prefix=few), 0.4)
    sweep(run, run.server(["--door-rate", "0", "--door-peer-rate", "0"], folder=run.world.path("secure"), tls=True, prefix=few), 1.0)
