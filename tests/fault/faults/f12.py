"""F12: strangers that hold connections: nothing said, a TLS greeting never ended, HTTP/2 without a call, calls without a message, a byte now and then.

The eight recording clients must get on meanwhile, and the server must be as it was afterwards."""
import time

import h2

TEXT = "silent and trickling peers: no hello, no call, calls without a message, a byte now and then"
ROUNDS, FULL = 1, 20
PEERS = 60


def silent(port):
    return h2.Peer(port, greet=False)


def half_hello(port):
    peer = h2.Peer(port, greet=False)
    peer.send(b"\x16\x03\x01\x02\x00\x01\x00")
    return peer


def no_call(port):
    return h2.Peer(port)


def no_message(port):
    peer = h2.Peer(port)
    for stream in range(1, 33, 2):
        peer.send(h2.frame(h2.HEADERS, h2.END_HEADERS, stream, h2.headers()))
    return peer


def trickle(port):
    peer = h2.Peer(port, greet=False)
    peer.rest = list(h2.PREFACE + h2.frame(h2.SETTINGS) + h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.headers()))
    return peer


def run(run):
    server = run.server()
    run.apps(server, 2)
    run.load(server, apps=2)
    for _ in range(run.rounds):
        for kind in (silent, half_hello, no_call, no_message, trickle):
            before = run.memory(server)
            peers = [kind(server.port) for _ in range(PEERS)]
            until = time.monotonic() + 4
            while time.monotonic() < until:
                for peer in peers:
                    rest = getattr(peer, "rest", None)
                    if rest:
                        peer.send(bytes([rest.pop(0)]))
                time.sleep(0.1)
            run.wait_progress(20)
            run.note(f"{kind.__name__}: {PEERS} peers, {run.memory(server) - before} KiB")
            for peer in peers:
                peer.close()
            run.count("kinds")
    run.wait_progress(20)
    run.finish(server)
