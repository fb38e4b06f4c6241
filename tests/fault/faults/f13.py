"""F13: peers that flood: streams opened and reset, pings, SETTINGS, headers without end and without sense, messages that are too large or broken. In the
clear, over TLS by a peer that was let in and may only look, and by strangers at the door.

The eight recording clients must get on, memory stays within the cap, and somebody new is answered within 2 s of the flood's end. Over TLS our own
look at the frames (base/tls/frames.h) hangs up on what gRPC 1.51 bears badly; what that is, the same floods in the clear show: memory that rapid
resets cost stays, a giant header costs CPU. A newer gRPC would not."""
import struct

import h2
import siege

TEXT = "floods: rapid reset, pings, settings, continuations, giant headers, oversized and broken messages"
ROUNDS, FULL = 1, 20
PEERS = 4
GIANT, GIANT_CLEAR = 16 << 20, 4 << 20  # in the clear gRPC is alone with it, and 16 MiB hold up its thread for a minute


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
    block = h2.headers(extra=[(b"x-long", b"a" * (GIANT if peer.tls else GIANT_CLEAR))])
    pieces = [block[at:at + 16000] for at in range(0, len(block), 16000)]
    peer.send(h2.frame(h2.HEADERS, 0, 1, pieces[0]))
    return all(peer.send(h2.frame(h2.CONTINUATION, h2.END_HEADERS if piece is pieces[-1] else 0, 1, piece)) for piece in pieces[1:])


def oversized(peer):
    return peer.send(h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.headers()) + h2.frame(h2.DATA, h2.END_STREAM, 1, b"\0" + struct.pack(">I", 1 << 31) + b"x" * 1000))


def broken(peer):
    return all(peer.send(h2.frame(h2.HEADERS, h2.END_HEADERS, stream, h2.headers()) + h2.frame(h2.DATA, h2.END_STREAM, stream, b"\0\0\0\0\3\xff\xff\xff")) for stream in range(1, 200, 2))


FLOODS = (rapid_reset, pings, settings, continuations, giant_header, oversized, broken)


def flood(kind, port, context):
    peers = [h2.Peer(port, context=context) for _ in range(PEERS)]
    taken = sum(kind(peer) for peer in peers)
    for peer in peers:
        peer.close()
    return f"{taken} of {PEERS} were taken whole"


def sweep(run, server):
    run.load(server, apps=0)
    besieged = siege.Siege(run, server)
    ways = [(server.port, None, False)]
    if besieged.tls:
        ways = [(server.port, siege.attacker(server), False), (server.door_port, siege.context(server), True)]
    for _ in range(run.rounds):
        for port, context, door in ways:
            for kind in FLOODS:
                besieged.attack(kind.__name__, lambda k=kind, p=port, c=context: flood(k, p, c), door)
                run.wait_progress(20)
    besieged.end()
    run.finish(server)


def run(run):
    sweep(run, run.server())
    sweep(run, run.server(["--door-rate", "0", "--door-peer-rate", "0"], folder=run.world.path("secure"), tls=True))
