"""F12: strangers and peers that hold connections: nothing said, a TLS greeting never ended, HTTP/2 without a call, calls without a message, streams
that are never read, a byte now and then. In the clear, and over TLS at the main port (with a certificate where one is needed) and at the door.

The eight recording clients must get on meanwhile, somebody new must be answered, and the server must be as it was afterwards."""
import time

import h2
import siege

TEXT = "silent and trickling peers: no hello, no call, calls without a message, a byte now and then"
ROUNDS, FULL = 1, 20
SECONDS = 110
PEERS, HOLD_S = 60, 2.5


class Way:
    """To a port: what peers connect with, and what they would call there."""

    def __init__(self, port, context=None, path=b"/sluice.v1.AppService/ListApps"):
        self.port, self.context, self.path = port, context, path

    def peer(self, greet=True):
        return h2.Peer(self.port, greet, self.context)

    def call(self, stream):
        return h2.frame(h2.HEADERS, h2.END_HEADERS, stream, h2.headers(self.path))


def silent(way):
    return h2.Peer(way.port, greet=False)


def half_hello(way):
    peer = h2.Peer(way.port, greet=False)
    peer.send(b"\x16\x03\x01\x02\x00\x01\x00")
    return peer


def hello_only(way):
    peer = h2.Peer(way.port, greet=False)
    peer.send(h2.client_hello(way.context))
    return peer


def shaken(way):
    return way.peer(greet=False)


def no_call(way):
    return way.peer()


def no_message(way):
    peer = way.peer()
    for stream in range(1, 33, 2):
        peer.send(way.call(stream))
    return peer


def never_read(way):
    """Streams whose answers nobody takes: the window stays as it is."""
    peer = way.peer()
    for stream in range(1, 33, 2):
        peer.send(way.call(stream) + h2.frame(h2.DATA, h2.END_STREAM, stream, b"\0\0\0\0\0"))
    return peer


def trickle(way):
    peer = way.peer(greet=False)
    peer.rest = list(h2.PREFACE + h2.frame(h2.SETTINGS) + way.call(1))
    return peer


def hold(kind, way):
    peers, until = [kind(way) for _ in range(PEERS)], time.monotonic() + HOLD_S
    while time.monotonic() < until:
        for peer in peers:
            rest = getattr(peer, "rest", None)
            if rest:
                peer.send(bytes([rest.pop(0)]))
        time.sleep(0.1)
    return peers


def sweep(run, server, part):
    run.load(server, apps=0)
    besieged = siege.Siege(run, server)
    kinds, ways = [silent, half_hello, no_call, no_message, never_read, trickle], [(Way(server.port), False)]
    if besieged.tls:
        kinds += [hello_only, shaken]
        ways = [(Way(server.port, siege.attacker(server)), False), (Way(server.door_port, siege.context(server), b"/sluice.v1.DoorService/Login"), True)]
    for _ in run.turns(part):
        for way, door in ways:
            for kind in kinds:
                peers = []
                besieged.attack(kind.__name__, lambda k=kind, w=way: peers.extend(hold(k, w)), door)
                for peer in peers:
                    peer.close()
                run.wait_progress(20)
    besieged.end()
    run.finish(server)


def run(run):
    sweep(run, run.server(), 0.3)
    sweep(run, run.server(["--door-rate", "0", "--door-peer-rate", "0"], folder=run.world.path("secure"), tls=True), 1.0)
