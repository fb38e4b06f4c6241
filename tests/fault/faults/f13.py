"""F13: a peer that may call and floods: streams opened and reset, pings, SETTINGS, headers without end, messages that are too large or broken.

The eight recording clients must get on. What gRPC 1.51 is known to do (memory that rapid resets cost stays, a giant header costs CPU) is noted, not judged."""
import struct
import time

import h2

TEXT = "floods: rapid reset, pings, settings, continuations, giant headers, oversized and broken messages"
ROUNDS, FULL = 1, 20


def rapid_reset(peer):
    return all(peer.send(h2.frame(h2.HEADERS, h2.END_HEADERS, stream, h2.headers()) + h2.frame(h2.RST_STREAM, 0, stream, b"\0\0\0\x08")) for stream in range(1, 4001, 2))


def pings(peer):
    return all(peer.send(h2.frame(h2.PING, 0, 0, b"12345678") * 100) for _ in range(200))


def settings(peer):
    return all(peer.send(h2.frame(h2.SETTINGS, 0, 0, b"\0\4\0\0\xff\xff") * 100) for _ in range(100))


def continuations(peer):
    peer.send(h2.frame(h2.HEADERS, 0, 1, h2.headers()))
    return all(peer.send(h2.frame(h2.CONTINUATION, 0, 1, h2.field(b"a", b"b") * 50)) for _ in range(2000))


def giant_header(peer):
    block = h2.headers(extra=[(b"x-long", b"a" * (4 << 20))])
    pieces = [block[at:at + 16000] for at in range(0, len(block), 16000)]
    peer.send(h2.frame(h2.HEADERS, 0, 1, pieces[0]))
    return all(peer.send(h2.frame(h2.CONTINUATION, h2.END_HEADERS if piece is pieces[-1] else 0, 1, piece)) for piece in pieces[1:])


def oversized(peer):
    return peer.send(h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.headers()) + h2.frame(h2.DATA, h2.END_STREAM, 1, b"\0" + struct.pack(">I", 1 << 31) + b"x" * 1000))


def broken(peer):
    return all(peer.send(h2.frame(h2.HEADERS, h2.END_HEADERS, stream, h2.headers()) + h2.frame(h2.DATA, h2.END_STREAM, stream, b"\0\0\0\0\3\xff\xff\xff")) for stream in range(1, 200, 2))


def run(run):
    server = run.server()
    run.apps(server, 2)
    run.load(server, apps=2)
    for _ in range(run.rounds):
        for flood in (rapid_reset, pings, settings, continuations, giant_header, oversized, broken):
            before, began = run.memory(server), time.monotonic()
            peers = [h2.Peer(server.port) for _ in range(4)]
            taken = sum(flood(peer) for peer in peers)
            run.wait_progress(20)
            run.note(f"{flood.__name__}: {taken} of 4 were taken whole, {run.memory(server) - before} KiB, {time.monotonic() - began:.1f} s")
            for peer in peers:
                peer.close()
            run.count("floods")
    run.wait_progress(20)
    run.finish(server)
