"""F13: peers that flood: streams opened and reset, pings, SETTINGS, headers without end and without sense, messages that are too large or broken. In the
clear, over TLS by a peer that was let in and may only look, and by strangers at the door.

The eight recording clients must get on, memory stays within the cap, and somebody new is answered within 2 s of the flood's end. Over TLS our own
look at the frames (base/tls/frames.h) hangs up on what gRPC 1.51 bears badly; what that is, the same floods in the clear show: memory that rapid
resets cost stays, a giant header costs CPU. A newer gRPC would not."""
import os
import struct
import time

import h2
import siege

TEXT = "floods: rapid reset, pings, settings, continuations, giant headers, oversized and broken messages"
ROUNDS, FULL = 1, 20
SECONDS = 170
PEERS, FLOOD_S = 4, 5
GIANT, GIANT_CLEAR = 16 << 20, 4 << 20  # in the clear gRPC is alone with it, and 16 MiB hold up its thread for a minute


def rapid_reset():
    return [h2.frame(h2.HEADERS, h2.END_HEADERS, stream, h2.headers()) + h2.frame(h2.RST_STREAM, 0, stream, b"\0\0\0\x08") for stream in range(1, 4001, 2)]


def late_reset():
    """All streams that there may be are open before the first is reset."""
    opened = [h2.frame(h2.HEADERS, h2.END_HEADERS, stream, h2.headers()) for stream in range(1, 2001, 2)]
    return opened + [h2.frame(h2.RST_STREAM, 0, stream, b"\0\0\0\x08") for stream in range(1, 2001, 2)]


def pings():
    return [h2.frame(h2.PING, 0, 0, b"12345678")] * 20000


def settings():
    return [h2.frame(h2.SETTINGS, 0, 0, b"\0\4\0\0\xff\xff")] * 10000


def continuations():
    return [h2.frame(h2.HEADERS, 0, 1, h2.headers())] + [h2.frame(h2.CONTINUATION, 0, 1, h2.field(b"a", b"b") * 50)] * 2000


def giant_header(size=GIANT):
    block = h2.headers(extra=[(b"x-long", b"a" * size)])
    pieces = [block[at:at + 16000] for at in range(0, len(block), 16000)]
    ends = [0] * (len(pieces) - 1) + [h2.END_HEADERS]
    return [h2.frame(h2.CONTINUATION if at else h2.HEADERS, ends[at], 1, piece) for at, piece in enumerate(pieces)]


def giant_header_in_the_clear():
    return giant_header(GIANT_CLEAR)


def oversized():
    return [h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.headers()) + h2.frame(h2.DATA, h2.END_STREAM, 1, b"\0" + struct.pack(">I", 1 << 31) + b"x" * 1000)]


def broken():
    return [h2.frame(h2.HEADERS, h2.END_HEADERS, stream, h2.headers()) + h2.frame(h2.DATA, h2.END_STREAM, stream, b"\0\0\0\0\3\xff\xff\xff") for stream in range(1, 200, 2)]


FLOODS = (rapid_reset, late_reset, pings, settings, continuations, giant_header, oversized, broken)


def ready():
    """The process has started, and imported what it needs: that is no attack."""


def flood(kind, port, credentials):
    """In a process of its own, for FLOOD_S: who is hung up on, or not let in, dials again at once."""
    data, context = b"".join(kind()), siege.context_of(*credentials) if credentials else None
    until, dials, peers = time.monotonic() + FLOOD_S, 0, []
    while time.monotonic() < until:
        fresh = []
        try:
            for _ in range(PEERS - len(peers)):
                dials += 1
                fresh.append(h2.Peer(port, context=context))
        except OSError:
            time.sleep(0.01)  # refused
        for peer in fresh:
            peer.send(data)
        peers = [peer for peer in peers + fresh if not peer.hung_up(0.05)]
    for peer in peers:
        peer.close()
    return f"{len(peers)} of {dials} dials were borne"


def sweep(run, server, part):
    with siege.APART.Pool(1, initializer=os.nice, initargs=(10,)) as apart:  # its own work would be on machines of its own
        apart.apply(ready)
        besiege(run, server, apart, part)


def besiege(run, server, apart, part):
    run.load(server, apps=0)
    besieged = siege.Siege(run, server)
    credentials = dict.fromkeys(FLOODS)
    if besieged.tls:  # one attacker each: who has flooded once is out for a while
        credentials = {kind: (server.ca, *siege.attacker_files(server, kind.__name__.replace("_", "-"))) for kind in FLOODS}
    ways = [(server.port, credentials, False)]
    if besieged.tls:
        ways.append((server.door_port, dict.fromkeys(FLOODS, (server.ca,)), True))
    for _ in run.turns(part):
        for port, credentials, door in ways:
            for kind in FLOODS:
                sent = kind if besieged.tls or kind != giant_header else giant_header_in_the_clear
                besieged.attack(kind.__name__, lambda k=sent, p=port, c=credentials[kind]: apart.apply(flood, (k, p, c)), door)
                run.wait_progress(20)
    besieged.end()
    run.finish(server)


def run(run):
    sweep(run, run.server(), 0.3)
    sweep(run, run.server(["--door-rate", "0", "--door-peer-rate", "0"], folder=run.world.path("secure"), tls=True), 1.0)
