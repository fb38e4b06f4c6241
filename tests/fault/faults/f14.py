"""F14: more connections than the server has descriptors for, then none: it must take new ones within 10 s, and who was connected must get on meanwhile."""
import time

import h2

TEXT = "more connections than descriptors, then none"
ROUNDS, FULL = 3, 50
DESCRIPTORS = 256


def run(run):
    server = run.server(prefix=("prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}"))
    run.apps(server, 2)
    run.load(server, apps=2)
    for _ in range(run.rounds):
        peers = []
        for _ in range(2 * DESCRIPTORS):
            try:
                peers.append(h2.Peer(server.port, greet=False))
            except OSError:
                pass
        run.note(f"{len(peers)} connections")
        time.sleep(1)
        run.wait_progress(20)
        for peer in peers:
            peer.close()
        began = time.monotonic()
        client = server.client(options=[("grpc.use_local_subchannel_pool", 1)])
        client.ListApps(timeout=10)
        run.note(f"a new connection after {time.monotonic() - began:.1f} s")
        run.count("floods")
    run.wait_progress(20)
    run.finish(server)
